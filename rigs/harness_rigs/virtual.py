"""The virtual rig: a simulated key on simulated flash, in this process, in virtual time."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from harness.api import CallerError, Driver, Rig, RigRequest, TwinOptions, TwinRig


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


def _make(request: RigRequest) -> Rig:
    twin = request.options.twin
    if request.twin is None:
        raise CallerError(
            f'rig "{request.name}" · driver',
            found=f'virtual, for the key "{request.key.name}"',
            expected="a key that has a twin",
            mend="name another key or another driver",
        )
    options = TwinOptions(
        twin.personality, twin.layer, twin.profile, tuple(twin.defects), twin.version, twin.fill
    )
    return TwinRig(request.name, request.key, request.twin, options, request.seed, request.expendable)


VIRTUAL = Driver("virtual", "a simulated key on flash that tears", VirtualOptions, _make, simulated=True)
