"""A case that waits for minutes says so before it starts, and --quick leaves it out."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from harness.pytest_plugin.waits import announced_s
from harness.report.terminal import RunDisplay


def item(waits=None, kind="hardware"):
    mark = None if waits is None else pytest.mark.waits(waits).mark
    rig = SimpleNamespace(evidence_kind=kind)
    return SimpleNamespace(
        get_closest_marker=lambda name: mark if name == "waits" else None,
        callspec=SimpleNamespace(params={"rig": "a"}),
    ), (lambda name: rig)


@pytest.mark.parametrize(
    ("waits", "kind", "said"),
    [(601, "hardware", 601), (601, "emulator", 601), (601, "twin", None), (None, "hardware", None)],
)
def test_only_waits_of_real_time_are_announced(waits, kind, said):
    assert announced_s(*item(waits, kind)) == said


@pytest.mark.parametrize("live", [False, True])
def test_a_wait_is_shown_before_its_case(live, tmp_path):
    path = tmp_path / "out"
    clock = SimpleNamespace(now_us=0)
    with path.open("w+") as stream, RunDisplay(stream, clock=clock, live=live, width=120) as display:
        display.waits("conformance/test_x.py::test_it_lasts[a]", 605)
    assert "conformance/test_x.py::test_it_lasts[a] waits for 10 min 5 s" in path.read_text()


def test_quick_leaves_out_what_waits_and_the_run_says_so(cli):
    chosen = "test_time_does_not_lift_the_block or test_a_new_channel_does_not_lift_the_block"
    done = cli("run", "conformance", "--seed", "1", "--quick", "--", "-k", chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = map(json.loads, (cli.run_dir / "results.jsonl").read_text().splitlines())
    assert [row["nodeid"].partition("::")[2] for row in rows] == [
        "test_a_new_channel_does_not_lift_the_block[nk3-mini]"
    ]
    (note,) = json.loads((cli.run_dir / "summary.json").read_text())["notes"]
    assert note.startswith("--quick: ")
    assert "wait for 30 s or longer" in note
    assert "--quick: " in done.stdout
