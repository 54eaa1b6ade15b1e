"""What commands of a simulated SmartCard-HSM share: the files, the device's identity, and who is logged in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.api import Board, Stream, records
from harness_cards.curves import BRAINPOOL_P256
from harness_cards.files import Files
from harness_schsm.cvc import sign_ec
from harness_schsm.twin.status import NOT_LOGGED_IN, NOT_REFERENCED, CardError

RESET_ALLOWED, TRANSPORT, CLEAR_ON_RESET, REPLACE_KEYS, COMBINED, RESET_ONLY = (
    0x01,
    0x02,
    0x04,
    0x08,
    0x10,
    0x20,
)
"""Bits of the low byte of the configuration options that INITIALIZE sets."""
USER, SO = 0x81, 0x88
"""References of the user PIN and of the SO-PIN (initialization code)."""
SO_TRIES = 15
CONFIGURATION = "config"
DEVICE = "device"
"""The file with the identity: 1 private key, 2 content of EF 2F02, 3 CHR; after an update also 4 version, 5 how many
updates were forced."""


@dataclass(frozen=True)
class Configuration:
    """What INITIALIZE chose.

    :ivar options: 16 bits. :ivar retries: of the user PIN. :ivar transport: the transport PIN was not changed yet.
    :ivar pka: (authentications required, keys to be registered) for public key authentication; None without it.
    :ivar has_pin: whether there is a user PIN. :ivar domains: number of key domains; 0 is one DKEK as older cards have.
    """

    options: int
    retries: int
    transport: bool
    pka: tuple[int, int] | None
    has_pin: bool
    domains: int

    def sealed(self) -> bytes:
        pka = list(self.pka) if self.pka else []
        return records.seal(
            {1: self.options, 2: self.retries, 3: self.transport, 4: pka, 5: self.has_pin, 6: self.domains}
        )


@dataclass(frozen=True)
class Identity:
    """The device: its private key on brainpoolP256r1, and EF 2F02 with its certificate and its issuer's.

    :ivar name: CHR of the device. :ivar version: that an update has installed; None if the factory's is there.
    :ivar forced: updates that destroyed keys, or mended a blocked SO-PIN.
    """

    private: int
    certificates: bytes
    name: str
    version: tuple[int, int] | None = None
    forced: int = 0

    def sealed(self) -> bytes:
        """The content of its file."""
        factory = {1: self.private.to_bytes(32, "big"), 2: self.certificates, 3: self.name}
        return records.seal(
            factory if self.version is None else {**factory, 4: list(self.version), 5: self.forced}
        )

    def sign(self, message: bytes) -> bytes:
        return sign_ec(BRAINPOOL_P256, self.private, message)


@dataclass
class Session:
    """What the loss of power, or a SELECT of the applet, ends.

    :ivar proved: names of registered keys that have answered a challenge.
    :ivar trusted: CHR -> public point of certificates that were verified by the card.
    """

    user: bool = False
    proved: set[str] = field(default_factory=set)
    trusted: dict[str, bytes] = field(default_factory=dict)
    reference: str = ""
    challenge: bytes = b""


@dataclass
class Card:
    """One boot of the card.

    :ivar version: major and minor number. :ivar staged: content of EF 2F10, a wrapped key to be unwrapped.
    :ivar is_open: it answers as an open implementation does where that is known to differ.
    :ivar ram_tries: tries that a defect keeps in RAM. :ivar later: what a defect does before the next command.
    """

    files: Files
    board: Board
    identity: Identity
    root: bytes
    version: tuple[int, int]
    defects: frozenset[str]
    session: Session = field(default_factory=Session)
    staged: bytes = b""
    is_open: bool = False
    ram_tries: dict[int, int] = field(default_factory=dict)
    later: list[Callable[[], None]] = field(default_factory=list)
    _streams: dict[str, Stream] = field(default_factory=dict)

    @property
    def configuration(self) -> Configuration | None:
        """What the card was initialised with; None if it never was."""
        found = self.files.record(CONFIGURATION)
        if found is None:
            return None
        pka = (found[4][0], found[4][1]) if found[4] else None
        return Configuration(found[1], found[2], found[3], pka, found[5], found[6])

    def require_configuration(self) -> Configuration:
        """:raises CardError: the card was never initialised."""
        found = self.configuration
        if found is None:
            raise CardError(NOT_REFERENCED)
        return found

    def random(self, purpose: str, count: int) -> bytes:
        """Return the next random bytes of this boot for one purpose."""
        return self._streams.setdefault(purpose, self.board.random(purpose)).bytes(count)

    def work(self, duration_us: int) -> None:
        """Compute for a number of microseconds.

        :raises PowerLost: the power failed meanwhile.
        """
        self.board.clock.wait_us(duration_us)
        self.board.rail.check()

    @property
    def is_logged_in(self) -> bool:
        """Is the user authenticated, by PIN, by keys, or by both where both are needed?"""
        found = self.configuration
        if found is None:
            return False
        proved = found.pka is not None and len(self.session.proved) >= found.pka[0]
        if found.pka is None:
            return self.session.user
        if found.options & COMBINED:
            return self.session.user and proved
        return self.session.user or proved

    def require_login(self) -> None:
        """:raises CardError: nobody is logged in."""
        if not self.is_logged_in:
            raise CardError(NOT_LOGGED_IN)


Handler = Callable[[Card, int, int, bytes, int | None], bytes]
"""(card, P1, P2, data, Le or None) -> data of the response; raises CardError."""
