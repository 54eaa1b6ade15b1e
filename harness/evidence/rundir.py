"""The folder of a run: journals while the run goes on, the files that docs/reports.md describes at its end."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.atomic_file import create_file, read_json, replace_file
from harness.base.shape import DamagedFile, Shape, read_fitting
from harness.evidence.chain import beginning
from harness.evidence.journal import ESCAPED, Journal, line, merge
from harness.evidence.journal_archive import NAME, RESULTS, pack_journals, read_held, unpack_journals
from harness.evidence.worked_time import WorkedTime, noted_s
from harness.model.row import slug

if TYPE_CHECKING:
    from harness.model.rig_parts import RigInfo

SCHEMA = 1
HEAD: dict[str, Shape] = {
    "rigs": [{"name": str, "firmware?": (str, None)}],
    "order": [[str, str]],
    "series?": ({"plan?": (str, None), "digest?": (str, None)}, None),
}
"""What is needed of run.json to read the rest of its folder."""
BEGIN_ANEW = "begin a new run: the folder, with what was judged, stays for `keyharness report`"
NUMBER = "journal/number.json"
OUT_OF = {NAME: "evidence.jsonl", RESULTS: "operations.jsonl"}
"""By the archive of journals what is merged from them."""
NOT_ASKED = "not asked yet"
"""The firmware of a rig that another worker has, until that worker notes it."""
QUARANTINED, NOT_THERE = "quarantined", "not there"
LEFT_OUT = ("campaign", "operation", "clause", "deviation")
"""Fields that the line of a case may be without, because nothing was known of them."""
KEPT_BACK = (f"{QUARANTINED}: ", f"{NOT_THERE}: ")
"""How the reason begins of a case that was skipped because of its rig. Such a run is inconclusive."""


def new_run_name() -> str:
    """Return date, time and four hex digits, e.g. 20261120-093012-7c1e. Names sort by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"


def _names(head: Mapping[str, Any]) -> dict[str, list[str]]:
    """By archive the journals that a run may have, in plan order."""
    stems = [f"{rig}.{slug(operation)}" for rig, operation in head["order"]]
    return {NAME: [f"{stem}.jsonl" for stem in stems], RESULTS: [f"{stem}.result.json" for stem in stems]}


class RunDir:
    """The folder of one run. Several processes (xdist workers) may write to different files in it."""

    def __init__(self, path: Path):
        self.path = path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def started(self) -> bool:
        return (self.path / "run.json").exists()

    def start(self, head: Mapping[str, Any]) -> bool:
        """Write run.json; return False if another process of this run has written it already."""
        self.make_folders()
        body = {"schema": SCHEMA, "run": self.name, **head}
        first = create_file(self.path / "run.json", json.dumps(body, indent=1, sort_keys=True) + "\n")
        if first:
            self.begin_work()
        return first

    def make_folders(self) -> None:
        """Make the folders that a run writes to. Copying and packing tools leave out those that are empty."""
        for part in ("journal", "logs", "pictures", "allure-results"):
            (self.path / part).mkdir(parents=True, exist_ok=True)

    def begin_work(self, before_s: float = 0.0) -> None:
        """Begin to count the seconds that the run works, or go on to count after an interruption.

        :param before_s: seconds of work before, if the folder does not say it.
        """
        WorkedTime.begin(self._worked_file, before_s=before_s)

    @property
    def worked_s(self) -> float:
        """Seconds that the run has worked until now.

        :raises OSError, ValueError: this run was never begun by this version.
        """
        return WorkedTime(self._worked_file).seconds

    @property
    def worked_before_kill_s(self) -> float | None:
        """Seconds that a run that was killed had worked; None if its folder does not say it."""
        return noted_s(self._worked_file) if self._worked_file.exists() else None

    @property
    def _worked_file(self) -> Path:
        return self.path / "journal" / "run.time"

    def _note_time(self, rig: str | None = None) -> None:
        """Note how long the run, and a rig's budget in time, have run: after each thing that is kept."""
        for path in (self._worked_file, *([self._rig_time(rig)] if rig else [])):
            with suppress(OSError, ValueError):
                WorkedTime(path).note()

    def head(self) -> dict[str, Any]:
        """Read run.json, with what the workers have learnt about their rigs since.

        :raises DamagedFile: it is not there, or holds something else.
        """
        path = self.path / "run.json"
        head = read_fitting(path, HEAD, BEGIN_ANEW)
        if head is None:
            raise DamagedFile(str(path), found="no file", expected="the head of a run", mend=BEGIN_ANEW)
        for rig in head["rigs"]:
            rig.update(read_json(self._rig_file(rig["name"])) or {})
        if said := {name: held for rig in head["rigs"] if (held := self._remarks(name := rig["name"]))}:
            head["remarks"] = said
        return head

    def note_rig(self, info: RigInfo) -> None:
        """Note how a rig describes itself; only the first call for a rig writes."""
        path = self._rig_file(info.name)
        if not path.exists():
            body = {name: getattr(info, name) for name in ("firmware", "personality", "transport")}
            body |= {"flash": info.flash} if info.flash else {}
            path.write_text(line(body), encoding="utf-8", errors=ESCAPED)

    def note_remarks(self, rig: str, remark: str) -> None:
        """Note what has to stand beside every verdict on a rig, at any time: what was noted before stays.

        :param remark: as `Rig.remark`: sentences with "; " between them; empty if there are none.
        """
        before = self._remarks(rig)
        said = [*before, *(one for one in remark.split("; ") if one and one not in before)]
        if said != before:
            replace_file(self._remarks_file(rig), line({"remarks": said}))

    def _remarks(self, rig: str) -> list[str]:
        said = (read_json(self._remarks_file(rig)) or {}).get("remarks")
        return [str(one) for one in said] if isinstance(said, list) else []

    def _remarks_file(self, rig: str) -> Path:
        return self.path / "journal" / f"{rig}.remarks.json"

    def _rig_file(self, rig: str) -> Path:
        return self.path / "journal" / f"{rig}.rig.json"

    def note_facts(self, rig: str, make: Callable[[], Mapping[str, object]]) -> None:
        """Note what the report says of a rig besides run.json; only the first call for a rig writes."""
        path = self.facts_path(rig)
        if not path.exists():
            path.write_text(line(make()), encoding="utf-8", errors=ESCAPED)

    def facts_path(self, rig: str) -> Path:
        return self.path / "journal" / f"{rig}.facts.json"

    def begin_time(self, rig: str) -> float:
        """Note that a rig's time runs from now on; return the seconds that it ran before the run was resumed.

        The time between kill and resume does not count: the last row of evidence ended it.
        """
        return WorkedTime.begin(self._rig_time(rig), before_s=self._rig_time_of_first_version(rig)).before_s

    def _rig_time(self, rig: str) -> Path:
        return self.path / "journal" / f"{rig}.time"

    def _rig_time_of_first_version(self, rig: str) -> float:
        """Seconds that the first version of Keyharness noted for a rig: it took them from the times of files."""
        path = self.path / "journal" / f"{rig}.time.json"
        if not (noted := read_json(path)):
            return 0.0
        touched = [one.stat().st_mtime for one in path.parent.glob(f"{glob.escape(rig)}.*")]
        return float(noted["spent_s"] + max(0.0, max(touched) - noted["at"]))

    def journal(self, rig: str, operation: str) -> Journal:
        """Open the journal of one campaign."""
        head = read_json(self.path / "run.json") or {}
        series = head.get("series")
        plan = series.get("digest") if isinstance(series, dict) else None
        opened = beginning(str(head.get("run") or self.name), rig, operation, plan)
        return Journal(self.journal_path(rig, operation), lambda: self._note_time(rig), opened)

    def journal_path(self, rig: str, operation: str) -> Path:
        return self.path / "journal" / f"{rig}.{slug(operation)}.jsonl"

    def note_campaign(self, rig: str, operation: str, row: Mapping[str, Any]) -> None:
        """Write the result of a campaign that has ended or was interrupted."""
        path = self.path / "journal" / f"{rig}.{slug(operation)}.result.json"
        replace_file(path, line(row))

    def kernel_log(self, rig: str, operation: str) -> Path:
        """Return the file for the kernel's lines about a rig's port during one campaign."""
        return self.path / "logs" / f"{rig}.{slug(operation)}.kernel.log"

    def note_case(self, row: Mapping[str, Any]) -> None:
        """Write the line of a case that has ended, without those of `LEFT_OUT` of which nothing is known."""
        row = {name: value for name, value in row.items() if value is not None or name not in LEFT_OUT}
        with (self.path / "results.jsonl").open("a", encoding="utf-8", errors=ESCAPED) as file:
            file.write(line(row))
        self._note_time()

    def write_trace(self, rig: str, operation: str, trace: Mapping[str, Any]) -> Path:
        path = self.path / "logs" / f"{rig}.{slug(operation)}.trace.json"
        path.write_text(line(trace), encoding="utf-8", errors=ESCAPED)
        return path

    def merge_again(self) -> None:
        """Make evidence.jsonl and operations.jsonl from the journals, in plan order, and complete run.json.

        A killed run has its journals only: call this before reading its folder.
        """
        head = self.head()
        replace_file(self.path / "run.json", json.dumps(head, indent=1, sort_keys=True) + "\n")
        for archive, names in _names(head).items():
            self._merge(names, OUT_OF[archive], archive)

    def _merge(self, names: Sequence[str], out_name: str, archive: str) -> None:
        folder, out = self.path / "journal", self.path / out_name
        try:
            held = read_held(folder, names, archive)
        except DamagedFile:
            if out.exists():
                return  # it was made from all rows before there was an archive
            raise
        merge((body for _, body in held), out)

    def unpack(self) -> None:
        """Unpack the journals of a run that goes on, although it came to an end before.

        :raises DamagedFile: an archive cannot be read.
        """
        unpack_journals(self.path / "journal", _names(self.head()))

    def pack(self) -> None:
        """Pack the journals of a run that came to its end: nothing will be added to them."""
        pack_journals(self.path / "journal")

    def note_number(self, number: int) -> None:
        """Note the run's number in its series."""
        (self.path / NUMBER).write_text(json.dumps({"number": number}) + "\n", encoding="utf-8")

    @property
    def number(self) -> int | None:
        """The run's number in its series; None if the ledger gave it none."""
        noted = read_json(self.path / NUMBER)
        return int(noted["number"]) if noted else None

    def finish(self, *, complete: bool, interrupted: bool, duration_s: float) -> None:
        body = {
            "complete": complete,
            "interrupted": interrupted,
            "ended": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "duration_s": round(duration_s, 3),
        }
        (self.path / "finish.json").write_text(json.dumps(body, sort_keys=True) + "\n", encoding="utf-8")
