"""Options, sessions and output that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.run.session import Session

BenchOption = Annotated[
    Path | None, typer.Option("--bench", metavar="FILE", help="Bench file. Default: one simulated key.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
ReportsOption = Annotated[Path, typer.Option("--reports", metavar="DIR", help="Folder of all runs.")]
RigArgument = Annotated[str, typer.Argument(metavar="RIG", help="Name of a rig of the bench.")]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", help="Root of all randomness. Default: today's date (UTC)."),
]


def command_group() -> typer.Typer:
    """Make an empty group of commands.

    Its help is plain text: rich takes as long to import as everything else that `--help` needs.
    """
    return typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


@contextmanager
def session_for(
    bench: Path | None, rigs: tuple[str, ...], purpose: str, *, served: bool = False
) -> Iterator[Session]:
    """Open a session on some rigs of a bench, and release the rigs at the end.

    :param rigs: their names; empty means all.
    :param purpose: what the rigs are used for; others who find a rig in use are told.
    :param served: other programs will use the keys.
    :raises CallerError: no such bench or rig.
    """
    from harness.run.session import Session, Wanted

    session = Session(Wanted(bench, rigs, (), 1), purpose=purpose, served=served)
    try:
        yield session
    finally:
        session.close()


def write_json(value: object) -> None:
    """Write a value to standard output as JSON."""
    import json

    sys.stdout.write(json.dumps(value, indent=1, sort_keys=True) + "\n")
