"""What the cases share: refusals as sets of status words, and a second card with PINs of its own.

Nobody has published what the genuine card answers in some places. There a case accepts a set: what the maker's module,
OpenSC and an open implementation take for the same refusal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

from harness.api import NOT_OFFERED, Refused
from harness_cards.curves import Curve
from harness_schsm.client import ScHsm
from harness_schsm.plugin import GENERIC

NOT_LOGGED_IN = {"6982"}
NOT_FOUND = {"6A82", "6A88"}
BLOCKED = {"6983"}
WRONG_SO = {"63CE", "6985", "6986", "6900"}
"""A wrong SO-PIN, assumed: OpenSC shows each of them as "PIN code or key incorrect"."""
FORBIDDEN = {"6985", "6986", "6982"}
"""Assumed: a state that forbids the command."""
WRONG_DATA = {"6A80", "6700", "6A86", "6985"}
"""Assumed: data of a wrong form."""
ALGORITHM = {"6A81", "6985"}
USED_UP = {"6984", "6A84"}
OTHER_DKEK = {"6A80", "6A86"}
TAKEN = {"6A89", "6985", "6A80"}
"""Assumed: a key has this number."""
EVERY_CARD = frozenset({"secp256r1", "brainpoolP256r1"})
"""Curves that the clients of this applet count on."""
SECOND_PIN, SECOND_SO_PIN = "27182818", "3141592653589793"


def wrong(left: int) -> set[str]:
    """A wrong user PIN with so many tries left; after the last one the card may say at once that it is blocked."""
    return {f"63C{left:X}"} if left else {"63C0", *BLOCKED}


@contextmanager
def refused(statuses: set[str]) -> Iterator[None]:
    """The card must refuse, with one of these status words."""
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.status in statuses


def generate_on(hsm: ScHsm, key_id: int, curve: Curve) -> bytes:
    """Generate a key on a curve. A card of an unknown model need not know all of them; skip the case then."""
    try:
        return hsm.generate_ec(key_id, curve)
    except Refused as refused:
        known = hsm.rig.key.name != GENERIC or curve.name in EVERY_CARD
        if known or refused.status not in ALGORITHM:
            raise
        pytest.skip(f"{NOT_OFFERED}: this card does not know {curve.name} ({refused.status})")


def require_known_model(hsm: ScHsm, what: str) -> None:
    """Skip a case of what no client and no sheet tells of the applet, on a card of an unknown model."""
    if hsm.rig.key.name == GENERIC:
        pytest.skip(f"{NOT_OFFERED}: a rule for {what}, which cards of an unknown model may not have")


def require_not_taken_again(hsm: ScHsm, share: bytes) -> None:
    """A DKEK share that the card has taken must be refused. A card of an unknown model may take it, and then counts it.

    No sheet says that the applet knows a share again, and a DKEK is the XOR of its shares.
    """
    if hsm.rig.key.name != GENERIC:
        with refused(WRONG_DATA):
            hsm.import_share(share)
        return
    before = hsm.dkek().outstanding
    with suppress(Refused):
        assert hsm.import_share(share).outstanding == before - 1, "what is taken is counted"
        pytest.skip(f"{NOT_OFFERED}: this card takes a share twice, and counts it; no sheet forbids it")


def require_certificates(hsm: ScHsm) -> None:
    """Skip a case that needs EF 2F02 on a card that has none."""
    if not hsm.has_certificates():
        pytest.skip(f"{NOT_OFFERED}: EF 2F02 is missing or empty: nobody has certified this card")


@dataclass
class Device:
    """A second card."""

    client: ScHsm

    def initialize(self, *shares: bytes) -> ScHsm:
        """Initialise it with these DKEK shares, and log in."""
        self.client.initialize(SECOND_SO_PIN, SECOND_PIN, shares=len(shares))
        for share in shares:
            self.client.import_share(share)
        self.client.verify(SECOND_PIN)
        return self.client
