"""Commands about update containers: firmware FILE..., firmware make."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import JsonOption, KeySeedOption, command_group, write_json

_SHOW, _MAKE = "show", "make"

app = command_group()


def completed(arguments: list[str]) -> list[str]:
    """Write `firmware FILE...` out as `firmware show FILE...`."""
    if arguments[:1] == ["firmware"] and arguments[1:] and arguments[1] not in (_SHOW, _MAKE, "-h", "--help"):
        return ["firmware", _SHOW, *arguments[1:]]
    return arguments


class Signer(StrEnum):
    """Who signs a container that is made."""

    TEST = "test"
    OTHER = "other"
    NONE = "none"


@app.callback()
def firmware() -> None:
    """Show update containers, or make one for a twin.

    `firmware FILE...` is short for `firmware show FILE...`.
    """


@app.command(_SHOW)
def show(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Update containers.")],
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="NAME", help="The key they are for. Default: that of the default bench."
        ),
    ] = None,
    seed: KeySeedOption = 1,
    json: JsonOption = False,
) -> None:
    """Show versions and signers of update containers.

    And which versions each container may replace.
    """
    from harness.commands.update_matrix import describe, exit_code
    from harness.commands.update_matrix import show as do

    found = describe(files, key, seed)
    if json:
        write_json("firmware show", files=found)
    else:
        do(found, sys.stdout)
    raise typer.Exit(exit_code(found))


@app.command(_MAKE)
def make(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to make.")],
    version: Annotated[str, typer.Option("--version", metavar="V", help="The firmware version in it.")],
    key: Annotated[
        Signer,
        typer.Option("--key", help="test: twins of this seed trust it; other: nothing does; none: unsigned."),
    ] = Signer.TEST,
    for_key: Annotated[
        str | None,
        typer.Option("--for", metavar="NAME", help="The key that it is for. Default: as `firmware show`."),
    ] = None,
    seed: KeySeedOption = 1,
    json: JsonOption = False,
) -> None:
    """Make an update container that a twin takes, or refuses.

    And show what other tools must know of the test key. No shipped key takes such a container.
    """
    from harness.commands.update_matrix import make as do
    from harness.commands.update_matrix import show as tell

    made = do(version, key.value, for_key, seed, out)
    if json:
        write_json("firmware make", **made)
    else:
        tell([made], sys.stdout)
