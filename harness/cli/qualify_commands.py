"""Commands about whether a firmware may be shipped: qualify, compare, triage, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import JsonOption, ReportsOption, command_group, write_json

app = command_group()


@app.command()
def qualify(
    plan: Annotated[
        Path | None, typer.Argument(metavar="PLAN", help="The qualification plan (TOML).")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Show the plan's JSON Schema instead.")] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Run nothing: judge what is there.")
    ] = False,
    merge: Annotated[
        list[Path] | None,
        typer.Option("--merge", metavar="DIR", help="Take in runs that another host made for this plan."),
    ] = None,
    json: JsonOption = False,
    reports: ReportsOption = Path("reports"),
) -> None:
    """Run what a plan lacks, and say whether the firmware may be shipped.

    Exit codes: 0 qualified, also with waivers; 1 not qualified; 2 interrupted; 3 not yet; 4 usage.
    """
    from harness.qualify.command import qualify as do
    from harness.qualify.command import schema as schema_text
    from harness.qualify.command import show

    if schema:
        sys.stdout.write(schema_text())
        return
    if plan is None:
        raise typer.BadParameter("name a plan, or --schema")
    # What runs show goes to standard error, so that --json leaves one document on standard output.
    done = do(plan, reports, sys.stderr if json else sys.stdout, merge=merge or (), report_only=report_only)
    if json:
        write_json("qualify", exit_code=done.exit_code, **_without_schema(done.statement))
    else:
        show(done, sys.stdout)
    raise typer.Exit(done.exit_code)


def _without_schema(statement: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in statement.items() if name != "schema"}


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A run, or a firmware version.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    force: Annotated[
        bool, typer.Option("--force", help="Compare also what differs in key age, kernel or home.")
    ] = False,
    json: JsonOption = False,
    reports: ReportsOption = Path("reports"),
) -> None:
    """Compare the risks of two runs or two firmwares, operation by operation.

    With boot time, silence and erases. Exit code 1 if an operation of B does harm more often than in A.
    """
    from harness.qualify.compare import compare as do
    from harness.qualify.compare import is_worse, show

    found = do(a, b, reports, force=force)
    if json:
        write_json("compare", **found)
    else:
        show(found, sys.stdout)
    raise typer.Exit(1 if is_worse(found) else 0)


@app.command()
def triage(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Name of a run; default: the latest.")
    ] = None,
    json: JsonOption = False,
    reports: ReportsOption = Path("reports"),
) -> None:
    """Sort the findings of a run: new, known to the ledger, unexplained.

    Exit code 1 if one is new or unexplained.
    """
    from harness.qualify.triage import exit_code, show
    from harness.qualify.triage import triage as do

    found = do(run, reports)
    if json:
        write_json("triage", **found)
    else:
        show(found, sys.stdout)
    raise typer.Exit(exit_code(found))


@app.command()
def export(
    audit: Annotated[
        Path | None,
        typer.Option("--audit", metavar="PLAN", help="Export what counts for this plan, for an auditor."),
    ] = None,
    redact: Annotated[
        Path | None,
        typer.Option("--redact", metavar="DIR", help="Copy an export without names and free text."),
    ] = None,
    countersign: Annotated[
        Path | None,
        typer.Option("--countersign", metavar="DIR", help="Sign the head of another host's export."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The new folder.")] = None,
    sign: Annotated[
        Path | None, typer.Option("--sign", metavar="KEY", help="SSH key to sign the head with.")
    ] = None,
    timestamp: Annotated[
        str | None,
        typer.Option("--timestamp", metavar="URL", help="Server that time-stamps the head (RFC 3161)."),
    ] = None,
    reports: ReportsOption = Path("reports"),
) -> None:
    """Export a qualification, so that others can check it.

    verify.py inside checks every file, row, run and signature.
    """
    from harness.qualify import signing
    from harness.qualify.export import export as do
    from harness.qualify.export import redact as copy

    given = [name for name in (audit, redact, countersign) if name is not None]
    if len(given) != 1:
        raise typer.BadParameter("name one of --audit, --redact and --countersign")
    if countersign is not None:
        if sign is None or out is not None:
            raise typer.BadParameter("--countersign needs --sign, and has no --out")
        sys.stdout.write(f"countersigned: {signing.countersign(countersign, sign)}\n")
        return
    if out is None:
        raise typer.BadParameter("name the new folder with --out")
    if redact is not None:
        if sign is not None or timestamp is not None:
            raise typer.BadParameter("--redact keeps the signature and the time stamp that there are")
        sys.stdout.write(f"{len(copy(redact, out))} files left out or shortened: {out}\n")
        return
    assert audit is not None
    head = do(audit, out, reports)
    sys.stdout.write(head.read_text(encoding="utf-8"))
    if sign is not None:
        sys.stdout.write(f"signed: {signing.sign(head, sign)}\n")
    if timestamp is not None:
        sys.stdout.write(f"time-stamped: {signing.time_stamp(head, timestamp)}\n")
    sys.stdout.write(f"check it: python3 {out / 'verify.py'}\n")
