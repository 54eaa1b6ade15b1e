"""Known bugs of smart-card HSMs, to be seeded into the twin. None is bound to a shipping version of this key."""

from __future__ import annotations

from harness.api import Defect

OPEN_SOURCE = "pico-hsm 8838047, read in source"


def _defect(name: str, title: str, source: str) -> Defect:
    return Defect(name, title, source, application="schsm")


_ALL = (
    _defect(
        "pin-compared-first",
        "a PIN is compared before the lowered retry counter is stored",
        f"{OPEN_SOURCE}; keycard #37 is of the kind: invariant P1",
    ),
    _defect(
        "pin-compared-first-change",
        "the old code of a change is compared before the lowered retry counter is stored; other commands are right",
        "made up, of the kind of keycard #37, in one of several commands: invariant P1",
    ),
    _defect(
        "blocked-forgotten",
        "a retry counter of 0 is taken at power-up for one that was never written, and all tries are there again",
        "made up, of the kind of littlefs #1164 (an empty value counts as the default): invariants P1, P3",
    ),
    _defect(
        "pin-removed-first",
        "a change of a PIN removes the old one before it stores the new one",
        f"{OPEN_SOURCE}: two writes for one change: invariant P4",
    ),
    _defect(
        "so-counter-in-ram",
        "the retry counter of the SO-PIN lives in RAM: each power-up gives all tries back",
        "SmartPGP #13 and keycard #37 are of the kind: invariants P1 and H2",
    ),
    _defect(
        "initialize-unchecked",
        "INITIALIZE does not compare the SO-PIN",
        f"{OPEN_SOURCE}: invariant H2",
    ),
    _defect(
        "initialize-erases-last",
        "INITIALIZE stores the new codes and counters first and erases keys and files last",
        f"{OPEN_SOURCE}: invariants H1 and H4",
    ),
    _defect(
        "initialize-keeps-keys",
        "keys of before are there after INITIALIZE",
        "OpenSC #1790: invariant H4",
    ),
    _defect(
        "key-in-pieces",
        "a new key, its request and its use counter are stored one after the other",
        f"{OPEN_SOURCE}: invariant H5",
    ),
    _defect(
        "key-in-place",
        "a key's file is written in place",
        "littlefs #1164 is of the kind: invariant H5",
    ),
    _defect(
        "file-in-place",
        "a file is overwritten in place",
        "littlefs #1164 is of the kind: invariant H10",
    ),
    _defect(
        "share-counted-later",
        "a DKEK share is taken in before it is counted: a repeated one takes itself out again",
        f"{OPEN_SOURCE}: invariant H3",
    ),
    _defect(
        "use-counted-later",
        "a use counter is lowered after the signature was sent",
        f"{OPEN_SOURCE}: invariant H9",
    ),
    _defect(
        "initialize-renews-device",
        "INITIALIZE makes a new key and certificate of the device",
        "made up: the maker says in public that INITIALIZE does not change the device's identity: invariant H6",
    ),
    _defect(
        "transport-pin-skipped",
        "a card that waits for its transport PIN to be changed lets log in with it",
        "made up, of the kind of pico-keys-sdk #25 (a PIN's state that is not obeyed): invariant P4",
    ),
    _defect(
        "reset-option-ignored",
        "the SO-PIN unblocks the user PIN although the options forbid it",
        "made up, of the kind of keycard #37 (an unblocking code that is not bound to its rules): invariant P3",
    ),
    _defect(
        "kcv-unchecked",
        "a wrapped key is taken in whatever its check value says",
        "pico-keys-sdk #26 is of the kind (check values of zeros): invariant H7",
    ),
    _defect(
        "forced-uncounted",
        "a firmware update that a blocked SO-PIN forces is not counted",
        "made up: the maker allows five: invariant H8",
    ),
    _defect(
        "update-keeps-identity",
        "a firmware update leaves the key and certificate of the device",
        "made up: the maker issues new ones with each update: invariant H8",
    ),
)
DEFECTS = {defect.name: defect for defect in _ALL}
