"""What the cases share: refusals as sets of status words, features that a card may lack, and a new boot.

Where the specification names several status words, or cards of repute differ, a case accepts a set.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.api import NOT_OFFERED, Refused, Rig
from harness_cards.tlv import objects
from harness_openpgp.algorithms import Algorithm
from harness_openpgp.client import OpenPgp
from harness_openpgp.slots import Slot

NOT_VERIFIED = {"6982"}
WRONG_DATA = {"6A80", "6700", "6985"}
WRONG_P1P2 = {"6A86", "6B00", "6A88"}
NO_REFERENCE = {"6A88", "6A82"}
BLOCKED = {"6983", "63C0"}
CONDITIONS = {"6985"}
NO_CODE = BLOCKED | NOT_VERIFIED | NO_REFERENCE | CONDITIONS
"""Of a reset code that is not set: cards say that it is blocked, or that there is none."""
NOT_TOUCHED = {"6600", "6985"}


def wrong(left: int) -> set[str]:
    """A wrong PIN, and the number of tries that are left after it. Cards of version 3.3 and before say 6982."""
    return {f"63C{left}", "6982", "6300"}


@contextmanager
def refused(statuses: set[str]) -> Iterator[None]:
    """The card must refuse, with one of these status words."""
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.status in statuses


def again(rig: Rig) -> OpenPgp:
    """The card after a power cycle."""
    rig.power.cycle()
    rig.wait_until_up()
    return OpenPgp(rig)


def require(offered: bool, what: str) -> None:
    """Skip a case of a feature that the card does not offer."""
    if not offered:
        pytest.skip(f"{NOT_OFFERED}: {what}")


def require_capability(card: OpenPgp, bit: int, what: str) -> None:
    """Skip unless a bit of the first byte of DO C0 is set."""
    require(bool(card.get(0xC0)[0] & bit), what)


def require_aes(card: OpenPgp) -> None:
    """Skip unless the card takes an AES key of the host's; PW3 is verified. Some cards make one themselves."""
    require_capability(card, 0x02, "AES")
    status = card.exchange(0xDA, 0x00, 0xD5, b"\x01")[1]
    require(f"{status:04X}" not in NO_REFERENCE | WRONG_P1P2, "an AES key of the host's")


def require_version(card: OpenPgp, version: tuple[int, int], what: str) -> None:
    require(card.version >= version, what)


def set_algorithm(card: OpenPgp, slot: Slot, algorithm: Algorithm) -> None:
    """Set an algorithm; skip if DO FA is there and does not list it. PW3 is verified."""
    require_version(card, (3, 0), "algorithms other than RSA")
    if card.offers(0xFA):
        listed = [(tag, value) for tag, value, _ in objects(card.algorithms())]
        forms = {algorithm.encoded(), algorithm.encoded(public=True)}
        require(any(tag == slot.attributes and value in forms for tag, value in listed), "this algorithm")
    status = card.exchange(0xDA, 0, slot.attributes, algorithm.encoded())[1]
    if not card.offers(0xFA):
        require(status == 0x9000, "this algorithm")
    assert status == 0x9000
