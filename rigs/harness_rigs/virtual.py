"""The virtual rig: a simulated key on simulated flash, in this process, in virtual time."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from harness.api import CallerError, Driver, Rig, RigRequest, TwinModel, TwinOptions, TwinRig
from harness_rigs.emulator.options import EmulatorOptions, Kind
from harness_rigs.emulator.rig import EmulatorRig


class TwinSettings(BaseModel):
    """Which firmware the twin behaves as, and on which flash."""

    model_config = ConfigDict(extra="forbid")

    personality: str = "reference"
    layer: str | None = None
    profile: str = "nor-torn"
    defects: list[str] = []
    version: str | None = None
    fill: Annotated[float, Field(ge=0, le=1)] = 0.0


class VirtualOptions(BaseModel):
    """The settings of the driver `virtual` in a bench entry."""

    model_config = ConfigDict(extra="forbid")

    twin: TwinSettings = TwinSettings()


def _model(request: RigRequest) -> TwinModel:
    """:raises CallerError: no plugin offers a twin of the key."""
    if request.twin is None:
        raise CallerError(
            f'rig "{request.name}" · driver',
            found=f'virtual, for the key "{request.key.name}"',
            expected="a key that has a twin",
            mend="name another key or another driver",
        )
    return request.twin


def _make(request: RigRequest) -> Rig:
    model, twin = _model(request), request.options.twin
    options = TwinOptions(
        twin.personality, twin.layer, twin.profile, tuple(twin.defects), twin.version, twin.fill
    )
    return TwinRig(request.name, request.key, model, options, request.seed, request.expendable)


def _served(request: RigRequest) -> Rig:
    """The same simulated key in real time, as a process (`keyharness twin`) that other programs reach.

    Its flash does not tear: a killed process leaves each page as it was before or after a flash operation.

    :raises CallerError: the key has no endpoint that a served twin has.
    """
    endpoints = _model(request).endpoints
    kind: Kind
    if "ctaphid" in endpoints:
        kind, where = "ctaphid-tcp", ["--ctaphid-tcp", "{port}"]
    elif "card" in endpoints:
        kind, where = "vpcd", ["--vpcd", "127.0.0.1:{port}"]
    else:
        raise CallerError(
            f'rig "{request.name}" · driver',
            found=f"virtual: a key with {', '.join(endpoints)}",
            expected="a key with ctaphid or a card, to be reached by other programs",
            mend="serve the other rigs with --rig",
        )
    twin: TwinSettings = request.options.twin
    given = {"--personality": twin.personality, "--flash": twin.layer, "--version": twin.version}
    command = [
        sys.executable,
        "-P",
        "-m",
        "harness",
        "twin",
        request.key.name,
        "--state",
        "{state}/twin",
        *where,
    ]
    command += [word for name, value in given.items() if value for word in (name, value)]
    command += [word for defect in twin.defects for word in ("--defect", defect)]
    command += ["--touch", "signal", "--seed", str(request.seed)]
    options = EmulatorOptions(
        command=command,
        transport=kind,
        port=_free_port() if kind == "ctaphid-tcp" else None,
        isolation="none",
        touch="signal",
    )
    return EmulatorRig(replace(request, options=options), served=True)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


VIRTUAL = Driver(
    "virtual", "a simulated key on flash that tears", VirtualOptions, _make, simulated=True, serve=_served
)
