"""Tell somebody that a run has ended: `keyharness run --notify COMMAND`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LIMIT_S = 60.0
"""Seconds that the command may take; then it is ended."""


def notify(command: str, summary: Path, code: int, limit_s: float = LIMIT_S) -> None:
    """Run a command with the path of a run's summary.json as its last argument. What becomes of it changes nothing.

    :param command: for the shell, as a person types it; it also gets KEYHARNESS_SUMMARY and KEYHARNESS_EXIT_CODE.
    :param code: the run's exit code.
    """
    if not summary.exists():
        _warn(command, "not called: the run has left no summary")
        return
    environment = {**os.environ, "KEYHARNESS_SUMMARY": str(summary), "KEYHARNESS_EXIT_CODE": str(code)}
    try:
        # Standard output is the run's own: a program may read JSON there. In a session of its own a command that hangs
        # is ended with all that it has started.
        process = subprocess.Popen(
            ["/bin/sh", "-c", f'{command} "$@"', "keyharness-notify", str(summary)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        _warn(command, str(error))
        return
    try:
        ended = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        _warn(command, f"ended after {limit_s:g} s")
        return
    if ended:
        _warn(command, f"exit code {ended}" if ended > 0 else f"ended by signal {-ended}")


def _warn(command: str, what: str) -> None:
    sys.stderr.write(f"warn: --notify {command}: {what}; the verdict stays\n")
