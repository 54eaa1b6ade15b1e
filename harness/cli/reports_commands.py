"""Commands about the folder of all runs: reports prune."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import JsonOption, ReportsOption, command_group, write_json

app = command_group()


@app.callback()
def reports() -> None:
    """Look after the folder of all runs."""


@app.command()
def prune(
    keep: Annotated[
        int | None, typer.Option("--keep", metavar="N", min=0, help="Keep this number of the newest runs.")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="Remove only what is older: 12h, 30d, 8w."),
    ] = None,
    unfinished: Annotated[
        bool,
        typer.Option("--unfinished", help="Remove killed and interrupted runs, too: they can be continued."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    json: JsonOption = False,
    reports: ReportsOption = Path("reports"),
) -> None:
    """Remove the folders of old runs.

    A run that goes on always stays. So does what the ledger knows of a run.
    """
    from datetime import UTC, datetime

    from harness.run.prune import Pruning, age, show, table
    from harness.run.prune import prune as do

    how = Pruning(keep, age(older_than) if older_than is not None else None, unfinished)
    fates = do(reports, how, datetime.now(UTC), dry_run=dry_run)
    if json:
        write_json("reports prune", **table(fates, dry_run=dry_run))
    else:
        show(fates, sys.stdout, dry_run=dry_run)
