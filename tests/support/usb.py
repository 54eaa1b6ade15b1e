"""Rigs of the driver `usb` in the laboratory, made in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.bench.plugin_api import Actuator, RigRequest
from harness.bench.registry import discover
from harness_rigs.usb.options import UsbOptions
from harness_rigs.usb.rig import UsbRig
from support.lab import Lab
from support.lab.plugin import Options, keyharness_power, keyharness_touch

PORT = "1-1.4.1"
QUICK = {"off_s": 0.0, "gone_s": 0.5, "up_s": 2.0, "answer_s": 5.0}


@contextmanager
def laboratory(folder: Path, ports: int = 4) -> Iterator[Lab]:
    """A laboratory with one empty hub, as this process's host."""
    with Lab(folder / "lab") as lab, lab.standing_in():
        lab.hub("1-1.4", ports)
        yield lab


def make_rig(
    port: str = PORT,
    *,
    slow: bool = False,
    key: str = "nitrokey3-mini",
    identity: str | None = None,
    **options: Any,
) -> UsbRig:
    """A rig on a port, with the laboratory's relay and finger."""
    (power,), (touch,) = keyharness_power(), keyharness_touch()
    request = RigRequest(
        "mini-1",
        discover().key(key, "test"),
        True,
        1,
        UsbOptions(port=port, **{**QUICK, **options}),
        Actuator(power, Options(slow=slow)),
        Actuator(touch, Options()),
        identity=identity,
    )
    return UsbRig(request)
