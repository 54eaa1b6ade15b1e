"""Known bugs of OpenPGP cards, to be seeded into the twin. None is bound to a shipping version of a key."""

from __future__ import annotations

from harness.api import Defect

OPCARD = "opcard-rs 2d9170d, read in source"


def _defect(name: str, title: str, source: str) -> Defect:
    return Defect(name, title, source, application="openpgp")


_ALL = (
    _defect(
        "pin-compared-first",
        "a PIN is compared before the lowered retry counter is stored",
        "pico-hsm 8838047, read in source; keycard #37 is of the kind: invariant P1",
    ),
    _defect(
        "pin-before-length",
        "a new PIN is stored before its length: CHANGE splits old and new in the wrong place",
        f"{OPCARD}: two writes for one change: invariant P4",
    ),
    _defect(
        "code-in-pieces",
        "the reset code, its length and the key that it unlocks are stored one after the other",
        f"{OPCARD}: invariant P4",
    ),
    _defect(
        "activate-in-pieces",
        "ACTIVATE removes the files one by one, the mark of a terminated card before the state",
        f"{OPCARD}: invariant O6",
    ),
    _defect(
        "first-use-in-pieces",
        "the first PINs and the first state are stored one after the other",
        f"{OPCARD}; opcard #102 and #165: invariant O6",
    ),
    _defect(
        "tries-in-ram",
        "the retry counters live in RAM: each power-up gives all tries back",
        "SmartPGP #13 and keycard #37 are of the kind: invariant P1",
    ),
    _defect(
        "slot-before-key",
        "a slot says that it has a key before the key is stored",
        "opcard #170 is of the kind: invariant O3",
    ),
    _defect(
        "old-fingerprint-kept",
        "a new key keeps fingerprint and date of the one that it replaces",
        f"{OPCARD}: invariant O2",
    ),
    _defect(
        "counter-kept-for-new-key",
        "the signature counter goes on for a new key",
        "specification 3.4, section 4.4.3.10: invariant O4",
    ),
    _defect(
        "signature-counted-later",
        "the signature counter is stored after the signature was sent",
        "solo1 #271 is of the kind: invariant O4",
    ),
    _defect(
        "attributes-keep-key",
        "another algorithm leaves the public key of the one before it",
        "specification 3.4, section 4.4.3.9: invariant O2",
    ),
    _defect(
        "touch-lost-on-import",
        "an import clears the flag that asks for a touch",
        "specification 3.4, section 4.4.3.6: invariant O7",
    ),
    _defect(
        "pw1-mode-lost",
        "a reset of PW1 lets it serve for many signatures",
        "specification 3.4, section 4.3.1: invariant O7",
    ),
    _defect(
        "data-in-place",
        "certificates and other large data objects are overwritten in place",
        "littlefs #1164 is of the kind: invariants O5 and O7",
    ),
    _defect(
        "certificate-removed-first",
        "a certificate is removed before the new one is stored",
        "littlefs #1164 is of the kind: invariant O5",
    ),
    _defect(
        "activate-keeps-keys",
        "keys and data of before are there after a factory reset",
        "nitrokey-3-firmware #443 is of the kind: invariant O6",
    ),
    _defect(
        "terminate-unchecked",
        "TERMINATE asks for no PIN",
        "specification 3.4, section 7.2.16: invariant O1",
    ),
)
DEFECTS = {defect.name: defect for defect in _ALL}
OPCARD_ORDER = frozenset(
    {
        *(defect.name for defect in _ALL if OPCARD in defect.source),
        # No bugs by themselves: what else this application writes, and when.
        "verify-saves-state",
        "key-in-pieces",
    }
)
"""The order of writes of the Nitrokey 3's application."""
