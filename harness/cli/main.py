"""The command line: its groups of commands, and what a fault becomes: one message and an exit code.

Commands import what they need when they run: `keyharness --help` must be quick.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from harness import __version__
from harness.cli import (
    bench_commands,
    bundle_commands,
    firmware_commands,
    qualify_commands,
    reports_commands,
    rig_commands,
    run_commands,
    twin_commands,
)
from harness.cli.common import command_group

USAGE, INTERRUPTED, INCONCLUSIVE = 4, 2, 3
PROGRAM = "keyharness"
"""Its name in messages and for a shell's completions, also as `python -m harness`."""


app = command_group(completion=True)
app.add_typer(run_commands.app)
app.add_typer(firmware_commands.app, name="firmware")
app.add_typer(reports_commands.app, name="reports")
for group in (twin_commands, rig_commands, bench_commands, bundle_commands, qualify_commands):
    app.add_typer(group.app)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"keyharness {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Cut a security key's power at any instant of its writes, and know what its owner would have lost."""


def main(argv: list[str] | None = None) -> None:
    """Run a command; errors of caller and rig become one message and an exit code, never a traceback."""
    _open_standard_files()
    # A name on this host may hold what the output cannot: it is escaped, and the rest is shown.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = sys.argv[1:] if argv is None else argv
    if "--" in arguments and arguments[:1] == ["run"]:
        at = arguments.index("--")
        run_commands.PYTEST_ARGS[:] = arguments[at + 1 :]
        arguments = arguments[:at]
    raise SystemExit(_flushed(_guarded(firmware_commands.completed(arguments))))


def _open_standard_files() -> None:
    """Open what the caller has closed, as in `keyharness list >&-`: what is written there goes nowhere.

    Else the next file that is opened gets the number of standard output, and a child process writes into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _flushed(code: int) -> int:
    """Write out what is buffered; a full disk behind standard output must not become Python's own exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return code
    except OSError as error:
        sys.stderr.write(f"standard output: {error.strerror}\n")
        _discard_output()
        return INCONCLUSIVE
    return code


def _discard_output() -> None:
    """Let the rest of standard output go nowhere: Python flushes once more at its end, and would exit with 120."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _guarded(arguments: list[str]) -> int:
    from typer.exceptions import Abort, TyperException

    from harness.base.errors import Blame, KeyharnessError, host_error
    from harness.base.libraries import silence_libraries
    from harness.cli.settings import source_of

    silence_libraries()
    out = sys.stdout
    try:
        result: object = app(arguments, prog_name=PROGRAM, standalone_mode=False)
    except TyperException as error:
        show = getattr(error, "show", None)
        show() if show else sys.stderr.write(f"{error}\n")
        return USAGE
    except (Abort, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except KeyharnessError as error:
        sys.stderr.write(f"{error}\n")
        if (source := source_of(error.what)) is not None:
            sys.stderr.write(f"  set in    {source}\n")
        return USAGE if error.blame is Blame.CALLER else INCONCLUSIVE
    except BrokenPipeError:
        # The program that reads our output has ended, as in `| head`: no fault.
        _discard_output()
        return 0
    except SystemExit as ended:
        # typer ends a program with 1 whose reader has ended, and leaves a wrapper in the place of standard output.
        if sys.stdout is not out:
            _discard_output()
            return 0
        return int(str(ended.code or 0))
    except OSError as error:
        fault = host_error(error)
        sys.stderr.write(f"{fault}\n" if fault else f"this host: {error}\n")
        return INCONCLUSIVE
    except Exception as error:
        if os.environ.get("KEYHARNESS_TRACEBACK"):
            raise
        sys.stderr.write(
            f"a fault of Keyharness: {type(error).__name__}: {error}\n"
            "  mend      please report it; KEYHARNESS_TRACEBACK=1 shows where it happened\n"
        )
        return INCONCLUSIVE
    return result if isinstance(result, int) else 0
