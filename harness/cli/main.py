"""The command line. Heavy imports happen inside the commands: `keyharness --help` is to be quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from harness import __version__
from harness.cli.bench_commands import app as bench_app
from harness.cli.rig_commands import app as rigs_app

USAGE, INTERRUPTED, INCONCLUSIVE = 4, 2, 3

app = typer.Typer(
    name="keyharness",
    help="Cut a security key's power at any instant of its writes, and know what its owner would have lost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

BenchOption = Annotated[
    Path | None, typer.Option("--bench", metavar="FILE", help="Bench file. Default: one simulated key.")
]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", help="Root of all randomness. Default: today's date (UTC)."),
]
ReportsOption = Annotated[Path, typer.Option("--reports", metavar="DIR", help="Where runs are kept.")]
_PYTEST_ARGS: list[str] = []


@app.command()
def run(
    suites: Annotated[
        list[str] | None, typer.Argument(metavar="[SUITE]...", help="Suites; default: all.")
    ] = None,
    bench: BenchOption = None,
    rig: Annotated[list[str] | None, typer.Option("--rig", metavar="NAME", help="Only this rig.")] = None,
    operation: Annotated[
        list[str] | None, typer.Option("--operation", metavar="NAME", help="Only this operation.")
    ] = None,
    seed: SeedOption = None,
    cuts: Annotated[
        int | None,
        typer.Option("--cuts", metavar="N", min=1, help="Budget over all operations. Default: every cut."),
    ] = None,
    firmware: Annotated[
        Path | None,
        typer.Option("--firmware", metavar="DIR|ZIP", help="Cut the update to these containers."),
    ] = None,
    from_version: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="V", help="With --firmware: start from this version."),
    ] = None,
    to_version: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="V", help="With --firmware: only the container of this version."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="TIME", help="Time over all operations: 2h, 30m, 90s.")
    ] = None,
    confidence: Annotated[
        str | None,
        typer.Option("--confidence", metavar="PERCENT", help="Goal of each operation, with --below."),
    ] = None,
    below: Annotated[
        str | None, typer.Option("--below", metavar="PERCENT", help="Of so many instants less may do harm.")
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            "--search", metavar="HOW", help="hybrid, random, sweep, vdc; time: by time on a twin too."
        ),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and do nothing.")] = False,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Take up a run that was killed or interrupted."),
    ] = None,
    reports: ReportsOption = Path("reports"),
) -> None:
    """Run suites on the rigs of a bench; what follows -- goes to pytest.

    Exit codes: 0 pass, 1 fail, 2 interrupted, 3 inconclusive, 4 usage, 5 nothing was tested.
    """
    from harness.run import options as wishes
    from harness.run.launch import Launch
    from harness.run.session import Wanted

    if firmware is not None:
        from harness.commands.update_matrix import OPERATIONS, SUITES, matrix

        bench, usual = matrix(firmware, from_version or [], to_version or [], bench, reports)
        suites, operation, cuts = suites or [*SUITES], operation or [*OPERATIONS], cuts or usual
    elif from_version or to_version:
        raise typer.BadParameter("--from and --to say which containers of --firmware are meant")
    wanted = Wanted(
        bench,
        tuple(rig or ()),
        tuple(operation or ()),
        seed,
        cuts,
        budget_us=wishes.time_us(budget) if budget is not None else None,
        goal=wishes.goal(confidence, below),
        search=wishes.search(search),
    )
    if resume is not None:
        if suites or plan or _PYTEST_ARGS or wanted != Wanted():
            raise typer.BadParameter("a run is taken up as it was begun: only --reports goes with it")
        raise typer.Exit(Launch.resumed(resume, reports).run())
    launch = Launch(wanted, suites or [], reports, _PYTEST_ARGS)
    if plan:
        launch.show_plan(sys.stdout)
    else:
        raise typer.Exit(launch.run())


@app.command()
def firmware(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Update containers.")],
    key: Annotated[
        str, typer.Option("--key", metavar="NAME", help="The key they are for.")
    ] = "nitrokey3-mini",
    seed: SeedOption = 1,
) -> None:
    """Say what update containers are: version, signer, and what they may replace."""
    from harness.commands.update_matrix import show

    raise typer.Exit(show(files, key, 1 if seed is None else seed, sys.stdout))


@app.command("list")
def list_(
    bench: BenchOption = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    hubs: Annotated[
        bool, typer.Option("--hubs", help="Show this host's USB hubs instead, and what hangs on each port.")
    ] = False,
) -> None:
    """Show rigs, keys with their operations, suites, drivers, personalities, defects and plugins."""
    if hubs:
        from harness.host.hubs import list_hubs

        list_hubs(sys.stdout, json=json)
        return
    from harness.commands.listing import listing, show

    table = listing(bench)
    if json:
        import json as json_module

        sys.stdout.write(json_module.dumps(table, indent=1, sort_keys=True) + "\n")
    else:
        show(table, sys.stdout)


@app.command()
def report(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Name of a run; default: the latest.")
    ] = None,
    reports: ReportsOption = Path("reports"),
) -> None:
    """Make the report of a run again, and show its verdict."""
    from harness.run.launch import make_report_of

    make_report_of(run, reports, sys.stdout)


@app.command()
def replay(
    replay_id: Annotated[str, typer.Argument(metavar="ID", help="A replay id, as a report prints it.")],
    bench: BenchOption = None,
) -> None:
    """Do one cut again, and say what it leads to. Exit code 1 if it violates what must hold."""
    from harness.run.replay import replay as do

    raise typer.Exit(do(replay_id, bench, sys.stdout))


@app.command()
def prove(
    key: Annotated[
        str, typer.Option("--key", metavar="NAME", help="The key whose twin is used.")
    ] = "nitrokey3-mini",
    defect: Annotated[
        list[str] | None, typer.Option("--defect", metavar="NAME", help="Only this one.")
    ] = None,
    seed: SeedOption = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    long: Annotated[
        bool, typer.Option("--long", help="100,000 cuts into the sound twin instead: no false alarm.")
    ] = False,
    cuts: Annotated[int, typer.Option("--cuts", metavar="N", min=1, help="With --long: so many.")] = 100_000,
) -> None:
    """Seed known bugs into a twin, one at a time, and see that the suites catch each."""
    from harness.run.prove import prove as do

    raise typer.Exit(do(key, tuple(defect or ()), seed, json, sys.stdout, cuts if long else None))


@app.command()
def twin(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Name of a key that has a twin.")],
    state: Annotated[Path, typer.Option("--state", metavar="DIR", help="Where its flash is kept, in files.")],
    personality: Annotated[
        str, typer.Option("--personality", metavar="P", help="Firmware version.")
    ] = "reference",
    flash: Annotated[str | None, typer.Option("--flash", metavar="LAYER", help="Flash layer.")] = None,
    defect: Annotated[
        list[str] | None, typer.Option("--defect", metavar="NAME", help="Seed a known bug.")
    ] = None,
    ctaphid_udp: Annotated[
        str | None,
        typer.Option("--ctaphid-udp", metavar="LISTEN:ANSWER", help="64-byte reports in datagrams."),
    ] = None,
    ctaphid_tcp: Annotated[
        int | None,
        typer.Option("--ctaphid-tcp", metavar="PORT", min=1, max=65535, help="Reports behind a length."),
    ] = None,
    vpcd: Annotated[
        str | None, typer.Option("--vpcd", metavar="HOST:PORT", help="Be a card in that virtual reader.")
    ] = None,
    dfu_pty: Annotated[
        Path | None,
        typer.Option("--dfu-pty", metavar="LINK", help="The bootloader's serial port, while it is there."),
    ] = None,
    touch: Annotated[
        str,
        typer.Option(
            "--touch",
            metavar="WHEN",
            help="always, never, a number of ms, stdin (a line), or signal (SIGUSR1).",
        ),
    ] = "signal",
    speed: Annotated[
        str, typer.Option("--speed", metavar="real|max", help="Whether flash takes its time.")
    ] = "real",
    exit_on_reboot: Annotated[
        int | None,
        typer.Option("--exit-on-reboot", metavar="CODE", min=1, max=125, help="End with it at a reboot."),
    ] = None,
    seed: SeedOption = 1,
    trace: Annotated[bool, typer.Option("--trace", help="Show the messages, decoded, on stderr.")] = False,
) -> None:
    """Serve a simulated key as a process, in real time; killing it is a power cut."""
    from harness.base.errors import CallerError
    from harness.commands.serve_twin import Wish, serve
    from harness.twin.model import TwinOptions

    if speed not in ("real", "max"):
        raise CallerError("--speed", found=speed, expected="real or max")
    options = TwinOptions(personality, flash, defects=tuple(defect or ()))
    raise typer.Exit(
        serve(
            Wish(
                key,
                options,
                state,
                seed or 1,
                ctaphid_udp,
                ctaphid_tcp,
                vpcd,
                touch,
                speed,
                trace,
                dfu_pty,
                exit_on_reboot,
            )
        )
    )


app.add_typer(rigs_app)
app.add_typer(bench_app)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"keyharness {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Only options that belong to no command."""


def main(argv: list[str] | None = None) -> None:
    """Entry point: errors become one message and an exit code, never a traceback for caller and rig."""
    arguments = sys.argv[1:] if argv is None else argv
    if "--" in arguments and arguments[:1] == ["run"]:
        at = arguments.index("--")
        _PYTEST_ARGS[:] = arguments[at + 1 :]
        arguments = arguments[:at]
    raise SystemExit(_guarded(arguments))


def _guarded(arguments: list[str]) -> int:
    from typer.exceptions import Abort, TyperException

    from harness.base.errors import Blame, KeyharnessError

    try:
        result: Any = app(arguments, standalone_mode=False)
    except TyperException as error:
        show = getattr(error, "show", None)
        show() if show else sys.stderr.write(f"{error}\n")
        return USAGE
    except (Abort, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except KeyharnessError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE if error.blame is Blame.CALLER else INCONCLUSIVE
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): that is no fault.
        sys.stderr.close()
        return 0
    return int(result or 0)
