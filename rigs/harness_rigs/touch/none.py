"""No touch: for a firmware built without one, which counts each request as touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict

from harness.api import ActuatorRequest, Touch, TouchDriver
from harness_rigs.touch.finger import HeldTouch


class NoneTouchOptions(BaseModel):
    """`[rig.touch]` of a key that needs no touch has no settings."""

    model_config = ConfigDict(extra="forbid")


class NoTouchNeeded(HeldTouch):
    """Does nothing while it is held: the key does not wait."""

    @property
    def can_withhold(self) -> bool:
        return False

    @contextmanager
    def holding(self) -> Iterator[None]:
        yield


def _make(request: ActuatorRequest) -> Touch:
    return NoTouchNeeded(request)


def _channel(options: NoneTouchOptions) -> str:
    # Nothing that two rigs could share.
    return "no touch at {port}"


NONE = TouchDriver(
    "none", "a firmware that counts each request as touched", NoneTouchOptions, _make, _channel
)
