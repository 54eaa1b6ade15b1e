"""Commands about whether a firmware may be shipped: qualify."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import JsonOption, ReportsOption, command_group

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
        from harness.cli.common import write_json

        write_json("qualify", exit_code=done.exit_code, **_without_schema(done.statement))
    else:
        show(done, sys.stdout)
    raise typer.Exit(done.exit_code)


def _without_schema(statement: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in statement.items() if name != "schema"}
