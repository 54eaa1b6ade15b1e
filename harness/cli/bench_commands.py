"""The commands about what surrounds the keys: power, touch, serve, calibrate, doctor."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from harness.cli.rig_commands import BenchOption, JsonOption, RigArgument, _json, _session

app = typer.Typer(add_completion=False)


class Switching(StrEnum):
    """What can be done to a rig's power."""

    ON = "on"
    OFF = "off"
    CYCLE = "cycle"


@app.command()
def power(
    what: Annotated[Switching, typer.Argument(metavar="on|off|cycle", help="What to do.")],
    rig: RigArgument,
    bench: BenchOption = None,
) -> None:
    """Switch a rig's power and leave it so. Exit code 3 if it is on and no key comes up."""
    from harness.commands.power import switch

    session = _session(bench, (rig,), f"power {what.value}")
    try:
        code = switch(session, rig, what.value, sys.stdout)
    finally:
        session.close()
    raise typer.Exit(code)


@app.command()
def touch(
    rig: RigArgument,
    bench: BenchOption = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=0.05, max=30, help="How long.")
    ] = 0.5,
) -> None:
    """Touch the key on a rig, once: for a request that another program has pending."""
    from harness.commands.power import touch as do

    session = _session(bench, (rig,), "touch")
    try:
        code = do(session, rig, seconds, sys.stdout)
    finally:
        session.close()
    raise typer.Exit(code)


@app.command()
def serve(
    bench: BenchOption = None,
    rig: Annotated[list[str] | None, typer.Option("--rig", metavar="NAME", help="Only this rig.")] = None,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="On 127.0.0.1; 0 is any.")
    ] = 0,
) -> None:
    """Offer rigs to other programs by the HTTP paths of Yubico's Pico rig, until Ctrl-C."""
    from harness.commands.pico_server import serve as do

    session = _session(bench, tuple(rig or ()), "serve")
    try:
        code = do(session, port, sys.stdout)
    finally:
        session.close()
    raise typer.Exit(code)


@app.command()
def calibrate(
    rig: RigArgument,
    bench: BenchOption = None,
    cycles: Annotated[
        int, typer.Option("--cycles", metavar="N", min=4, max=1000, help="Power cycles at most.")
    ] = 30,
    json: JsonOption = False,
) -> None:
    """Measure a rig's power: does it really go, how fast, how long has the key to rest, when is it back.

    Nothing is written to the key. Exit code 3 if the rig is not fit for cuts.
    """
    from harness.commands.calibrate import calibrate as do
    from harness.commands.calibrate import show, table

    session = _session(bench, (rig,), "calibrate")
    try:
        found = do(session, rig, cycles, sys.stderr if json else sys.stdout)
    finally:
        session.close()
    if json:
        _json(table(found))
    else:
        show(found, sys.stdout)


@app.command()
def doctor(
    bench: BenchOption = None,
    json: JsonOption = False,
    install_udev_rules: Annotated[
        bool, typer.Option("--install-udev-rules", help="Write the udev rules for all known keys.")
    ] = False,
) -> None:
    """Look for whatever would keep a run from working on this host. Exit code 0 if nothing would.

    Exit codes: 0 a run would work, 3 something is wrong with this host or a rig, 4 with the bench.
    """
    from harness.doctor.checks import admit, examine, show, table, verdict

    patient, found = admit(bench)
    if install_udev_rules and patient.plugins.keys:
        from harness.doctor.udev_rules import RELOAD, install

        sys.stdout.write(f"written: {install(patient)}\nnow: {RELOAD}\n")
        return
    found += examine(patient)
    if json:
        _json(table(found))
    else:
        show(found, sys.stdout)
    raise typer.Exit(verdict(found))
