"""Firmware updates that a person does in a service of the maker, with another device of the owner to log in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.model.rig import Rig


@dataclass(frozen=True)
class OperatorUpdate:
    """What a plugin knows of such updates of one key.

    :ivar refused: (device, helper), both up -> why the service does not update the device with the helper logged in,
        as a sentence for the owner; None if it does. Costs nothing.
    :ivar forced: device -> does the update use one of the forced ones, which are numbered?
    :ivar steps: what the operator does, in order, one sentence each.
    :ivar unfinished: device, powered up after the update -> what shows that it is not updated; None if it is.
    """

    refused: Callable[[Rig, Rig], str | None]
    forced: Callable[[Rig], bool]
    steps: Sequence[str]
    unfinished: Callable[[Rig], str | None]
