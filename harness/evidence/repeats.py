"""What an earlier row of a campaign says already: `changed` of a clean row, which is a third of the bytes of a run.

Most cuts of an operation leave one of a few states. A clean row that changes the same items in the same way as an
earlier row names that row in the field `like`, counted from 0 among the rows of its campaign, and its own `changed` is
empty. A row that somebody is to blame for says everything itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from harness.model.row import Row

FIELD, CHANGED = "like", "changed"


class Repeats:
    """The rows of one campaign, in their order, as far as later ones may repeat them."""

    def __init__(self, rows: Iterable[Mapping[str, object]] = ()) -> None:
        """:param rows: those that the campaign has already, in full."""
        self._first: dict[str, int] = {}
        self._rows = 0
        for row in rows:
            self.shortened(row)

    def shortened(self, row: Mapping[str, object]) -> Mapping[str, object]:
        """Return the next row without what an earlier one says."""
        at, self._rows = self._rows, self._rows + 1
        changed = row.get(CHANGED)
        if not changed or not isinstance(changed, dict) or FIELD in row:
            return row
        text = json.dumps(changed, sort_keys=True, separators=(",", ":"))
        first = self._first.setdefault(text, at)
        if first == at or row.get("blame") is not None or len(text) <= len(f'{{}}"{FIELD}":{first},'):
            return row
        return {**row, CHANGED: {}, FIELD: first}


def restored(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of one campaign in full; a row that names none of them stays as it is.

    :param rows: all of them, in their order; an older version's have no such field.
    """
    full: list[Row] = []
    for row in rows:
        at = row.get(FIELD)
        if isinstance(at, int) and 0 <= at < len(full):
            row = {name: value for name, value in row.items() if name != FIELD} | {
                CHANGED: full[at].get(CHANGED)
            }
        full.append(row)
    return full
