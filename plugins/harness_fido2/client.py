"""The FIDO2 client: python-fido2 on the transport of a rig, and what the host remembers of the key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fido2.attestation import PackedAttestation
from fido2.attestation.base import InvalidAttestation
from fido2.cose import CoseKey
from fido2.ctap import CtapError
from fido2.ctap1 import ApduError
from fido2.ctap2 import AttestationResponse, CredentialManagement, Ctap2
from fido2.ctap2.base import Info
from fido2.ctap2.pin import ClientPin, PinProtocol, PinProtocolV1, PinProtocolV2

from harness.api import KeyFault, Look, MalformedAnswer, Memory, NoRoom, PinGuard, PinReference, Refused, Rig
from harness.api import pin_for as named_pin
from harness_fido2.answers import CheckedCtap2
from harness_fido2.decoding_cache import keep_lookups
from harness_transports.answers import malformed, reading
from harness_transports.ctaphid import ctaphid

keep_lookups()

FIDO2_PIN = PinReference("FIDO2 PIN", 8, counted_as="pin_tries")
"""It has 8 tries at most (CTAP 2.1, section 6.5.2.2)."""
CANARY_RP = "canary.keyharness.example"
ES256: list[Mapping[str, object]] = [{"type": "public-key", "alg": -7}]


@dataclass
class Credential:
    """A credential that we registered, as a relying party stores it."""

    rp: str
    user: bytes
    id: bytes
    public_key: dict[int, Any]


@dataclass
class FidoMemory:
    """What the host knows of the FIDO2 application.

    :ivar pin: the PIN in force, None if none is set.
    :ivar resident: canaries by name, made as discoverable credentials of CANARY_RP.
    :ivar non_resident: the canary that is not stored on the key: its id holds it, encrypted.
    :ivar new: the credential that the operation under test registered.
    :ivar counter: the highest signature counter seen.
    """

    pin: str | None = None
    resident: dict[str, Credential] = field(default_factory=dict)
    non_resident: Credential | None = None
    new: Credential | None = None
    counter: int = 0
    handle: bytes = b""
    handle_key: bytes = b""
    """The U2F canary: its key handle and public key."""
    marked: int = 0
    """Number of marks on the key, 0 or 1. A mark is a resident credential too (`harness_fido2.ownership`)."""
    user_name: str = ""
    """The name that the operation gave to the user of `new`."""
    blobs: tuple[bytes, ...] = ()
    tries: int = 8
    """Initial value of the PIN retry counter: 8 at most (CTAP 2.1, section 6.5.2.2)."""
    min_pin: int = 4
    fillers: dict[str, Credential] = field(default_factory=dict)
    """A sample of the credentials that fill the key."""
    filled: int = 0
    """Number of credentials that fill the key."""
    secrets: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name of a canary -> digests of its hmac-secret outputs: without and with user verification, "" if not known."""
    protected: Credential | None = None
    """The resident canary with credProtect 2: without a PIN only who knows its id may use it."""
    lists: bool = False
    """True if the key lists its resident credentials (credential management, with a PIN)."""
    accounts: dict[str, Credential] = field(default_factory=dict)
    """Accounts of one relying party, in the order in which they were registered (`harness_fido2.account_order`)."""
    coloured: dict[str, Credential] = field(default_factory=dict)
    """Credentials in which everything that can be set is set (`harness_fido2.coloured`)."""
    extensions: dict[str, object] = field(default_factory=dict)
    """Inputs of extensions with which operations register their resident credentials."""
    names: dict[str, str] = field(default_factory=dict)
    """Names of the users of those; empty for their ids."""
    tells_min_pin: bool = False
    """True if relying parties may be told the minimum PIN length."""
    refused: bool = False
    """True if a full key refused the operation."""
    enrolled: bool = False
    """True if the owner's next action has enrolled a user."""
    removed: int = 0
    """Number of credentials that the owner's next action has deleted."""


def fido_memory(memory: Memory) -> FidoMemory:
    return memory.part("fido2", FidoMemory)


def pin_for(rig: Rig, which: str) -> str:
    """A FIDO2 PIN for a test key, see `harness.safety.pins`: on twins eight digits from the run's seed."""
    return named_pin(rig, which, FIDO2_PIN)


@lru_cache(maxsize=4096)
def challenge(*names: object) -> bytes:
    """Return a client data hash that depends on its purpose alone: no attacker is modelled here."""
    return hashlib.sha256("/".join(map(str, names)).encode()).digest()


def refusal(error: CtapError) -> str:
    """A refusal as an item's value."""
    name = getattr(error.code, "name", "UNKNOWN")
    return f"refused: {name} ({int(error.code):#04x})"


def fault(error: BaseException) -> KeyFault | None:
    """What an exception of python-fido2 says of the key: a refusal, or an answer that cannot be read."""
    if isinstance(error, CtapError):
        full = error.code == CtapError.ERR.KEY_STORE_FULL
        return (NoRoom if full else Refused)(getattr(error.code, "name", "UNKNOWN"), int(error.code))
    if isinstance(error, ApduError):
        return Refused("a U2F command", f"{int(error.code):04X}")
    return malformed(error)


class GuardedPin(ClientPin):  # type: ignore[misc, unused-ignore]
    """python-fido2's client PIN commands, which read the retry counter before each command that tries a PIN.

    CTAP 2.1, sections 6.5.5.6 and 6.5.5.7: these commands lower the counter first, and restore it if the PIN is right.
    """

    def __init__(self, ctap: Ctap2, protocol: PinProtocol | None, guard: PinGuard):
        super().__init__(ctap, protocol)
        self._guard = guard

    def get_pin_token(self, pin: str, *more: Any, **named: Any) -> bytes:
        self._guard.trying(FIDO2_PIN, int(self.get_pin_retries()[0]))
        token: bytes = super().get_pin_token(pin, *more, **named)
        self._guard.right(FIDO2_PIN)
        return token

    def set_pin(self, pin: str) -> None:
        self._guard.setting(FIDO2_PIN, pin)
        super().set_pin(pin)

    def change_pin(self, old_pin: str, new_pin: str) -> None:
        self._guard.trying(FIDO2_PIN, int(self.get_pin_retries()[0]))
        self._guard.setting(FIDO2_PIN, new_pin)
        super().change_pin(old_pin, new_pin)
        self._guard.right(FIDO2_PIN)


def client_pin(rig: Rig, ctap: Ctap2, protocol: PinProtocol | None = None) -> ClientPin:
    """Return the client PIN commands; guarded if the rig counts tries."""
    return GuardedPin(ctap, protocol, rig.pin_guard) if rig.pin_guard else ClientPin(ctap, protocol)


class Fido:
    """An open channel to the FIDO2 application of the key on a rig. The key is touched when it asks.

    :param pin: the PIN, or a function that finds it. Used where the key demands user verification (alwaysUv);
        without it no request is authorised.
    """

    def __init__(self, rig: Rig, pin: str | Callable[[], str | None] | None = None):
        self.rig = rig
        self.device = ctaphid(rig)
        self.ctap: Ctap2 = CheckedCtap2(self.device)
        self._pin = pin

    @property
    def info(self) -> Any:
        return self.ctap.info

    def pin(self, protocol: int | None = None) -> ClientPin:
        """Return the client PIN commands with protocol 1 or 2, by default the best that both sides have."""
        chosen: PinProtocol | None = {None: None, 1: PinProtocolV1(), 2: PinProtocolV2()}[protocol]
        return client_pin(self.rig, self.ctap, chosen)

    def tries(self) -> int:
        """Read the number of PIN tries left. Costs nothing."""
        return int(self.pin().get_pin_retries()[0])

    def make_credential(
        self,
        rp: str,
        user: bytes,
        *,
        resident: bool,
        pin: str | None = None,
        extensions: Mapping[str, object] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> tuple[Credential, AttestationResponse]:
        """Register a credential; with a PIN, a token for it authorises the request.

        :param extensions: inputs of extensions, as they go over the wire.
        :param names: the user's "name" and "displayName", else its id.
        """
        request_hash = challenge("make", rp, user.hex())
        used = pin if pin is not None else self._pin_if_always
        auth = self._auth(used, request_hash, ClientPin.PERMISSION.MAKE_CREDENTIAL, rp) if used else {}
        with self.rig.touch.pressing():
            response = self.ctap.make_credential(
                request_hash,
                {"id": rp, "name": rp},
                {"id": user, **(names or {"name": user.decode(), "displayName": user.decode()})},
                ES256,
                options={"rk": True} if resident else None,
                extensions=dict(extensions) if extensions else None,
                **auth,
            )
        data = response.auth_data.credential_data
        if data is None:
            raise MalformedAnswer(
                "no attested credential data", command="makeCredential", answer=bytes(response.auth_data)
            )
        return Credential(rp, user, data.credential_id, dict(data.public_key)), response

    @property
    def _pin_if_always(self) -> str | None:
        if not self.info.options.get("alwaysUv"):
            return None
        return self._pin() if callable(self._pin) else self._pin

    def token(
        self, pin: str, permission: ClientPin.PERMISSION, rp: str | None = None
    ) -> tuple[PinProtocol, bytes]:
        """Return a pinUvAuthToken and its protocol."""
        client = self.pin()
        return client.protocol, client.get_pin_token(pin, permission, rp)

    def _auth(
        self, pin: str, request_hash: bytes, permission: ClientPin.PERMISSION, rp: str
    ) -> dict[str, Any]:
        protocol, token = self.token(pin, permission, rp)
        return {
            "pin_uv_param": protocol.authenticate(token, request_hash),
            "pin_uv_protocol": protocol.VERSION,
        }

    def management(self, pin: str) -> CredentialManagement:
        """Return the credential management commands, authorised by the PIN."""
        return CredentialManagement(self.ctap, *self.token(pin, ClientPin.PERMISSION.CREDENTIAL_MGMT))

    def silent(self, rp: str, ident: bytes | None = None) -> bool:
        """Tell whether a relying party has a discoverable credential, or the one with an id, that needs no PIN.

        Costs neither a touch nor a count.
        """
        try:
            self.ctap.get_assertion(
                rp,
                challenge("get", rp),
                allow_list=_listed([ident] if ident else None),
                options={"up": False},
            )
        except CtapError as error:
            if error.code == CtapError.ERR.NO_CREDENTIALS:
                return False
            raise
        return True

    def assertions(
        self,
        rp: str,
        allow: list[bytes] | None = None,
        *,
        pin: str | None = None,
        extensions: Mapping[str, object] | None = None,
    ) -> list[Any]:
        """Log in; return all assertions that the key offers for a relying party.

        :param pin: verifies the user; by default only where the key always demands it.
        :param extensions: inputs of extensions, as they go over the wire.
        """
        used = pin if pin is not None else self._pin_if_always
        auth = self._auth(used, challenge("get", rp), ClientPin.PERMISSION.GET_ASSERTION, rp) if used else {}
        with self.rig.touch.pressing():
            return list(
                self.ctap.get_assertions(
                    rp,
                    challenge("get", rp),
                    allow_list=_listed(allow),
                    extensions=dict(extensions) if extensions else None,
                    **auth,
                )
            )

    def verified(self, rp: str, assertion: Any, public_key: dict[int, Any]) -> bool:
        """Tell whether an assertion verifies under the public key that was kept."""
        from cryptography.exceptions import InvalidSignature

        try:
            with reading("getAssertion"):
                assertion.verify(challenge("get", rp), CoseKey.parse(public_key))
        except InvalidSignature:
            return False
        return bool(assertion.auth_data.rp_id_hash == hashlib.sha256(rp.encode()).digest())

    def attested(self, rp: str, user: bytes, response: AttestationResponse) -> str:
        """Describe an attestation in words, with the digest of its certificate."""
        if response.fmt != "packed":
            return f"format {response.fmt}"
        x5c = response.att_stmt.get("x5c")
        if not x5c:
            return "packed without x5c (self-attestation)"
        with reading("makeCredential"):
            try:
                PackedAttestation().verify(
                    response.att_stmt, response.auth_data, challenge("make", rp, user.hex())
                )
            except InvalidAttestation as error:
                return f"packed with x5c, invalid: {type(error).__name__}"
            return f"packed, x5c {hashlib.sha256(x5c[0]).hexdigest()[:12]}, valid"


def _listed(ids: list[bytes] | None) -> list[Mapping[str, Any]] | None:
    return [{"type": "public-key", "id": one} for one in ids] if ids is not None else None


def manages_credentials(info: Info) -> bool:
    """Tell whether the key has credential management: the command 0x0A, or under FIDO_2_1_PRE its prototype 0x41.

    CTAP 2.1, section 6.8, and its section 6.4 for the option credentialMgmtPreview. The prototype renames no user.
    """
    return bool(CredentialManagement.is_supported(info))


def lacks_management(rig: Rig) -> str | None:
    """Name what the key lacks to list and delete resident credentials; None if it lacks nothing."""
    if (why := lacks(rig, "rk", "clientPin")) is not None:
        return why
    if manages_credentials(Fido(rig).info):
        return None
    return "getInfo lists neither the option credMgmt nor, under FIDO_2_1_PRE, credentialMgmtPreview"


def lacks(rig: Rig, *options: str) -> str | None:
    """Name the first of these options that getInfo does not list; None if it lists them all.

    clientPin counts as listed whether or not a PIN is set; the other options must be true.
    """
    offered = Fido(rig).info.options
    for name in options:
        if not (name in offered if name == "clientPin" else offered.get(name)):
            return f"getInfo does not list the option {name}"
    return None


_PIN_IN_FORCE = "pin in force"


def fido(look: Look) -> Fido:
    """Return the channel of a look, opened once per boot."""
    return look.once("fido2", lambda: Fido(look.rig, lambda: pin_in_force(look)))


def usable(look: Look) -> Fido:
    """The look's channel, with a PIN that the key gives tokens for.

    A key that demands another PIN (forcePINChange) refuses every token until the PIN was changed (CTAP 2.1, section
    6.5.5.7). Its owner changes the PIN and goes on, so the look does the same before it uses a credential.
    """
    client = fido(look)
    was = fido_memory(look.memory).pin
    if was is not None and client.info.force_pin_change and _PIN_IN_FORCE not in look.kept:
        longer = was.ljust(client.info.min_pin_length, "0") + "0"
        client.pin().change_pin(was, longer)
        look.kept[_PIN_IN_FORCE] = longer
    return client


def pin_in_force(look: Look) -> str | None:
    """Return the PIN that the key takes. The new one is tried first, so at most one try is spent."""
    was, wanted = fido_memory(look.memory).pin, fido_memory(look.promise).pin
    if (wanted is None or wanted == was) and _PIN_IN_FORCE not in look.kept:
        return was
    if _PIN_IN_FORCE not in look.kept:
        try:
            assert wanted is not None
            fido(look).pin().get_pin_token(wanted)
        except CtapError:
            look.kept[_PIN_IN_FORCE] = was
        else:
            look.kept[_PIN_IN_FORCE] = wanted
    found: str | None = look.kept[_PIN_IN_FORCE]
    return found
