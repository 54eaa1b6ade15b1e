"""PINs: where they come from, and how a change of one survives any crash.

On twins and emulators they come from the run's seed. On hardware the PIN in force comes from the environment or from
a secret file that only its owner can read ($KEYHARNESS_PINS, lines NAME=PIN), never from a bench. Its name there is
KEYHARNESS_PIN_<RIG> for the FIDO2 PIN and KEYHARNESS_PIN_<RIG>_<REFERENCE> for others (_PW1, _SO_PIN): in capitals,
with _ for what is no letter or digit. A new PIN is made at random and written ahead, encrypted, before it is sent to
the key.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.errors import CallerError
from harness.base.limited_file import read_limited_text
from harness.base.seeds import Stream
from harness.base.shape import DamagedFile
from harness.evidence.ledger import state_dir
from harness.model.pin import PinReference
from harness.safety.pin_journal import KEY_VARIABLE, PinJournal, check_secret, is_main

if TYPE_CHECKING:
    from harness.model.rig import Rig

FILE_VARIABLE = "KEYHARNESS_PINS"
DIGITS, HEX_DIGITS = 8, 16
_SECRET_WORDS = re.compile(r"(^|[_-])(pins?|puk|passwords?|passphrase|secrets?)$", re.IGNORECASE)


def pin_for(rig: Rig, which: str, reference: PinReference) -> str:
    """A PIN for a test key by its purpose: "first" is in force, others are put in its place or are wrong.

    On hardware a PIN that is made here has been written ahead when this returns.
    """
    pin = _pin_for(rig, which, reference)
    _HANDED_OUT[pin] = f"[{which} {reference.name}]"
    return pin


_HANDED_OUT: dict[str, str] = {}


def handed_out() -> dict[str, str]:
    """Return the PINs that this process has used, each with the words that stand for it in texts."""
    return dict(_HANDED_OUT)


def known_pins() -> dict[str, str]:
    """Return every PIN that this process has used, or that this host's environment, secret file and journals hold.

    Each with the words that stand for it in texts. Journals that cannot be decrypted are left out.
    """
    found = {**handed_out()}
    given_here = {name: pin for name, pin in os.environ.items() if name.startswith("KEYHARNESS_PIN_")}
    given_here.pop(KEY_VARIABLE, None)
    if (file := os.environ.get(FILE_VARIABLE)) is not None:
        text = read_limited_text(Path(file), "a secret file")
        given_here |= dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    found |= {pin.strip(): f"[{name.strip()}]" for name, pin in given_here.items() if pin.strip()}
    for path in sorted((state_dir() / "pins").glob("*.jsonl")):
        with suppress(CallerError, DamagedFile):
            found |= {one.pin: f"[{one.which} PIN]" for one in PinJournal(path.stem).records()}
    return found


def _pin_for(rig: Rig, which: str, reference: PinReference) -> str:
    if rig.evidence_kind != "hardware":
        # A PIN that a first version knew keeps the stream that it had.
        names = (which,) if is_main(reference) else (reference.name, which)
        return _drawn(reference, Stream(rig.seed, "pin", rig.name, *names).below)
    journal = PinJournal(identity_of(rig))
    if which == "first" and (pin := _in_force(rig, reference)):
        records = journal.records(reference)
        if records and records[-1].pin != pin and any(one.pin == pin for one in records):
            # It is put back: from here on it is the likeliest.
            journal.write_ahead(which, pin, reference)
        return pin
    known = {one.pin for one in journal.records(reference)} | {given(rig.name, reference)}
    if which == "wrong":
        length = HEX_DIGITS if reference.hexadecimal else DIGITS
        return next(pin for digit in "0123456789" if (pin := digit * length) not in known)
    pin = _put_before(journal, which, reference) or _drawn(reference, secrets.randbelow)
    journal.write_ahead(which, pin, reference)
    return pin


def _put_before(journal: PinJournal, which: str, reference: PinReference) -> str | None:
    """The PIN that this purpose had on this key before.

    What an operation puts in place must be known after a cut in which it was not acknowledged: it is what its uncut
    run had put there. And each PIN more that may be in force may cost a try.
    """
    return next((one.pin for one in reversed(journal.records(reference)) if one.which == which), None)


def _drawn(reference: PinReference, below: Callable[[int], int]) -> str:
    """:param below: (n) -> a random number from 0 to n - 1."""
    if reference.hexadecimal:
        return f"{below(16**HEX_DIGITS):0{HEX_DIGITS}X}"
    return f"{below(10**DIGITS):0{DIGITS}d}"


def identity_of(rig: Rig) -> str:
    """The key whose PINs are meant: what custody has proved it to be, else the rig's name."""
    return getattr(rig, "identity", None) or f"rig:{rig.name}"


def variable(rig: str, reference: PinReference) -> str:
    """The name of the environment variable for one of a rig's PINs: KEYHARNESS_PIN_<RIG>[_<REFERENCE>]."""
    words = [rig] if is_main(reference) else [rig, reference.name]
    return "KEYHARNESS_PIN_" + "_".join(re.sub(r"[^A-Z0-9]", "_", word.upper()) for word in words)


def given(rig: str, reference: PinReference) -> str | None:
    """The PIN that the environment or the secret file gives for a rig; None if neither does.

    :raises CallerError: the secret file is readable by others, or no file; or a PIN that must be hexadecimal is not.
    """
    name = variable(rig, reference)
    pin = os.environ[name] if name in os.environ else _from_file(name)
    if pin is not None and reference.hexadecimal and not re.fullmatch(f"[0-9a-fA-F]{{{HEX_DIGITS}}}", pin):
        raise CallerError(
            name,
            found=f"{len(pin)} characters",
            expected=f"{HEX_DIGITS} hex digits: the 8 bytes of the {reference.name}",
        )
    return pin


def _in_force(rig: Rig, reference: PinReference) -> str | None:
    """The PIN that the key has by our own doing; None if it never had one."""
    records = PinJournal(identity_of(rig)).records(reference)
    journalled = [one.pin for one in records if one.which == "first"]
    return given(rig.name, reference) or (journalled[-1] if journalled else None)


def required(rig: Rig, reference: PinReference) -> str:
    """The PIN in force.

    :raises CallerError: nobody gives it; says how to.
    """
    pin, name = given(rig.name, reference), variable(rig.name, reference)
    if pin is None:
        raise CallerError(
            f'rig "{rig.name}": {reference.name}',
            found=f"neither {name} nor a line of that name in ${FILE_VARIABLE}",
            expected=f"the {reference.name} of the key on this rig",
            mend=f"set {name}, or put it in a file that only you can read",
        )
    return pin


def candidates(rig: Rig, reference: PinReference) -> list[str]:
    """PINs that may be in force, the likeliest first: after a crash a change may or may not have happened."""
    if rig.evidence_kind != "hardware":
        return [pin_for(rig, "first", reference)]
    found = _real_candidates(rig, reference)
    _HANDED_OUT.update(dict.fromkeys(found, f"[{reference.name}]"))
    return found


def _real_candidates(rig: Rig, reference: PinReference) -> list[str]:
    journalled = [one.pin for one in reversed(PinJournal(identity_of(rig)).records(reference))]
    first = given(rig.name, reference)
    return list(dict.fromkeys([*journalled, *([first] if first else [])]))


def _from_file(name: str) -> str | None:
    file = os.environ.get(FILE_VARIABLE)
    if not file:
        return None
    path = Path(file)
    check_secret(path)
    for text in read_limited_text(path, "a file of secrets, a line NAME=PIN for each").splitlines():
        found, equals, value = text.partition("=")
        if equals and found.strip() == name:
            return value.strip()
    return None


def refuse_pins_in(raw: object, shown: str, place: str = "") -> None:
    """See that a bench holds no PIN; it is a file that is shared, printed and kept.

    :raises CallerError: it does; its value is not repeated.
    """
    if isinstance(raw, dict):
        for name, value in raw.items():
            here = f"{place}.{name}" if place else str(name)
            if here.endswith(".budget.tries"):
                # Numbers of tries, by the names of PINs.
                continue
            if _SECRET_WORDS.search(str(name)) and not isinstance(value, dict | list):
                raise CallerError(
                    f"{shown}: {here}",
                    found="a PIN or another secret",
                    expected="none in a bench",
                    mend="give it in KEYHARNESS_PIN_<RIG> or in a file of mode 0600; docs/rigs.md",
                )
            refuse_pins_in(value, shown, here)
    elif isinstance(raw, list):
        for number, value in enumerate(raw, 1):
            refuse_pins_in(value, shown, f"{place}[{number}]")
