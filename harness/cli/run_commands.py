"""Commands of a run: run, list, report, replay. What a command needs is imported when it runs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import (
    BenchOption,
    JsonOption,
    ReportsOption,
    SeedOption,
    command_group,
    is_typed,
    write_json,
)
from harness.cli.completions import operation_names, rig_names

app = command_group()
PYTEST_ARGS: list[str] = []
"""What stands behind `--` on the command line."""


class Color(StrEnum):
    """When a run is shown in colours."""

    AUTO, YES, NO = "auto", "yes", "no"


@app.command()
def run(
    context: typer.Context,
    suites: Annotated[
        list[str] | None, typer.Argument(metavar="SUITE", help="Suites; default: all that fit the keys.")
    ] = None,
    bench: BenchOption = None,
    rig: Annotated[
        list[str] | None,
        typer.Option("--rig", metavar="NAME", help="Only this rig.", autocompletion=rig_names),
    ] = None,
    operation: Annotated[
        list[str] | None,
        typer.Option(
            "--operation", metavar="NAME", help="Only this operation.", autocompletion=operation_names
        ),
    ] = None,
    seed: SeedOption = None,
    home: Annotated[
        list[str] | None,
        typer.Option(
            "--home",
            metavar="NAME",
            help="Cut from this home of the key, fresh or another. Default: the bench's.",
        ),
    ] = None,
    cuts: Annotated[
        int | None,
        typer.Option(
            "--cuts", metavar="N", min=1, help="Budget for all operations together. Default: every cut."
        ),
    ] = None,
    firmware: Annotated[
        Path | None,
        typer.Option("--firmware", metavar="DIR|ZIP", help="Cut updates to these containers."),
    ] = None,
    from_version: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="V", help="With --firmware: start from this version."),
    ] = None,
    to_version: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="V", help="With --firmware: only the container of this version."),
    ] = None,
    scenario: Annotated[
        Path | None,
        typer.Option(
            "--scenario", metavar="FILE", help="Replay what happened in the field, on twins unless --bench."
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials", metavar="N", min=0, help="With --scenario: cuts at random instants into an operation."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help="Time for all operations together: 2h, 30m, 90s."),
    ] = None,
    confidence: Annotated[
        str | None,
        typer.Option("--confidence", metavar="PERCENT", help="Goal of each operation, with --below."),
    ] = None,
    below: Annotated[
        str | None,
        typer.Option(
            "--below", metavar="PERCENT", help="Goal: fewer than this share of all instants may do harm."
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            metavar="HOW",
            help="hybrid, random, sweep, vdc; time: on a twin, too, search by time.",
        ),
    ] = None,
    require: Annotated[
        str | None,
        typer.Option(
            "--require",
            metavar="PROOF",
            help="A pass needs this of each operation: bounded or exhaustive. Else it is inconclusive.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the cases that wait for 30 s or longer.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be done, and do nothing.")] = False,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Continue a run that was killed or interrupted."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show each case.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show only what is wrong, and the verdict.")
    ] = False,
    color: Annotated[
        Color, typer.Option("--color", help="Colours; auto: on a terminal.", show_default=False)
    ] = Color.AUTO,
    last_failed: Annotated[
        bool,
        typer.Option(
            "--last-failed",
            help="Only the cases that failed in the latest run, with the options of that run.",
        ),
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop after the first case that fails.")
    ] = False,
    notify: Annotated[
        str | None,
        typer.Option(
            "--notify", metavar="COMMAND", help="At the end run this with the path of summary.json added."
        ),
    ] = None,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Write JSON for programs: a line for each event; one document for --plan."
        ),
    ] = False,
    reports: ReportsOption = Path("reports"),
) -> None:
    """Run suites on the rigs of a bench.

    Arguments after -- go to pytest.

    Exit codes: 0 pass, 1 fail, 2 interrupted, 3 inconclusive, 4 usage, 5 nothing was tested.
    """
    from harness.run import options
    from harness.run.launch import Launch

    if verbose and quiet:
        raise typer.BadParameter("--verbose and --quiet: only one of them")
    if scenario is not None or trials is not None:
        from harness.cli.scenario_option import replay_scenario

        raise typer.Exit(replay_scenario(context, reports, seed))
    shown = ["--color", color.value, *(["-v"] if verbose else []), *(["-q"] if quiet else [])]
    shown += ["--kh-json"] if json else []
    if resume is not None or last_failed:
        # The earlier run's bench and seed go before those of the environment and of files.
        bench = bench if is_typed(context, "bench") else None
        seed = seed if is_typed(context, "seed") else None
    from harness.run.wanted import Wanted

    if firmware is not None:
        from harness.commands.update_matrix import SUITES, matrix

        made = matrix(firmware, from_version or [], to_version or [], bench, reports, rig or [])
        bench, rig = made.file, None
        suites, operation, cuts = suites or [*SUITES], operation or [*made.operations], cuts or made.cuts
    elif from_version or to_version:
        raise typer.BadParameter("--from and --to need --firmware: they choose among its containers")
    wanted = Wanted(
        bench,
        tuple(rig or ()),
        tuple(operation or ()),
        seed,
        cuts,
        budget_us=options.time_us(budget) if budget is not None else None,
        goal=options.goal(confidence, below),
        search=options.search(search),
        require=options.require(require),
        quick=quick,
        homes=tuple(home or ()),
    )
    if resume is not None:
        if suites or plan or last_failed or PYTEST_ARGS or wanted != Wanted():
            raise typer.BadParameter(
                "a run is continued as it was begun: only --reports and what is shown may be given as well"
            )
        raise typer.Exit(Launch.resumed(resume, reports, fail_fast=fail_fast).run(shown, notify))
    if last_failed:
        launch = Launch.of_last_failed(wanted, suites or [], reports, PYTEST_ARGS, fail_fast=fail_fast)
    else:
        launch = Launch(wanted, suites or [], reports, PYTEST_ARGS, only_plan=plan, fail_fast=fail_fast)
    if plan:
        from harness.run.plan import show_plan

        planned = launch.plan()
        write_json("plan", **planned.table()) if json else show_plan(planned, sys.stdout)
    else:
        raise typer.Exit(launch.run(shown, notify))


@app.command("list")
def list_(
    bench: BenchOption = None,
    key: Annotated[
        list[str] | None, typer.Option("--key", metavar="NAME", help="Only this key and its rigs.")
    ] = None,
    rig: Annotated[
        list[str] | None,
        typer.Option("--rig", metavar="NAME", help="Only this rig and its key.", autocompletion=rig_names),
    ] = None,
    operation: Annotated[
        list[str] | None,
        typer.Option("--operation", metavar="PATTERN", help="Only operations that fit: fido2.client_pin.*"),
    ] = None,
    json: JsonOption = False,
    hubs: Annotated[
        bool, typer.Option("--hubs", help="Show the USB hubs of this host instead, with each port's device.")
    ] = False,
) -> None:
    """Show rigs, keys, operations, suites, drivers and plugins.

    And the personalities and defects of twins.
    """
    if hubs:
        from harness.host import hubs as on_bus
        from harness.host.host import here

        if json:
            write_json("list", hubs=on_bus.table(here()))
        else:
            on_bus.show(here(), sys.stdout)
        return
    from harness.commands.listing import Only, listing, show

    table = listing(bench, Only(tuple(key or ()), tuple(rig or ()), tuple(operation or ())))
    if json:
        write_json("list", **table)
    else:
        show(table, sys.stdout)


@app.command()
def report(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Name of a run; default: the latest.")
    ] = None,
    reports: ReportsOption = Path("reports"),
) -> None:
    """Make the report of a run again, and show its verdict."""
    from harness.run.launch import make_report_of

    make_report_of(run, reports, sys.stdout)


@app.command()
def replay(
    replay_id: Annotated[
        str, typer.Argument(metavar="ID|BUNDLE", help="A replay id, as a report prints it; or a bundle.")
    ],
    bench: BenchOption = None,
    from_evidence: Annotated[
        Path | None,
        typer.Option(
            "--from-evidence",
            metavar="RUN",
            help="Cut nothing: boot the state of the cut that this folder keeps.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Repeat one cut, or those that a bundle holds, and show the outcome.

    Exit code 1 if the outcome is a violation.
    """
    if from_evidence is None and Path(replay_id).suffix == ".zip":
        from harness.cli.bundle_commands import show_replayed

        raise typer.Exit(show_replayed(Path(replay_id), bench, json=json))
    from harness.run.replay import replay as do
    from harness.run.replay import show

    found = do(replay_id, bench, from_evidence)
    if json:
        write_json("replay", id=replay_id.strip(), **found.table())
    else:
        show(found, sys.stdout)
    raise typer.Exit(1 if found.violated else 0)
