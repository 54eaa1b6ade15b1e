"""The identity of a simulated device: made at the factory, read at each boot, made anew by a firmware update."""

from __future__ import annotations

from harness_cards.curves import BRAINPOOL_P256
from harness_cards.files import Files
from harness_schsm.roots import twin_certificates
from harness_schsm.twin.state import DEVICE, Card, Identity


def load_identity(files: Files) -> Identity | None:
    """Return who the device is; None if it has no identity."""
    found = files.record(DEVICE)
    if found is None:
        return None
    version = (found[4][0], found[4][1]) if 4 in found else None
    return Identity(int.from_bytes(found[1], "big"), found[2], found[3], version, found.get(5, 0))


def made_anew(card: Card, forced: int, version: tuple[int, int] | None = None) -> Identity:
    """Return another identity: a key of its own, with a name and certificates for it."""
    private = int.from_bytes(card.random("identity", 40), "big") % (BRAINPOOL_P256.order - 1) + 1
    name = f"{card.identity.name[:4]}{int.from_bytes(card.random('serial', 4), 'big') % 10**7:07d}00000"
    return Identity(private, twin_certificates(private, name), name, version, forced)
