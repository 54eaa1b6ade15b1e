"""What a cut that violates something leaves behind and nothing can make again: kept in the run, in abnormal/.

    abnormal/<number>-<operation>/row.json       the row of evidence
                                  state/...      the key's state after the cut, before it was looked at
                                  transport.log  the last messages between host and key
                                  ...            what else the rig knows: output of the firmware, kernel log

The folder is bounded, and no PIN that was handed out in this process stands in a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from harness.base.atomic_file import read_json
from harness.base.errors import CallerError, one_of
from harness.base.shape import Shape, misfit
from harness.model.row import Judged, Row, slug

FOLDER, ROW = "abnormal", "row.json"
KEPT_MAX = 20
"""Cuts that are kept of a run, over all campaigns."""
CUT_BYTES, RUN_BYTES = 2_000_000, 6_000_000
"""Most bytes of one cut, and of a run: a report has 15 MB at most."""
FILES_MAX = 100
"""Most files of one cut."""
TEXTS = (".log", ".txt", ".json")
STATE = "state/"
"""What the key itself holds is kept as it is."""
LEFT_OUT = "left-out.txt"

Files = Mapping[str, bytes]
"""Path below the cut's folder -> content."""


class Abnormal:
    """Keeps the first abnormal cuts of a campaign.

    :param run: the run's folder.
    :param secrets: secret -> what stands in its place in a text.
    """

    def __init__(self, run: Path, secrets: Callable[[], Mapping[str, str]]):
        self._folder, self._secrets = run / FOLDER, secrets
        self.kept: list[Path] = []
        """The folders of this campaign, for the report."""

    def keeping(
        self, keep: Callable[[Sequence[Judged]], None], more: Callable[[str], Files]
    ) -> Callable[[Sequence[Judged]], None]:
        """Return a callback that calls `keep` and then keeps what belongs to abnormal cuts.

        :param more: the id of a row -> further files.
        """

        def kept(judged: Sequence[Judged]) -> None:
            keep(judged)
            for one in judged:
                if (files := one.files) is not None:
                    self.add(one.row, partial(_together, files, more, one.row["id"]))

        return kept

    def add(self, row: Row, files: Callable[[], Files]) -> Path | None:
        """Keep one cut; None if the run keeps enough already."""
        there = sorted(self._folder.glob("[0-9]*"))
        if len(there) >= KEPT_MAX or _size(there) >= RUN_BYTES:
            return None
        folder = self._folder / f"{len(there) + 1:02d}-{slug(row['operation'])}"
        room = min(CUT_BYTES, RUN_BYTES - _size(there))
        folder.mkdir(parents=True)
        (folder / ROW).write_bytes(self._redacted(ROW, json.dumps(row, indent=1, sort_keys=True).encode()))
        left_out = []
        for number, (name, content) in enumerate(sorted(files().items())):
            body = self._redacted(name, content)
            if number >= FILES_MAX or len(body) > room:
                left_out.append(f"{name} ({len(body)} bytes)")
                continue
            room -= len(body)
            path = folder / _inside(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        if left_out:
            (folder / LEFT_OUT).write_text("no room for\n" + "\n".join(left_out) + "\n", encoding="utf-8")
        self.kept.append(folder)
        return folder

    def _redacted(self, name: str, content: bytes) -> bytes:
        is_text = name.endswith(TEXTS) and not name.startswith(STATE)
        return redacted(name, content, self._secrets()) if is_text else content


def redacted(name: str, content: bytes, secrets: Mapping[str, str]) -> bytes:
    """Replace secrets in a text: as they are, and as hex, as transports and logs show bytes.

    In JSON only inside strings: a time may have the digits of a PIN, and without them the file could not be read.
    """
    if name.endswith((".json", ".jsonl")):
        return _STRING.sub(lambda found: _without(found[0], secrets), content)
    return _without(content, secrets)


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


def _without(content: bytes, secrets: Mapping[str, str]) -> bytes:
    for secret, shown in sorted(secrets.items(), key=lambda one: -len(one[0])):
        raw = secret.encode()
        for form in (raw, raw.hex().encode(), raw.hex().upper().encode()):
            content = content.replace(form, shown.encode())
    return content


def _together(files: Callable[[], Files], more: Callable[[str], Files], replay_id: str) -> Files:
    return {**files(), **more(replay_id)}


def _inside(name: str) -> Path:
    """A path that stays below the cut's folder."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")]
    return Path(*parts) if parts else Path("unnamed")


def _size(folders: Iterable[Path]) -> int:
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


_NEEDED: dict[str, Shape] = {
    **dict.fromkeys(("id", "rig", "operation", "firmware", "outcome"), str),
    "seed": int,
}
"""What is needed of a kept row to look at its cut again."""


def find(run: Path, replay_id: str) -> tuple[Row, Path]:
    """Return the row and the folder of a kept cut.

    :raises CallerError: the run keeps no such cut.
    """
    found: dict[str, tuple[Row, Path]] = {}
    for path in sorted((run / FOLDER).glob(f"[0-9]*/{ROW}")):
        row = read_json(path)
        if row is not None and misfit(row, _NEEDED) is None:
            found.setdefault(row["id"], (row, path.parent))
    if replay_id not in found:
        raise CallerError(
            f"--from-evidence {run}",
            found=replay_id,
            expected=one_of(replay_id, list(found)) if found else "a cut, and this run keeps none",
            mend="name a cut that the run keeps; `keyharness replay ID` without --from-evidence makes a cut again",
        )
    return found[replay_id]
