"""A run on a real terminal, and in a log."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from support.limits import HUNG_S

RUN = ("run", "endurance", "--seed", "1", "--operation", "fido2.get_assertion")
ROWS, COLUMNS = 24, 80


def on_a_terminal(cli, *asked):
    """Run a command on a terminal of 80 columns; (exit code, what it wrote)."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    env = {name: text for name, text in cli.env.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    env["TERM"] = "xterm-256color"
    process = subprocess.Popen(
        [*cli.command, *asked], cwd=cli.cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = bytearray()
    try:
        while data := os.read(ours, 1 << 16):
            written += data
    except OSError:
        # Linux ends a terminal that nobody has open any more with EIO.
        pass
    os.close(ours)
    return process.wait(HUNG_S), written.decode()


@pytest.mark.long
def test_a_terminal_shows_the_run_while_it_goes_on(cli):
    """Also while a test runs, when pytest captures what is written to standard output."""
    code, text = on_a_terminal(cli, *RUN)
    assert code == 0, text
    before, _, _ = text.partition("PASS (exhaustive)")
    header = before.index("keyharness 0.")
    progress = re.search(r"fido2\.get_assertion +[█▌·]+ +[0-9]+/[0-9]+", before)
    assert progress is not None, before
    assert header < progress.start()
    assert "\x1b[1;32m" in text, "the verdict has a colour"
    # A line is cleared and written again; nothing that is written is wider than the terminal.
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert max(len(line) for line in re.split(r"[\r\n]+", shown)) <= COLUMNS


def test_a_log_has_times_and_few_lines(cli):
    done = cli(*RUN, "--color", "yes")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^[0-9]:[0-9]{2}:[0-9]{2}  campaign     nk3-mini fido2\.get_assertion +[0-9]+ cuts",
        done.stdout,
        re.M,
    )
    assert re.search(r"  cases        nk3-mini endurance/test_power_cut\.py   1 passed   ", done.stdout)
    assert "\x1b[1;32mPASS (exhaustive)" in done.stdout
