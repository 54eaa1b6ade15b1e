"""`keyharness run --scenario`: check the options that stand beside it, replay, and show."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from harness.cli.common import is_typed, write_json

FITTING = frozenset(
    {
        *("scenario", "trials", "bench", "rig", "seed", "cuts", "firmware", "reports"),
        *("json", "quiet", "verbose", "color"),
    }
)
"""The options of `run` that a scenario can be replayed with."""


def replay_scenario(context: typer.Context, reports: Path, seed: int | None) -> int:
    """Replay the scenario that the options of `run` name, show it, and return the exit code.

    :param reports, seed: from an option, the environment or a file of settings.
    :raises typer.BadParameter: an option that does not go with it.
    """
    from harness.commands.scenario import Asked, play, show

    given = context.params
    if given["scenario"] is None:
        raise typer.BadParameter("--trials needs --scenario")
    wrong = [name for name in given if name not in FITTING and is_typed(context, name)]
    if wrong:
        names = ", ".join("--" + name.replace("_", "-") for name in wrong if name != "suites")
        raise typer.BadParameter(f"--scenario does not go with {names or 'the names of suites'}")
    asked = Asked(
        given["scenario"],
        # Of the environment's bench nobody thought here: what comes from the field is replayed on twins.
        given["bench"] if is_typed(context, "bench") else None,
        tuple(given["rig"] or ()),
        seed,
        given["trials"],
        given["cuts"],
        given["firmware"],
        reports,
    )
    if given["json"]:
        played = play(asked, hidden=True)
        write_json("scenario", **played.table())
    else:
        played = play(asked, shown=("-v",) if given["verbose"] else ("-q",))
        show(played, sys.stdout)
    return played.code
