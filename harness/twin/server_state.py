"""The state of a served twin: the flash of its board in the files of a directory."""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.base.errors import CallerError
from harness.twin.board import Board
from harness.twin.image import BoardState, FlashImage

HEAD = "twin.json"


def kept_uuid(path: Path) -> str | None:
    """The UUID of the twin in a directory, in hex; "" if its seed decides; None if no twin is there yet."""
    head = path / HEAD
    return str(json.loads(head.read_text()).get("uuid", "")) if head.exists() else None


class StateFiles:
    """The flash of a board in a directory: one file per chip, and the number of boots in twin.json.

    :param label: what the twin was started with; a directory of another twin is refused.
    :ivar retained: the board's register as the last process left it, if that process ended for a reset; else 0.
    :raises CallerError: the directory holds the state of another twin.
    """

    def __init__(self, path: Path, board: Board, label: dict[str, object]):
        self.path, self._board = path, board
        path.mkdir(parents=True, exist_ok=True)
        self._head = path / HEAD
        self._label = label
        self.retained = 0
        if self._head.exists():
            self._load()
        else:
            for name, flash in board.flash.items():
                self._file(name).write_bytes(b"".join(flash.pages))
            self.note_boots()
        self._open = {name: os.open(self._file(name), os.O_RDWR) for name in board.flash}

    def _file(self, chip: str) -> Path:
        return self.path / f"{chip}.bin"

    def _load(self) -> None:
        head = json.loads(self._head.read_text())
        for name, value in self._label.items():
            if head.get(name) != value:
                raise CallerError(
                    f"{self.path}",
                    found=f"the state of a twin with {name} = {head.get(name)}",
                    expected=f"{name} = {value}",
                    mend="name another directory, or start the twin as it was started the first time",
                )
        chips = {}
        for name, flash in self._board.flash.items():
            data, size = self._file(name).read_bytes(), flash.part.page_size
            if len(data) != flash.part.size:
                raise CallerError(
                    f"{self._file(name)}", found=f"{len(data)} bytes", expected=f"{flash.part.size} bytes"
                )
            pages = tuple(data[at : at + size] for at in range(0, len(data), size))
            chips[name] = FlashImage(pages, (0,) * flash.part.pages)
        self._board.load(BoardState(chips, int(head["boots"])))
        self.retained = int(head.get("retained", 0))

    def note_boots(self, retained: int = 0) -> None:
        """Write how often the board has booted.

        :param retained: the board's register, if this process ends for a reset and the next one goes on.
        """
        head = {**self._label, "boots": self._board.boots, **({"retained": retained} if retained else {})}
        temporary = self._head.with_suffix(".new")
        temporary.write_text(json.dumps(head, sort_keys=True) + "\n")
        temporary.replace(self._head)

    def about_to_boot(self) -> None:
        """Count a boot before it starts: the random numbers of a boot that is cut must not repeat."""
        self._board.boots += 1
        self.note_boots()
        self._board.boots -= 1

    def store(self, chip: str, page: int, content: bytes) -> None:
        """Write one page to the file of its chip."""
        # One page in one call: a killed process leaves the page old or new, never torn.
        os.pwrite(self._open[chip], content, page * len(content))
