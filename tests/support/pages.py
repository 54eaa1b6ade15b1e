"""README.md and docs/ as programs: the commands that they show are run, and what they show is compared.

A ```console block holds commands ("$ ...") and what they write; "..." alone on a line stands for any lines, and
a command without any lines below it may write what it likes.
`$ echo $?` shows the exit code of the command before it, which is 0 where none is shown. A block with a file
name after its language ("```toml acme.toml") is a file that is there when the commands run. The blocks of a
page run in its order, in one folder; one that takes long has <!-- long --> on the line before it, and one whose
cuts are live, which a busy host may miss, <!-- long, exit 0 or 3 -->.

Numbers may differ from what is shown: `PYTHONPATH=tests python -m support.pages` writes those of today.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support.limits import HUNG_S
from support.paths import ABSENT, ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LONG = "<!-- long -->"
LIVE = "<!-- long, exit 0 or 3 -->"
ANY = "..."
WIDTH = 110
_FENCE = re.compile(r"```(\w+)(?: ([\w./-]+))?$")
_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
_CHECK = re.compile(r"(kh1:[^ ]+):[0-9a-f]{6}")
_HEX = re.compile(r"\b[0-9a-f]{12,32}\b")


@dataclass
class Shown:
    """A command, and the lines that a page shows below it.

    :ivar line: the page's line, from 1, on which the output begins.
    """

    command: str
    line: int
    output: list[str] = field(default_factory=list)

    @property
    def is_exit_code(self) -> bool:
        return self.command == "echo $?"


@dataclass
class Block:
    language: str
    file: str | None
    long: bool
    codes: tuple[int, ...]
    lines: list[str]
    line: int

    def commands(self) -> list[Shown]:
        """:raises AssertionError: output before the first command."""
        found: list[Shown] = []
        for at, text in enumerate(self.lines, self.line):
            if text.startswith("$ "):
                found.append(Shown(text[2:], at + 1))
            elif found and found[-1].command.endswith("\\"):
                found[-1] = Shown(found[-1].command[:-1] + text.strip(), at + 1)
            else:
                assert found, f"line {at}: what is shown here belongs to no command"
                found[-1].output.append(text)
        return found


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    block: Block | None = None
    before = ""
    for at, line in enumerate(text.splitlines(), 1):
        if block is not None and line == "```":
            yield block
            block = None
        elif block is not None:
            block.lines.append(line)
        elif match := _FENCE.match(line):
            codes = (0, 3) if before == LIVE else (0,)
            block = Block(match[1], match[2], before in (LONG, LIVE), codes, [], at + 1)
        before = line


def like(line: str) -> str:
    """A line without what differs from run to run, from machine to machine and from version to version."""
    line = _RUN.sub("<run>", line.rstrip())
    line = _HEX.sub("<digest>", _CHECK.sub(r"\1:<check>", line))
    line = re.sub(r"[0-9][0-9,.]*", "0", line).replace(">", "").replace("<", "")
    return re.sub(r"[ █▌▏▎▍▋▊▉·]+", " ", line).strip()


def compared(shown: list[str], written: list[str]) -> tuple[list[str], str | None]:
    """What is shown with today's numbers, and the first line that was not written, None if all were.

    Empty lines do not count, and where nothing is shown anything may be written.
    """
    written = [line for line in written if line.strip()]
    result: list[str] = []
    at, gap = 0, not any(shown)
    for line in shown:
        if not line.strip() or line.strip() == ANY:
            result.append(line)
            gap = gap or bool(line.strip())
            continue
        while gap and at < len(written) and like(written[at]) != like(line):
            at += 1
        if at >= len(written) or like(written[at]) != like(line):
            return shown, line
        result.append(written[at].rstrip())
        at, gap = at + 1, False
    if not gap and at < len(written):
        return shown, f"(and then) {written[at]}"
    return result, None


class Shell:
    """Runs the commands of a page in a folder of its own.

    :param programs: folder with `keyharness`, before all others on PATH.
    :param install: what `pip install PATH` does.
    """

    def __init__(self, folder: Path, programs: Path, install: Callable[[Path], None] | None = None):
        self.folder, self._programs, self._install = folder, programs, install
        self.draws = True
        """Whether runs draw their pictures, which takes a second of each."""
        self._state = folder.with_name(f"{folder.name}-state")
        self._code = 0

    def run(self, shown: Shown) -> list[str]:
        """What a command writes.

        :raises AssertionError: a script of the checkout that is not there.
        """
        if shown.is_exit_code:
            return [str(self._code)]
        words = shlex.split(shown.command)
        if words[:2] == ["pip", "install"] and self._install:
            self._install(self.folder / words[2])
            self._code = 0
            return []
        command = shown.command
        if words[0].startswith("script/"):
            assert os.access(ROOT / words[0], os.X_OK), f"{words[0]} is not there"
            if words[0] not in ("script/run", "script/prove") or not words[1:]:
                # They would run this test again, or take minutes for what the suites' own tests run.
                self._code = 0
                return shown.output
            command = "keyharness " + shown.command.removeprefix("script/")
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
                "PATH": f"{self._programs}{os.pathsep}{os.environ.get('PATH', '')}",
                "COLUMNS": str(WIDTH),
                "NO_COLOR": "1",
                # A page of the documents shows what is printed, and Allure takes a second of each run.
                "KEYHARNESS_ALLURE": str(ABSENT),
                **({} if self.draws else {"KEYHARNESS_NO_PICTURES": "1"}),
                "XDG_STATE_HOME": str(self._state),
                "KEYHARNESS_RUNTIME": str(self._state / "runtime"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=HUNG_S,
            check=False,
        )
        self._code = done.returncode
        return done.stdout.splitlines()

    @property
    def code(self) -> int:
        return self._code


@dataclass
class Difference:
    """A command that does not do what its page shows."""

    page: str
    shown: Shown
    why: str
    written: list[str]

    def __str__(self) -> str:
        text = "\n    ".join(self.written[-40:])
        return (
            f"{self.page}:{self.shown.line - 1}: $ {self.shown.command}\n  {self.why}\n  it wrote\n    {text}"
        )


def check(page: Path, shell: Shell, *, long: bool) -> tuple[list[Difference], list[tuple[Shown, list[str]]]]:
    """Run a page; returns the differences, and each command with its output in today's numbers."""
    differences: list[Difference] = []
    refreshed: list[tuple[Shown, list[str]]] = []
    text = page.read_text(encoding="utf-8")
    shell.draws = "pictures" in text
    found = list(blocks(text))
    for block in found:
        if block.file:
            file = shell.folder / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(block.lines) + "\n", encoding="utf-8")
    for block in found:
        if block.language != "console" or (block.long and not long):
            continue
        commands = block.commands()
        for at, shown in enumerate(commands):
            written = shell.run(shown)
            told = at + 1 < len(commands) and commands[at + 1].is_exit_code
            if not shown.is_exit_code and not told and shell.code not in block.codes:
                differences.append(
                    Difference(page.name, shown, f"exit code {shell.code}, and none is shown", written)
                )
            lines, missing = compared(shown.output, written)
            if missing is not None:
                differences.append(Difference(page.name, shown, f"it did not write: {missing}", written))
            else:
                refreshed.append((shown, lines))
    return differences, refreshed


def _write(page: Path, refreshed: list[tuple[Shown, list[str]]]) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    for shown, output in refreshed:
        start = shown.line - 1
        assert len(shown.output) == len(output)
        lines[start : start + len(output)] = output
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    """Write today's numbers into all pages, or into those that are named."""
    from support.installation import keyharness_with

    wrong = 0
    pages = [Path(name).resolve() for name in sys.argv[1:]] or PAGES
    with tempfile.TemporaryDirectory(prefix="keyharness-pages-") as name:
        for page in pages:
            # One for each: a page may install something.
            environment = keyharness_with(Path(name) / f"{page.stem}-venv")
            folder = Path(name) / page.stem
            folder.mkdir()
            shell = Shell(folder, environment.path / "bin", environment.install_project)
            differences, refreshed = check(page, shell, long=True)
            _write(page, refreshed)
            for one in differences:
                print(one, file=sys.stderr)
            wrong += len(differences)
            print(
                f"{page.name}: {len(refreshed)} commands, {len(differences)} of them do not do what is shown"
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
