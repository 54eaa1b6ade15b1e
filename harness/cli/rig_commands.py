"""Commands about rigs and their keys: enroll, inspect, operator-update, rigs, recover, quarantine, history."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import BenchOption, JsonOption, RigArgument, command_group, session_for, write_json

app = command_group()


@app.command()
def enroll(
    bench: Annotated[Path, typer.Option("--bench", metavar="FILE", help="The bench to add the key to.")],
    pick: Annotated[
        list[str] | None,
        typer.Option("--pick", metavar="N", help="Which key: its number or its USB port. May be repeated."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="RIG", help="Name of the new rig; one for each --pick."),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="The model, if the key does not show it.")
    ] = None,
    words: Annotated[
        str | None,
        typer.Option("--expendable", metavar="WORDS", help='"this key may be destroyed", and nothing else.'),
    ] = None,
    power: Annotated[
        str | None,
        typer.Option("--power", metavar="DRIVER", help="What switches its power: lcus, ykush, ..."),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option("--port", metavar="PORT", help="Of the switch: /dev/ttyUSB0, or a port's number."),
    ] = None,
    channel: Annotated[
        list[int] | None,
        typer.Option(
            "--channel", metavar="N", help="Of the switch; one for all keys, or one for each --pick."
        ),
    ] = None,
    touch: Annotated[
        str | None,
        typer.Option("--touch", metavar="DRIVER", help="What touches it: hand, relay, command, ..."),
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A further setting: touch.press_s=0.5."),
    ] = None,
    scan: Annotated[bool, typer.Option("--scan", help="Only write what is found, as JSON.")] = False,
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="Folder with /sys and /proc.")
    ] = None,
) -> None:
    """Find the keys of this host, and add some to a bench.

    The switch is what the key's USB port offers, unless --power names another.
    """
    from harness.base.errors import CallerError
    from harness.bench.registry import discover
    from harness.commands.enroll import EnrollOptions, enrol_all
    from harness.commands.enroll_switch import SwitchOptions, channels
    from harness.host.scan import scan as look

    plugins = discover()
    found = look(plugins.sought(), root)
    if scan:
        write_json("enroll", found=[one.table() for one in found])
        return
    picks: list[str | None] = [*pick] if pick else [None]
    names: list[str | None] = [*name] if name else [None] * len(picks)
    if len(names) != len(picks):
        raise CallerError(
            "--name", found=f"{len(names)} names for {len(picks)} keys", expected="one for each --pick"
        )
    requests = [
        EnrollOptions(
            bench, at, named, key, words, SwitchOptions(power, touch, port, number, tuple(more or ()))
        )
        for at, named, number in zip(picks, names, channels(channel or [], len(picks)), strict=True)
    ]
    enrol_all(requests, found, plugins, sys.stdout, _ask)


def _ask(question: str) -> str:
    from harness.base.errors import CallerError

    sys.stdout.write(question)
    sys.stdout.flush()
    answer = sys.stdin.readline()
    if not answer:
        raise CallerError("enroll", found="no answer", expected="an answer on stdin", mend="use the options")
    return answer.rstrip("\n")


@app.command()
def inspect(rig: RigArgument, bench: BenchOption = None, json: JsonOption = False) -> None:
    """Read what costs nothing from a key.

    Moves no counter of the key, and works on keys that are not expendable.
    """
    from harness.commands.inspect_key import inspect as look
    from harness.commands.inspect_key import show

    with session_for(bench, (rig,), "inspect") as session:
        table = look(session.rig(rig), session.claims)
    if json:
        write_json("inspect", **table)
    else:
        show(table, sys.stdout)


@app.command("operator-update")
def operator_update(
    rig: RigArgument,
    helper: Annotated[
        str, typer.Option("--helper", metavar="RIG", help="Rig of another working device, which logs in.")
    ],
    bench: BenchOption = None,
) -> None:
    """Lead an operator through an update in the maker's service, and note the device's new identity in the bench.

    Asks for words at a terminal: it never runs unattended.
    """
    from harness.base.errors import CallerError
    from harness.commands.operator_update import update

    if not sys.stdin.isatty():
        raise CallerError(
            "operator-update",
            found="no terminal",
            expected="a person who does the update",
            mend="run it by hand",
        )
    with session_for(bench, (rig, helper), "operator-update") as session:
        update(session, rig, helper, sys.stdout, _ask)


@app.command()
def autopsy(
    rig: RigArgument,
    bench: BenchOption = None,
    second: Annotated[
        bool,
        typer.Option("--second", help="Power it up a second time, and show what the first one alone told."),
    ] = False,
    powered: Annotated[
        bool, typer.Option("--powered", help="Read a key that has power already: its first power-up is over.")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="DIR", help="Put a kept state into a simulated key first."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Read what only the first power-up of a returned key tells, once.

    Nothing is written to the key. Switch the rig off before you put the key in.

    Exit code 3 if no key comes up.
    """
    from harness.commands.autopsy import PowerUp, show
    from harness.commands.autopsy import autopsy as do

    def allowed(first: PowerUp) -> bool:
        if second or json or not sys.stdin.isatty():
            return second
        return _ask("power it up a second time? yes or no: ").strip().lower() in ("y", "yes")

    with session_for(bench, (rig,), "autopsy") as session:
        found = do(session.rig(rig), session.claims, state=state, powered=powered, second=allowed)
    if json:
        write_json("autopsy", **found.table())
    else:
        show(found, sys.stdout)
    raise typer.Exit(found.code)


@app.command()
def rigs(bench: BenchOption = None, json: JsonOption = False) -> None:
    """Show the rigs: their keys, who uses them, and quarantines."""
    from harness.commands.status import show, state_of

    with session_for(bench, (), "look") as session:
        rows = [state_of(session, name) for name in session.rig_names]
        shown = session.bench.shown
    if json:
        write_json("rigs", bench=shown, rigs=rows)
    else:
        show(shown, rows, sys.stdout)


@app.command()
def recover(
    rig: RigArgument,
    bench: BenchOption = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Reset the key at the end, if it is expendable.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Bring a rig back to a known state, step by step.

    Exit code 3 if the key stays dead.
    """
    from harness.run.recovery_ladder import exit_code, show, table
    from harness.run.recovery_ladder import recover as do

    with session_for(bench, (rig,), "recover") as session:
        stuck = session.bench.settings(rig).on_stuck
        steps = do(session.rig(rig), session.claims, on_stuck=stuck, reset=reset)
    if json:
        write_json("recover", **table(rig, steps))
    else:
        show(rig, steps, sys.stdout)
    raise typer.Exit(exit_code(steps))


@app.command()
def quarantine(
    rig: RigArgument,
    bench: BenchOption = None,
    clear: Annotated[bool, typer.Option("--clear", help="End the quarantine.")] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; needed for a change.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show why a rig must not be used, or change that.

    --reason puts the rig in quarantine; --clear with --reason ends the quarantine.
    """
    from dataclasses import asdict

    from harness.run.recovery_ladder import port_or_say
    from harness.safety import quarantine as store

    with session_for(bench, (rig,), "quarantine") as session:
        port = port_or_say(rig, session.port(rig))
    was = store.clear(port, reason or "") if clear else None
    if reason and not clear:
        store.put(port, reason)
    held = store.quarantined(port)
    if json:
        rows = {"quarantine": asdict(held) if held else None, "cleared": asdict(was) if was else None}
        write_json("quarantine", rig=rig, port=port, **rows)
    elif was is not None:
        sys.stdout.write(f'rig "{rig}" may be used again; in quarantine since {was.since}: {was.why}\n')
    else:
        words = f"in quarantine since {held.since}: {held.why}" if held else "not in quarantine"
        sys.stdout.write(f'rig "{rig}" is {words}\n')


@app.command()
def history(
    key: Annotated[
        str | None, typer.Argument(metavar="KEY", help="A key's identity; default: all keys.")
    ] = None,
    json: JsonOption = False,
    retire: Annotated[
        str | None, typer.Option("--retire", metavar="WHY", help="Never use this key again.")
    ] = None,
    inconclusive: Annotated[
        int | None,
        typer.Option(
            "--inconclusive",
            metavar="N",
            min=1,
            help="Instead: exit code 3 if the last N nights said nothing of a key.",
        ),
    ] = None,
) -> None:
    """Show what the ledger knows of a key.

    Its runs, outcomes, wear and spent budgets.
    """
    from harness.base.errors import CallerError
    from harness.evidence.ledger import Ledger
    from harness.evidence.ledger_queries import history_of, keys_of, show_history, show_keys
    from harness.run.ledger_entry import enter_abandoned

    enter_abandoned()
    if inconclusive is not None:
        if retire:
            raise typer.BadParameter("--inconclusive and --retire: only one of them")
        raise typer.Exit(_nights(key, inconclusive, json))
    with Ledger() as ledger:
        if key is None:
            if retire:
                raise CallerError("--retire", found="no key", expected="the identity of the key to retire")
            rows = keys_of(ledger)
            if json:
                write_json("history", keys=rows)
            else:
                show_keys(rows, sys.stdout)
            return
        if retire:
            history_of(ledger, key)
            ledger.retire(key, retire)
        table = history_of(ledger, key)
    if json:
        write_json("history", **table)
    else:
        show_history(table, sys.stdout)


def _nights(key: str | None, most: int, json: bool) -> int:
    from harness.evidence.ledger import Ledger
    from harness.evidence.ledger_nights import in_a_row, nights_of, runs_of

    with Ledger() as ledger:
        nights = nights_of(runs_of(ledger, key))
    count = in_a_row(nights)
    if json:
        write_json("history", nights=nights, inconclusive_in_a_row=count, most=most)
    else:
        words = "night was" if count == 1 else "nights were"
        sys.stdout.write(f"{count} {words} inconclusive, one after the other; {most} are red\n")
        for night in nights[: max(count, 1)]:
            verdicts = ", ".join(f"{name} {number}" for name, number in night["verdicts"].items())
            sys.stdout.write(f"  {night['night']}  {verdicts}\n")
    return 3 if count >= most else 0
