"""Members of the state that defects keep in files of their own, each replaced in a way that a cut gets into.

The sound firmware has one record for all of them, because littlefs replaces one file atomically and never two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from harness.api import records
from harness_fido2.twin.features import PIN_MIN

if TYPE_CHECKING:
    from harness.api import Store
    from harness_fido2.twin.state import State


def _by_rename(store: Store, path: str, data: bytes) -> None:
    """Remove the old file, then rename the new one: in between no file has the name."""
    store.write(f"{path}.new", data)
    store.remove(path)
    store.rename(f"{path}.new", path)


class _Part(NamedTuple):
    """:ivar fresh: the members that are stored apart, with their values while no file exists."""

    path: str
    fresh: Mapping[str, object]
    put: Callable[[Store, str, bytes], None]


_PARTS: dict[str, _Part] = {
    "pin-lost-rename": _Part("fido/sec/pin", {"pin_hash": None, "pin_length": 0}, _by_rename),
    "minimum-in-place": _Part(
        "fido/sec/minimum", {"min_pin": PIN_MIN}, lambda store, path, data: store.write_in_place(path, data)
    ),
}


@lru_cache(maxsize=64)
def _of(defects: frozenset[str]) -> tuple[_Part, ...]:
    return tuple(part for name, part in _PARTS.items() if name in defects)


def without(defects: frozenset[str], state: State) -> State:
    """The state as its record holds it."""
    for part in _of(defects):
        state = replace(state, **part.fresh)  # type: ignore[arg-type]
    return state


def write(defects: frozenset[str], store: Store, before: State | None, state: State) -> None:
    """Replace the files whose members have changed."""
    for part in _of(defects):
        values = [getattr(state, name) for name in part.fresh]
        if values == list(part.fresh.values()):
            store.remove(part.path)
        elif before is None or values != [getattr(before, name) for name in part.fresh]:
            part.put(store, part.path, records.seal({1: values}))


def joined(defects: frozenset[str], store: Store, state: State) -> State:
    """Return the whole state. Members whose file is missing or damaged get the values of a fresh key."""
    for part in _of(defects):
        try:
            content = records.read(store, part.path)
        except records.Damaged:
            content = None
        if content is not None:
            state = replace(state, **dict(zip(part.fresh, content[1])))
    return state
