"""The command of an emulator: its arguments, its environment, and whether its program is there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from harness.api import CallerError
from harness_rigs.emulator.options import EmulatorOptions


def arguments(options: EmulatorOptions, folder: Path) -> list[str]:
    """Program and arguments, with {state}, {port} and {answer_port} filled in."""
    values = {
        "{state}": str(folder),
        "{port}": str(options.main_port),
        "{answer_port}": str(options.answer_port),
    }
    argv = list(options.command)
    for name, value in values.items():
        argv = [part.replace(name, value) for part in argv]
    return argv


def environment(options: EmulatorOptions, rig: str = "") -> dict[str, str]:
    """This process's environment without our own variables (PINs are among them), and the bench's `env`.

    :param rig: the rig's name. A simulated key on it is another one than that on the next rig.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KEYHARNESS")}
    # `keyharness twin` is found even if its virtual environment is not activated.
    path = os.pathsep.join(filter(None, [inherited.get("PATH"), str(Path(sys.executable).parent)]))
    named = {"KEYHARNESS_RIG": rig} if rig else {}
    return {**inherited, "PATH": path, **named, **options.env}


def files_of(options: EmulatorOptions) -> tuple[Path, ...]:
    """Return the files that the command names: the program, and files among its arguments. Others are not known."""
    base = options.directory or options.template or Path()
    program = options.command[0]
    named = str(base / program) if "/" in program else program
    found = shutil.which(named, path=environment(options)["PATH"])
    files = [Path(found)] if found else []
    files += [base / part for part in options.command[1:] if "{" not in part and (base / part).is_file()]
    return tuple(files)


def missing_program(options: EmulatorOptions) -> CallerError | None:
    """Error if the program is not there or cannot be executed; None if it can, or if only its start can tell."""
    program = options.command[0]
    base = options.directory or options.template
    if "{" in program or ("/" in program and not program.startswith("/") and base is None):
        return None
    path = str(base / program) if base and "/" in program else program
    if shutil.which(path, path=environment(options)["PATH"]):
        return None
    found = "a file that you may not execute" if Path(path).is_file() else None
    return no_program(program, found)


def no_program(program: str, found: str | None) -> CallerError:
    """Error for a bench whose `command` names nothing that can be executed.

    :param found: what is there instead; None if nothing is.
    """
    return CallerError(
        f"command {program}",
        found=found or "no such program",
        expected="a program that can be executed",
        mend="name it by its absolute path",
    )
