"""How the tests make a switch from a bench's settings, and cut with the real cutter."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from harness.base.clock import Clock
from harness.bench.plugin_api import ActuatorRequest
from harness.bench.registry import discover
from harness.host.cutter import Cutter
from harness.host.host import Host
from harness.model.instant import CutInstant
from harness.model.rig_parts import PowerSwitch, Touch

RIG = "mini-2"
plugins = cache(discover)


def request(kind: str, driver: str, host: Host, clock: Clock, **settings: Any) -> tuple[Any, ActuatorRequest]:
    """The driver and what it is asked; `rig` and `port` are the request's where given."""
    rig, port = settings.pop("rig", RIG), settings.pop("on_port", None)
    found: Any = getattr(plugins(), kind)[driver]
    return found, ActuatorRequest(rig, found.options.model_validate(settings), port, host, clock)


def power(driver: str, host: Host, clock: Clock, **settings: Any) -> PowerSwitch:
    found, asked = request("power", driver, host, clock, **settings)
    made: PowerSwitch = found.make(asked)
    return made


def touch(driver: str, host: Host, clock: Clock, **settings: Any) -> Touch:
    found, asked = request("touch", driver, host, clock, **settings)
    made: Touch = found.make(asked)
    return made


def cut(switch: PowerSwitch, cutter: Cutter) -> CutInstant:
    """Cut as a campaign does: prepared, fired by the cutter's process, noted."""
    action = switch.cut_action()
    assert action is not None, "it offers no cut action"
    cutter.arm(CutInstant.planned(time.monotonic_ns() // 1000 + 5_000), action)
    fired = cutter.collect()
    switch.after_cut()
    return fired


def says(error: Exception, *words: object) -> None:
    """An error in full names all of these."""
    text = str(error)
    missing = [str(word) for word in words if str(word) not in text]
    assert not missing, f"{missing} not in:\n{text}"
