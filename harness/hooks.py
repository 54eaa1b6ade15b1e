"""The hooks through which keys, drivers and suites are found.

A distribution of anybody's offers a plugin module under the entry-point group `keyharness`; the module
implements any of these with `@hookimpl`. Ours do it the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pydantic import BaseModel

    from harness.key import Key
    from harness.rig import Rig
    from harness.scan import Found

GROUP = "keyharness"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True)
class RigRequest:
    """What a driver is asked to make a rig from.

    :ivar options: an instance of the driver's own options model.
    """

    name: str
    key: Key
    expendable: bool
    seed: int
    options: Any


@dataclass(frozen=True)
class Driver:
    """A way to power and reach a key.

    :param options: pydantic model of what a bench may say besides name, key, driver and expendable.
    :param make: builds the rig; raises CallerError for settings that do not fit, RigError for a rig that does
        not answer.
    :param enrol: the settings with which it would reach something that was seen, None if it cannot.
    """

    name: str
    title: str
    options: type[BaseModel]
    make: Callable[[RigRequest], Rig]
    enrol: Callable[[Found], Mapping[str, Any] | None] | None = None


@dataclass(frozen=True)
class Suite:
    """A folder of pytest files that ask something of a key."""

    name: str
    title: str
    path: Path


class Specs:
    """What a plugin may offer."""

    @hookspec
    def keyharness_keys(self) -> Sequence[Key]:
        """Models of keys."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_drivers(self) -> Sequence[Driver]:
        """Drivers for rigs."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_suites(self) -> Sequence[Suite]:
        """Folders of tests."""
        raise AssertionError("a specification is not called")
