"""Which known failures the lines show. A log that shows none is unexplained, and that is an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.field.knowledge import Knowledge, Sign, Signature
from harness.field.reading import Entry, Reading

PROTECT = "Do not update, reset or initialise the key yet: it is the evidence. Keep it, and keep the logs."
"""The first advice, whatever was found."""
_VENDOR = re.compile(r"(?i)vid_([0-9a-f]{4})")
STRENGTHS = ("certain", "likely", "possible")


@dataclass(frozen=True)
class Recognised:
    """A signature that the lines show, and the lines by which."""

    signature: Signature
    by: tuple[Entry, ...]


def recognise(reading: Reading, known: Knowledge) -> list[Recognised]:
    """The signatures of a reading, the strongest first."""
    found = []
    vendors = known.vendors
    for signature in known.signatures.values():
        entries: list[Entry] = []
        for sign in signature.all_of:
            seen = _seen(sign, reading, vendors)
            if len(seen) < sign.times:
                break
            entries += seen[: sign.times]
        else:
            some = [
                seen for sign in signature.any_of if len(seen := _seen(sign, reading, vendors)) >= sign.times
            ]
            if signature.any_of and not some:
                continue
            if any(len(_seen(sign, reading, vendors)) >= sign.times for sign in signature.none_of):
                continue
            entries += [entry for seen in some for entry in seen[:1]]
            unique = {(entry.file, entry.line): entry for entry in entries}
            found.append(Recognised(signature, tuple(unique[place] for place in sorted(unique))))
    # Of the same strength those first that say something of the key.
    return sorted(
        found, key=lambda one: (STRENGTHS.index(one.signature.strength), one.signature.blame != "key")
    )


def _seen(sign: Sign, reading: Reading, vendors: frozenset[str]) -> list[Entry]:
    found = [
        entry
        for entry in reading.entries
        if entry.event.kind in sign.kind
        and all(
            re.fullmatch(pattern, entry.event.about.get(name, "")) for name, pattern in sign.where.items()
        )
    ]
    return [entry for entry in found if _is_of_key(entry, reading, vendors)] if sign.of_key else found


def _is_of_key(entry: Entry, reading: Reading, vendors: frozenset[str]) -> bool:
    """Tell whether a line is about a device of a vendor that makes keys.

    A line that names no vendor, as of a card in a reader, is taken for one if another line names such a device.
    """
    named = _vendors_of(entry)
    return not vendors.isdisjoint(named or [one for other in reading.entries for one in _vendors_of(other)])


def _vendors_of(entry: Entry) -> list[str]:
    about = entry.event.about
    named = [found.lower() for value in about.values() for found in _VENDOR.findall(value)]
    return [*named, about["vendor"].lower()] if "vendor" in about else named
