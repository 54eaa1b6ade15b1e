"""The commands about rigs and keys: enroll, inspect, rigs, recover, quarantine, history."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.run.session import Session

app = typer.Typer(add_completion=False)

BenchOption = Annotated[
    Path | None, typer.Option("--bench", metavar="FILE", help="Bench file. Default: one simulated key.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
RigArgument = Annotated[str, typer.Argument(metavar="RIG", help="Name of a rig of the bench.")]


def _session(bench: Path | None, rigs: tuple[str, ...], purpose: str) -> Session:
    from harness.run.session import Session, Wanted

    return Session(Wanted(bench, rigs, (), 1), purpose=purpose)


def _json(value: Any) -> None:
    import json

    sys.stdout.write(json.dumps(value, indent=1, sort_keys=True) + "\n")


@app.command()
def enroll(
    bench: Annotated[Path, typer.Option("--bench", metavar="FILE", help="The bench that it is added to.")],
    pick: Annotated[
        str | None, typer.Option("--pick", metavar="N", help="Which one: its number or its place.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="RIG", help="Name of its rig.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="The model, if it does not show.")
    ] = None,
    words: Annotated[
        str | None,
        typer.Option("--expendable", metavar="WORDS", help='"this key may be destroyed", and nothing else.'),
    ] = None,
    scan: Annotated[bool, typer.Option("--scan", help="Only show what is seen, as JSON.")] = False,
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="Where /sys and /proc are.")
    ] = None,
) -> None:
    """Show what may be a key, ask which one, and add it to a bench."""
    from harness.bench.registry import discover
    from harness.commands.enroll import Request, enrol
    from harness.host.scan import scan as look

    found = look(root)
    if scan:
        _json([one.table() for one in found])
        return
    enrol(Request(bench, pick, name, key, words), found, discover(), sys.stdout, _ask)


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
    """Read what costs nothing from a key. Moves no counter; works on keys that are not expendable."""
    from harness.commands.inspect_key import inspect as look
    from harness.commands.inspect_key import show

    session = _session(bench, (rig,), "inspect")
    try:
        table = look(session.rig(rig), session.custody)
    finally:
        session.close()
    if json:
        _json(table)
    else:
        show(table, sys.stdout)


@app.command()
def rigs(bench: BenchOption = None, json: JsonOption = False) -> None:
    """Show the rigs, their keys, whether they can be used, who is at them, and which are in quarantine."""
    from harness.commands.status import show, state_of

    session = _session(bench, (), "look")
    try:
        rows = [state_of(session, name) for name in session.rig_names]
        shown = session.bench.shown
    finally:
        session.close()
    if json:
        _json(rows)
    else:
        show(shown, rows, sys.stdout)


@app.command()
def recover(
    rig: RigArgument,
    bench: BenchOption = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Reset the key at the end; only if it is expendable.")
    ] = False,
) -> None:
    """Bring a rig back to a known state, one careful step after the other. Exit code 3 if the key stays dead."""
    from harness.run.recovery_ladder import recover as do
    from harness.run.recovery_ladder import show

    session = _session(bench, (rig,), "recover")
    try:
        stuck = session.bench.settings(rig).on_stuck
        steps = do(session.rig(rig), session.custody, on_stuck=stuck, reset=reset)
    finally:
        session.close()
    raise typer.Exit(show(rig, steps, sys.stdout))


@app.command()
def quarantine(
    rig: RigArgument,
    bench: BenchOption = None,
    clear: Annotated[bool, typer.Option("--clear", help="Let it be used again.")] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; needed for a change.")
    ] = None,
) -> None:
    """Show why a rig is not to be used; put it in quarantine with --reason, or clear it with --clear."""
    from harness.run.recovery_ladder import port_or_say
    from harness.safety import quarantine as store
    from harness.safety.claim import port_of

    session = _session(bench, (rig,), "quarantine")
    try:
        port = port_or_say(rig, port_of(session.rig(rig)))
    finally:
        session.close()
    if clear:
        was = store.clear(port, reason or "")
        sys.stdout.write(f'rig "{rig}" may be used again; it was kept since {was.since}: {was.why}\n')
        return
    if reason:
        store.put(port, reason)
    held = store.quarantined(port)
    words = f"in quarantine since {held.since}: {held.why}" if held else "not in quarantine"
    sys.stdout.write(f'rig "{rig}" is {words}\n')


@app.command()
def history(
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="A key's identity; default: all.")
    ] = None,
    json: JsonOption = False,
    retire: Annotated[
        str | None, typer.Option("--retire", metavar="WHY", help="Never use this key again.")
    ] = None,
) -> None:
    """What the ledger knows of a key: runs, outcomes, wear, spent budgets."""
    from harness.base.errors import CallerError
    from harness.evidence.ledger import Ledger
    from harness.evidence.ledger_queries import history_of, keys_of, show_history, show_keys
    from harness.run.ledger_entry import enter_abandoned

    enter_abandoned()
    with Ledger() as ledger:
        if key is None:
            if retire:
                raise CallerError("--retire", found="no key", expected="the key that is to be retired")
            rows = keys_of(ledger)
            if json:
                _json(rows)
            else:
                show_keys(rows, sys.stdout)
            return
        if retire:
            history_of(ledger, key)
            ledger.retire(key, retire)
        table = history_of(ledger, key)
    if json:
        _json(table)
    else:
        show_history(table, sys.stdout)
