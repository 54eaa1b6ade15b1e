"""Take names of people and identities of keys out of a plan and its statement: the public part of an export.

The export holds both, and its manifest the digests of both. A redacted copy leaves those with names out: what it shows
was signed as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from harness.model.row import Row
from harness.qualify.page import page
from harness.qualify.plan import Plan

PUBLIC = "public"
PERSONS = frozenset(("executor", "reviewer", "approver", "by"))
"""Fields that hold the name of a person, or a list of them."""
SHORTEST = 2
"""In a sentence a name of one letter cannot be told from a letter; in a field of its own it can."""


def public_files(plan: Plan, statement: Row) -> dict[str, str]:
    """Return {path: text} of what an export shows to everybody: the frozen plan, the statement and its page."""
    marks = _marks(plan.model_dump(mode="json"), statement)
    shown: Row = {name: _masked(value, marks, named=name in PERSONS) for name, value in statement.items()}
    frozen = _masked(json.loads(plan.frozen()), marks)
    return {
        f"{PUBLIC}/plan.json": json.dumps(frozen, indent=1, sort_keys=True, ensure_ascii=False) + "\n",
        f"{PUBLIC}/qualification.json": json.dumps(shown, indent=1, ensure_ascii=False) + "\n",
        f"{PUBLIC}/qualification.html": page(shown),
    }


def _marks(plan: Row, statement: Row) -> dict[str, str]:
    """Name of a person or identity of a key -> its mark, the same for the same, in the order of the plan."""
    people = dict.fromkeys([*_people(plan), *_people(statement)])
    keys = [one["identity"] for one in plan["product"]["sample"]] + [
        one["key"] for one in statement["samples"]
    ]
    found = {name: f"[person {number}]" for number, name in enumerate(people, 1)}
    return found | {name: f"[key {number}]" for number, name in enumerate(dict.fromkeys(keys), 1)}


def _people(table: object, *, named: bool = False) -> Iterator[str]:
    if isinstance(table, Mapping):
        for name, value in table.items():
            yield from _people(value, named=name in PERSONS)
    elif isinstance(table, list):
        for value in table:
            yield from _people(value, named=named)
    elif named and isinstance(table, str):
        yield table


def _masked(table: object, marks: Mapping[str, str], *, named: bool = False) -> object:
    """The same table with marks in place of names, wherever they stand in a text."""
    if isinstance(table, Mapping):
        return {name: _masked(value, marks, named=name in PERSONS) for name, value in table.items()}
    if isinstance(table, list):
        return [_masked(value, marks, named=named) for value in table]
    if not isinstance(table, str):
        return table
    if named:
        return marks.get(table, table)
    words = sorted((name for name in marks if len(name) >= SHORTEST), key=len, reverse=True)
    if not words:
        return table
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)")
    return pattern.sub(lambda found: marks[found[0]], table)
