"""Many rigs at once beside one: whether anything in the harness makes them wait for each other.

    python -m benchmarks.rigs [--rigs 32] [--cuts 6]

Rigs whose time is waiting, one xdist worker each (`-n auto`), campaigns as on hardware: locks, power logs, budgets
in one ledger, a journal per rig, one display. The rate of a rig is its cuts over its campaign's own time, which
begins for all of them when the last one is ready, so that what the start of the processes costs is left out and
shown apart. The goal is 90 % of as many times one rig.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.bench.plugin_api import RigRequest
from harness.bench.registry import discover
from harness.safety.identity import identity

OPERATION = "fido2.client_pin.wrong"
LIMIT_S = 1800
PLUGIN = Path(__file__).with_name("waiting_rig.py")


@dataclass(frozen=True)
class Rate:
    """What a number of rigs did.

    :ivar cuts_per_s: the sum of the rigs' own rates.
    :ivar whole_s: the whole command; `start_s`: until all rigs were ready.
    :ivar starved: the share of its time, from its start to its end, for which a rig's process was ready to run
        and had no core: where it is much, the ratio is that of a busy machine.
    :ivar cpu_ms: of all processes together for one cut, less what the workers had used until then.
    """

    rigs: int
    cuts: int
    cuts_per_s: float
    slowest_s: float
    start_s: float
    whole_s: float
    cpu_ms: float
    starved: float


def measure(rigs: int = 32, cuts: int = 6) -> dict[str, Any]:
    """One rig and then many, as one JSON-able table; `cuts` are those of each rig, besides the uncut ones."""
    one, many = rate(1, cuts), rate(rigs, cuts)
    ratio = many.cuts_per_s / (rigs * one.cuts_per_s)
    return {"one": asdict(one), "many": asdict(many), "ratio": ratio}


def rate(rigs: int, cuts: int) -> Rate:
    """Run campaigns on several rigs at once."""
    with tempfile.TemporaryDirectory(prefix="keyharness-bench-") as name:
        folder = Path(name)
        names = _bench(folder, rigs)
        gate = Gate(folder / "start", names)
        command = (
            *(sys.executable, "-m", "harness", "run", "endurance", "--bench", "many.toml", "--seed", "1"),
            *("--operation", OPERATION, "--cuts", str(cuts * rigs), "--", "-n", "auto"),
        )
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        before = os.times()
        try:
            output = process.communicate(timeout=LIMIT_S)[0]
        finally:
            process.kill()
            process.wait()
            gate.close()
        whole_s = time.monotonic() - began
        after = os.times()
        if process.returncode not in (0, 3) or gate.opened is None:
            raise SystemExit(f"{rigs} rigs: exit code {process.returncode}\n{output[-3000:]}")
        (run,) = folder.glob("reports/*/operations.jsonl")
        rows = [json.loads(line) for line in run.read_text().splitlines()]
        done = sum(row["cuts"] for row in rows)
        assert len(rows) == rigs, output
        assert all(row["complete"] for row in rows), output
        used_s = after.children_user + after.children_system - before.children_user - before.children_system
        return Rate(
            rigs,
            done,
            sum(row["cuts"] / row["duration_s"] for row in rows),
            max(row["duration_s"] for row in rows),
            gate.opened - began,
            whole_s,
            (used_s * 1000 - gate.cpu_ms) / done,
            _starved(folder),
        )


def _starved(folder: Path) -> float:
    notes = [line.split() for line in (folder / "start.starved").read_text().splitlines()]
    return statistics.mean(float(share) for _, share in notes)


class Gate:
    """Lets all go when the last one has come."""

    def __init__(self, path: Path, names: list[str]):
        self._waiting = set(names)
        self.opened: float | None = None
        self.cpu_ms = 0.0
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(256)
        threading.Thread(target=self._keep, daemon=True).start()

    def _keep(self) -> None:
        links = []
        while True:
            try:
                link, _ = self._server.accept()
            except OSError:
                return
            name, spent_ms = link.recv(100).decode().split()
            self._waiting.discard(name)
            self.cpu_ms += float(spent_ms)
            links.append(link)
            if not self._waiting:
                self.opened = self.opened or time.monotonic()
                for one in links:
                    one.close()
                links.clear()

    def close(self) -> None:
        self._server.close()


def _bench(folder: Path, rigs: int) -> list[str]:
    """A bench of several rigs, each with a key of its own."""
    key = discover().keys["nitrokey3-mini"]
    from benchmarks.waiting_rig import Options, WaitingRig

    rows = []
    for number in range(1, rigs + 1):
        rig = WaitingRig(RigRequest(f"rig-{number:02}", key, True, 1, Options(number=number)))
        rig.board.power_on()
        rig.clock.reach_us(rig.board.ready_us)
        rows.append(
            f'[[rig]]\nname = "{rig.name}"\nkey = "{key.name}"\ndriver = "waiting"\nnumber = {number}\n'
            f'expendable = true\nidentity = "{identity(rig)}"\n'
        )
    (folder / "many.toml").write_text("\n".join(rows))
    return [f"rig-{number:02}" for number in range(1, rigs + 1)]


def _environment(folder: Path) -> dict[str, str]:
    plugins = folder / "plugins"
    info = plugins / "waiting_rig-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: waiting-rig\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[keyharness]\nwaiting = waiting_rig\n")
    (plugins / PLUGIN.name).write_text(PLUGIN.read_text())
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")])),
        "XDG_STATE_HOME": str(folder / "state"),
        "KEYHARNESS_RUNTIME": str(folder / "runtime"),
        "KEYHARNESS_NODE": "/nonexistent",
        "WAITING_START": str(folder / "start"),
    }


def table(found: dict[str, Any]) -> list[str]:
    """For people."""
    lines = ["rigs at once, one worker each, power cycles in real time"]
    for one in (Rate(**found["one"]), Rate(**found["many"])):
        lines.append(
            f"  {one.rigs:>3} rigs  {one.cuts_per_s:>6.2f} cuts/s  {one.cuts:>4} cuts, slowest {one.slowest_s:.1f} s"
            f" (ready after {one.start_s:.1f} s, whole command {one.whole_s:.1f} s, {one.cpu_ms:.0f} ms CPU a cut,"
            f" {one.starved:.1%} of the time without a core)"
        )
    many = found["many"]["rigs"]
    return [*lines, f"  {found['ratio']:>8.3f}  of {many} times one; the goal is 0.9"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rigs", description=__doc__)
    parser.add_argument("--rigs", type=int, default=32)
    parser.add_argument("--cuts", type=int, default=6, help="of each rig")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    found = measure(wanted.rigs, wanted.cuts)
    print(json.dumps(found, indent=1) if wanted.json else "\n".join(table(found)))


if __name__ == "__main__":
    main()
