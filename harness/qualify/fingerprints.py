"""Refuse a waiver or a fix of a finding that no cut can show: it would stand on the page and hold for nothing."""

from __future__ import annotations

from collections.abc import Iterator

from harness.base.errors import CallerError, one_of
from harness.campaign.uncut_laws import BASELINE, WEAR_ITEM
from harness.model.judge import ANSWERS, STUCK_ITEM
from harness.model.key import Key
from harness.model.operation import Item, NamedHome, Operation
from harness.qualify.plan import Fingerprint

MEND = "`keyharness list` shows items and laws; the findings of qualification.json have both"


def check_fingerprint(finding: Fingerprint, key: Key, place: str) -> None:
    """Compare the item and the law of a finding with what is observed after a cut into its operation.

    Its operation and home are those of the key.

    :param place: what it belongs to, for the message: "plan plan.toml · waiver W-31".
    :raises CallerError: nothing of that name is observed there, or it has another law.
    """
    laws = laws_of(key, key.operations[finding.operation], finding.home)
    if finding.item not in laws:
        where = f"a cut into {finding.operation}" + (f" from the home {finding.home}" if finding.home else "")
        raise CallerError(
            f"{place} · finding.item",
            found=f'"{finding.item}"',
            expected=f"{one_of(finding.item, list(laws))}: what is observed after {where}",
            mend=MEND,
        )
    if finding.law not in laws[finding.item]:
        raise CallerError(
            f"{place} · finding.law",
            found=f'"{finding.law}"',
            expected=f"{' or '.join(laws[finding.item])}, the law of {finding.item}",
            mend=MEND,
        )


def laws_of(key: Key, operation: Operation, home: str | None) -> dict[str, tuple[str, ...]]:
    """Return item -> the laws that a finding may name of it.

    :param home: where the cuts start from; None: from any.
    """
    found = {item.name: (item.law.value, ANSWERS) for item in _items(key, operation, home)}
    return found | {STUCK_ITEM: (ANSWERS,), WEAR_ITEM: (BASELINE,)}


def _items(key: Key, operation: Operation, home: str | None) -> Iterator[Item]:
    yield from key.items
    yield from operation.items
    parts: list[NamedHome] = [
        part for name, parts in key.homes.items() if home in (None, name) for part in parts
    ]
    for part in parts:
        yield from part.items
        if (adapted := part.adapt(operation)) is not None:
            yield from adapted.items
