"""First use, TERMINATE DF and ACTIVATE FILE (specification 3.4, sections 7.2.16 and 7.2.17)."""

from __future__ import annotations

from harness_openpgp.twin import pins
from harness_openpgp.twin.pins import Pin
from harness_openpgp.twin.state import LIFECYCLE, Card
from harness_openpgp.twin.status import WRONG_P1P2, CardError

_MARK = b"terminated"
"""littlefs shows an empty file after a cut that broke off its creation, so this one is not empty."""


def is_terminated(card: Card) -> bool:
    return card.files.read(LIFECYCLE) is not None


def begin(card: Card) -> None:
    """Make PINs and state if there are none: the card is used for the first time.

    PINs without a state are no first use: then the state is lost, and stays so until ACTIVATE.
    """
    if is_terminated(card) or card.stored is not None:
        return
    if not pins.exist(card) or card.has("lost-state-starts-fresh"):
        card.commit(pins.fresh(card), pieces="first-use-in-pieces")


def terminate(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """TERMINATE DF: PW3 is verified, or blocked, or there is no state."""
    if p1 or p2 or data:
        raise CardError(WRONG_P1P2)
    if not is_terminated(card):
        pins.require_possible_reset(card)
        card.in_pieces({LIFECYCLE: _MARK})
    card.end_session()
    return b""


def activate(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """ACTIVATE FILE: a terminated card becomes as it left the factory; another one stays as it is."""
    if p1 or p2 or data:
        raise CardError(WRONG_P1P2)
    if not is_terminated(card):
        return b""
    card.end_session()
    if card.has("activate-in-pieces"):
        names = card.files.names()
        secrets_of_pins = [which.file for which in Pin]
        # Sorted names, as that file system lists them: the mark goes before the state.
        card.remove(name for name in names if name not in secrets_of_pins)
        card.remove(name for name in names if name in secrets_of_pins)
        card.in_pieces(pins.fresh(card))
    elif card.has("activate-keeps-keys"):
        kept = {name: card.files.read(name) for name in card.files.names() if name != LIFECYCLE}
        fresh = pins.fresh(card)
        card.wipe({**kept, **{name: fresh[name] for name in (Pin.USER.file, Pin.ADMIN.file)}})
    elif card.has("first-use-in-pieces"):
        card.wipe({})
        begin(card)
    else:
        card.wipe(pins.fresh(card))
    return b""
