"""The driver `emulator` of a bench."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.api import CallerError, Driver, Found, RigRequest
from harness_rigs.emulator.options import EmulatorOptions
from harness_rigs.emulator.rig import EmulatorRig
from harness_rigs.recorded.rig import RecordedEmulatorRig


def make(request: RigRequest) -> EmulatorRig:
    """The rig of a bench entry; with the table `[rig.flash]` one whose firmware's writes are recorded."""
    options: EmulatorOptions = request.options
    return EmulatorRig(request) if options.flash is None else RecordedEmulatorRig(request)


def served(request: RigRequest) -> EmulatorRig:
    """An emulator on the ports of this host, where other programs reach it.

    :raises CallerError: the bench insists on a network namespace, into which no other program sees.
    """
    options: EmulatorOptions = request.options
    if options.isolation == "namespace":
        raise CallerError(
            f'rig "{request.name}" · isolation',
            found="namespace",
            expected='"auto" or "none": other programs do not reach into a network namespace',
            mend="change it, or serve the other rigs with --rig",
        )
    return EmulatorRig(
        replace(request, options=options.model_copy(update={"isolation": "none"})), served=True
    )


def _enrol(found: Found) -> dict[str, Any] | None:
    """Settings for an emulator that runs now: its command, in the directory where it keeps its state."""
    return dict(found.more) if found.kind == "process" else None


EMULATOR = Driver(
    "emulator",
    "a firmware that runs as a process; its power switch is SIGKILL",
    EmulatorOptions,
    make,
    _enrol,
    serve=served,
)
