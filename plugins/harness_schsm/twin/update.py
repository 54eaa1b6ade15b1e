"""The firmware update of a simulated card: what the maker's portal does to it, as far as its rules are known.

The portal's own protocol is closed. This command is of our twins alone; a genuine card does not know it.

    80 F4 00 00 Le      version (2 bytes), forced updates so far (1), keys are there (1), SO-PIN is blocked (1)
    80 F4 01 00 version install that version

The rules, as the maker has stated them in public: there must be no keys, or the SO-PIN must be blocked. With a blocked
SO-PIN the current version is installed even if it is there already; that goes five times. Afterwards the device is as
it was shipped, and another one: key and certificates of the device are new.
"""

from __future__ import annotations

from dataclasses import replace

from harness_schsm.twin.identity import made_anew
from harness_schsm.twin.keys import key_ids
from harness_schsm.twin.pins import tries
from harness_schsm.twin.state import DEVICE, SO, Card, Session
from harness_schsm.twin.status import CONDITIONS, WRONG_LENGTH, WRONG_P1P2, CardError

PORTAL = 0xF4
ASK, INSTALL = 0x00, 0x01
FORCED_MAX = 5
_LOADING_US = 20_000_000
"""A guess; nothing is stored meanwhile that the change needs."""


def portal(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """Answer what the portal asks, or install a version.

    :raises CardError: the rules do not allow it.
    """
    if p2 or p1 not in (ASK, INSTALL):
        raise CardError(WRONG_P1P2)
    has_keys, blocked = bool(key_ids(card)), is_blocked(card)
    if p1 == ASK:
        return bytes([*card.version, card.identity.forced, has_keys, blocked])
    if len(data) != 2:
        raise CardError(WRONG_LENGTH)
    version = (data[0], data[1])
    if has_keys and not blocked:
        raise CardError(CONDITIONS)
    if version < card.version or (version == card.version and not blocked):
        raise CardError(CONDITIONS)
    forced = blocked and (has_keys or version == card.version)
    if forced and card.identity.forced >= FORCED_MAX:
        raise CardError(CONDITIONS)
    card.work(_LOADING_US)
    _renew(card, version, card.identity.forced + (forced and "forced-uncounted" not in card.defects))
    return b""


def is_blocked(card: Card) -> bool:
    """Is the SO-PIN blocked for ever?"""
    return card.configuration is not None and tries(card, SO) == 0


def _renew(card: Card, version: tuple[int, int], forced: int) -> None:
    """Make another device of it, as shipped: one change."""
    fresh = made_anew(card, forced, version)
    if "update-keeps-identity" in card.defects:
        fresh = replace(card.identity, version=version, forced=forced)
    card.files.change({DEVICE: fresh.sealed()}, wipe=True)
    card.identity, card.version, card.session = fresh, version, Session()
    card.staged = b""
    card.ram_tries.clear()
