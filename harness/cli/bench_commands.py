"""Commands about what surrounds the keys: power, touch, serve, calibrate, doctor."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import (
    BenchOption,
    JsonOption,
    RigArgument,
    SeedOption,
    command_group,
    session_for,
    write_json,
)
from harness.cli.completions import rig_names

app = command_group()


class PowerAction(StrEnum):
    """What can be done to a rig's power."""

    ON = "on"
    OFF = "off"
    CYCLE = "cycle"


@app.command()
def power(
    what: Annotated[PowerAction, typer.Argument(metavar="on|off|cycle", help="What to do.")],
    rig: RigArgument,
    bench: BenchOption = None,
) -> None:
    """Switch a rig's power, and leave it so.

    Exit code 3 if the power is on and no key comes up.
    """
    from harness.commands.power import switch

    with session_for(bench, (rig,), f"power {what.value}") as session:
        code = switch(session, rig, what.value, sys.stdout)
    raise typer.Exit(code)


@app.command()
def touch(
    rig: RigArgument,
    bench: BenchOption = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=0.05, max=30, help="How long.")
    ] = 0.5,
    unproved: Annotated[
        bool,
        typer.Option(
            "--unproved", help="Do not ask the key first whether it is the one that the bench names."
        ),
    ] = False,
) -> None:
    """Touch the key on a rig once.

    For a request that another program sends to the key. If the bench names a key (identity), the key is asked first
    who it is. One that is busy with a request cannot be asked.
    """
    from harness.commands.power import touch as do

    with session_for(bench, (rig,), "touch") as session:
        code = do(session, rig, seconds, sys.stdout, prove=not unproved)
    raise typer.Exit(code)


@app.command()
def serve(
    bench: BenchOption = None,
    rig: Annotated[
        list[str] | None,
        typer.Option("--rig", metavar="NAME", help="Only this rig.", autocompletion=rig_names),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port on 127.0.0.1; 0: any.")
    ] = 0,
) -> None:
    """Offer rigs to other programs over HTTP, until Ctrl-C.

    The paths are those of Yubico's Pico rig.
    """
    from harness.commands.pico_server import serve as do

    with session_for(bench, tuple(rig or ()), "serve", served=True) as session:
        code = do(session, port, sys.stdout)
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
    """Measure how a rig's power goes and comes back.

    Does the power really go, how fast, how long must the key rest without power, and when is the key back?
    Nothing is written to the key. Exit code 3 if the rig is not fit for cuts.
    """
    from harness.commands.calibrate import calibrate as do
    from harness.commands.calibrate import show, table

    with session_for(bench, (rig,), "calibrate") as session:
        found = do(session, rig, cycles, sys.stderr if json else sys.stdout)
    if json:
        write_json("calibrate", **table(found))
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
    """Find what would keep a run from working on this host.

    Exit codes: 0 a run would work, 3 something is wrong with this host or a rig, 4 with the bench.
    """
    from harness.doctor.checks import load_host, run_checks, table, verdict
    from harness.doctor.show import show

    checked, found = load_host(bench)
    if install_udev_rules and checked.plugins.keys:
        from harness.doctor.udev_rules import RELOAD, install

        sys.stdout.write(f"written: {install(checked)}\nnow: {RELOAD}\n")
        return
    found += run_checks(checked)
    if json:
        write_json("doctor", **table(found))
    else:
        show(found, sys.stdout)
    raise typer.Exit(verdict(found))


@app.command()
def explain(
    image: Annotated[
        Path,
        typer.Argument(metavar="IMAGE", help="A dump of a flash: a file, or a folder with the key's files."),
    ],
    operation: Annotated[
        str, typer.Option("--operation", metavar="NAME", help="What the key did when it lost its power.")
    ],
    bench: BenchOption = None,
    rig: Annotated[
        str | None, typer.Option("--rig", metavar="NAME", help="Whose flash it is.", autocompletion=rig_names)
    ] = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Say which cut leaves a dumped flash, or nearly so, and what the key does when it boots on it.

    Exit code 1 if the judge calls the state a violation.
    """
    from harness.model.outcome import Outcome
    from harness.run.explain import explain as do
    from harness.run.explain import show

    found = do(image, bench, rig, operation, seed)
    if json:
        write_json("explain", image=str(image), **found.table())
    else:
        show(found, sys.stdout, bench)
    raise typer.Exit(1 if Outcome(found.outcome).is_violation else 0)


@app.command(name="field")
def field_logs(
    logs: Annotated[
        list[Path] | None, typer.Argument(metavar="LOG...", help="Logs as somebody sent them, of any kind.")
    ] = None,
    scenario: Annotated[
        Path | None,
        typer.Option("--scenario", metavar="FILE", help="Write what was done to the key into a file."),
    ] = None,
    case: Annotated[
        Path | None,
        typer.Option("--case", metavar="FILE", help="Begin a case file with what the logs tell."),
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option("--cases", metavar="DIR", help="Count the case files of a folder, instead of logs."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Read logs of a failure: a time line, known failures, and what to ask next.

    Names of hosts and users, addresses and serial numbers are replaced by marks.
    """
    if cases is not None:
        from harness.commands.field_cases import CaseReport, show_cases

        if logs or scenario or case:
            raise typer.BadParameter("--cases counts case files; logs are read without it")
        counted = CaseReport(cases)
        if json:
            write_json("field", **counted.table())
        else:
            show_cases(counted, sys.stdout)
        return
    if not logs:
        raise typer.BadParameter("a log, or --cases DIR")
    from harness.commands.field import FieldReport, show

    report = FieldReport(logs)
    if scenario is not None:
        _write_new("--scenario", scenario, report.scenario)
    if case is not None:
        _write_new("--case", case, report.case(case.stem))
    if json:
        write_json("field", **report.table())
    else:
        show(report, sys.stdout)


def _write_new(option: str, path: Path, text: str) -> None:
    from harness.base.errors import CallerError

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise CallerError(
            f"{option} {path}", found=error.strerror, expected="a new file in a folder that is there"
        ) from None
