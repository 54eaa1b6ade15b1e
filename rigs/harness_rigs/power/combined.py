"""Several switches as one, in an order: for example a relay in VBUS and one in the data lines.

    [rig.power]
    driver = "combined"
    delay_s = 0.002
    parts.vbus = { driver = "lcus", port = "/dev/ttyUSB0", channel = 1 }
    parts.data = { driver = "lcus", port = "/dev/ttyUSB0", channel = 2 }

A key that has lost VBUS may go on with power from D+ and D-: so both are cut. The cutter switches the part that goes
off first: make it VBUS. This process switches the other parts as soon as it knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from harness.api import ActuatorRequest, Clock, CutAction, PowerDriver, PowerSwitch
from harness_rigs.power.nested import Nested, nested


class CombinedOptions(BaseModel):
    """Settings of `[rig.power]` with several switches; each part has its own `off_time_s`."""

    model_config = ConfigDict(extra="forbid")

    parts: dict[str, dict[str, Any]] = Field(min_length=2)
    """Name of a part -> its `driver` and settings."""
    off: list[str] | None = None
    """The order in which the parts go off; by default as they are written."""
    on: list[str] | None = None
    """The order in which the parts come on; by default as they are written."""
    delay_s: float = Field(default=0.0, ge=0, le=10)
    """Pause between one part and the next."""
    _made: dict[str, Nested] = PrivateAttr(default_factory=dict)

    @field_validator("parts")
    @classmethod
    def _fit(cls, parts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, table in parts.items():
            nested(table, name)
        return parts

    @model_validator(mode="after")
    def _look_up(self) -> CombinedOptions:
        self._made = {name: nested(table, name) for name, table in self.parts.items()}
        for which in ("off", "on"):
            order = getattr(self, which)
            if order is not None and sorted(order) != sorted(self.parts):
                raise PydanticCustomError(
                    "order", "{text}", {"text": f"`{which}` to name each part once: {', '.join(self.parts)}"}
                )
        return self

    @property
    def made(self) -> dict[str, Nested]:
        return self._made


class CombinedSwitch(PowerSwitch):
    """Switches one after the other."""

    def __init__(
        self,
        parts: dict[str, PowerSwitch],
        off: Sequence[str],
        on: Sequence[str],
        delay_s: float,
        clock: Clock,
    ):
        self._off = [parts[name] for name in off]
        self._on = [parts[name] for name in on]
        # The power goes with the first part.
        self.release_us, self.seen_after = self._off[0].release_us, self._off[0].seen_after
        self._delay_us, self._clock = round(delay_s * 1e6), clock

    @property
    def is_on(self) -> bool:
        return all(part.is_on for part in self._on)

    def on(self) -> None:
        for at, part in enumerate(self._on):
            self._wait(at)
            part.on()

    def off(self) -> None:
        for at, part in enumerate(self._off):
            self._wait(at)
            part.off()

    def cut_action(self) -> CutAction | None:
        return self._off[0].cut_action()

    def after_cut(self) -> None:
        self._off[0].after_cut()
        for part in self._off[1:]:
            self._wait(1)
            part.off()

    def _wait(self, at: int) -> None:
        if at and self._delay_us:
            self._clock.wait_us(self._delay_us)


def _make(request: ActuatorRequest) -> PowerSwitch:
    options: CombinedOptions = request.options
    names = list(options.parts)
    parts = {
        name: one.make(request, f"parts.{name}", port=request.port) for name, one in options.made.items()
    }
    return CombinedSwitch(parts, options.off or names, options.on or names, options.delay_s, request.clock)


def _channel(options: CombinedOptions) -> str:
    return " and ".join(sorted(one.channel for one in options.made.values()))


COMBINED = PowerDriver("combined", "several switches as one", CombinedOptions, _make, _channel)
