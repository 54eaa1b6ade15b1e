"""What the host knows of a key, and what items share while they look at it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from harness.model.rig import Rig

T = TypeVar("T")


class Memory:
    """What the host knows of a key: one object for each application. A copy is a deep copy."""

    def __init__(self, parts: Mapping[str, Any] | None = None):
        self._parts: dict[str, Any] = dict(parts or {})

    def part(self, name: str, make: Callable[[], T]) -> T:
        """Return the object of the application `name`; make it on first use."""
        if name not in self._parts:
            self._parts[name] = make()
        part: T = self._parts[name]
        return part

    @property
    def parts(self) -> Mapping[str, object]:
        """Application -> its object."""
        return self._parts

    def copy(self) -> Memory:
        return Memory(copy.deepcopy(self._parts))


class Look:
    """What items share while they are observed during one boot of a key.

    :ivar rig: the rig that the key is in.
    :ivar memory: what the host knew before the operation.
    :ivar promise: what the host would know if the operation had been acknowledged; `memory` for power-up.
    :ivar exact: whether the promise names what this run made. On a twin it always does, because a run can be
        repeated; elsewhere only after an acknowledgement: without it the id of a new credential is unknown.
    """

    def __init__(self, rig: Rig, memory: Memory, promise: Memory, exact: bool = True):
        self.rig = rig
        self.memory = memory
        self.promise = promise
        self.exact = exact
        self.kept: dict[str, Any] = {}
        """Values that earlier items noted; they outlive a power cycle."""
        self._shared: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return `make()`, called at most once in a boot (an open client, a list that was read)."""
        if name not in self._shared:
            self._shared[name] = make()
        shared: T = self._shared[name]
        return shared

    def replugged(self) -> None:
        """Forget what was shared: after a power cycle no open handle works."""
        self._shared.clear()
