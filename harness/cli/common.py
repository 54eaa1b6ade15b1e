"""Options, sessions and output that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import settings
from harness.cli.completions import rig_names

if TYPE_CHECKING:
    from harness.run.session import Session


def is_typed(context: typer.Context, name: str) -> bool:
    """Return whether an option was typed, and is not from the environment, a file or a default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _typed(context: typer.Context, parameter: typer.CallbackParam) -> bool:
    # While a shell only asks for completions, nothing else is read.
    return context.resilient_parsing or is_typed(context, str(parameter.name))


def _bench(context: typer.Context, parameter: typer.CallbackParam, given: Path | None) -> Path | None:
    if _typed(context, parameter) or (found := settings.setting(settings.BENCH)) is None:
        return given
    return found.path


def _reports(context: typer.Context, parameter: typer.CallbackParam, given: Path) -> Path:
    if _typed(context, parameter) or (found := settings.setting(settings.REPORTS)) is None:
        return given
    return found.path


def _seed(context: typer.Context, parameter: typer.CallbackParam, given: int | None) -> int | None:
    if _typed(context, parameter) or (found := settings.setting(settings.SEED)) is None:
        return given
    return int(found.value)


BenchOption = Annotated[
    Path | None,
    typer.Option(
        "--bench",
        metavar="FILE",
        help="Bench file. Default: KEYHARNESS_BENCH, or two simulated keys.",
        callback=_bench,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
ReportsOption = Annotated[
    Path,
    typer.Option(
        "--reports", metavar="DIR", help="Folder of all runs, else KEYHARNESS_REPORTS.", callback=_reports
    ),
]
RigArgument = Annotated[
    str, typer.Argument(metavar="RIG", help="Name of a rig of the bench.", autocompletion=rig_names)
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        help="Root of all randomness. Default: KEYHARNESS_SEED, or today's date (UTC).",
        callback=_seed,
    ),
]
KeySeedOption = Annotated[int, typer.Option("--seed", metavar="N", help="Root of a twin's own secrets.")]
"""Whose value makes the same twin or the same test key again, whatever a run of today would take."""


def command_group(*, completion: bool = False) -> typer.Typer:
    """Make an empty group of commands.

    :param completion: offer --install-completion and --show-completion.

    Its help is plain text: rich takes as long to import as everything else that `--help` needs.
    """
    return typer.Typer(
        no_args_is_help=True,
        add_completion=completion,
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
    from harness.run.session import Session
    from harness.run.wanted import Wanted

    session = Session(Wanted(bench, rigs, (), 1), purpose=purpose, served=served)
    try:
        yield session
    finally:
        session.close()


def write_json(command: str, **fields: object) -> None:
    """Write the one JSON document of a command to standard output; the parameters are those of `json_document`."""
    from harness.base.json_document import json_document

    sys.stdout.write(json_document(command, **fields))
