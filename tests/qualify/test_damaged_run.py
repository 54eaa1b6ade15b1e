"""What reads the folder of a run that something has damaged."""

from __future__ import annotations

import json
import shutil

import pytest

from harness.base.shape import DamagedFile
from harness.qualify.counted import operations_rows
from harness.report.load import whole_head
from support.command import Cli

HEAD = {
    "run": "20261120-093012-7c1e",
    "seed": 1,
    "rigs": [{"name": "a", "key": "nitrokey3-mini"}],
    "order": [],
}


@pytest.mark.parametrize(
    "damage",
    [
        *({"seed": "1"}, {"seed": None}, {"run": 3}, {"rigs": [{"name": "a"}]}, {"version": []}, {"host": 7}),
        *({"series": "x"}, {"series": {"digest": 1}}),
    ],
)
def test_a_damaged_head_is_named(tmp_path, damage):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(HEAD))
    assert whole_head(tmp_path) == HEAD
    path.write_text(json.dumps(HEAD | damage))
    with pytest.raises(DamagedFile, match=r"run\.json") as refused:
        whole_head(tmp_path)
    assert str(tmp_path) in refused.value.what


def test_lines_that_no_campaign_wrote_are_left_out(tmp_path):
    whole = {"rig": "a", "operation": "x.y", "cuts": 3}
    lines = [
        whole,
        {"rig": "a"},
        3,
        whole | {"findings": [0.5]},
        whole | {"timing": 1},
        whole | {"cuts": "3"},
    ]
    (tmp_path / "operations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert operations_rows(tmp_path) == [whole]


ODD = "x\udc80\ud800\x1b[2J"
"""What a damaged file may hold and nobody can write as UTF-8."""
HEADS = {
    "words": lambda head: {**head, **dict.fromkeys(("bench", "started", "version", "commit"), ODD)},
    "key": lambda head: {**head, "rigs": [{**rig, "key": ODD, "title": ODD} for rig in head["rigs"]]},
    "rig": lambda head: {**head, "rigs": [{**rig, "name": ODD} for rig in head["rigs"]]},
    "run": lambda head: {**head, "run": ODD},
    "kind": lambda head: {**head, "evidence_kind": [ODD]},
    "series": lambda head: {**head, "series": 7},
    "bare": lambda head: {"rigs": [], "order": []},
}


@pytest.fixture(scope="module")
def copied(weak, tmp_path_factory):
    """A run with its ledger, whose run.json is damaged again and again."""
    folder = tmp_path_factory.mktemp("copied")
    for source in (weak.cli.cwd, weak.cli.state):
        shutil.copytree(source, folder / source.name)
    return Cli(folder / weak.cli.cwd.name)


@pytest.mark.long
@pytest.mark.parametrize("damage", HEADS.values(), ids=HEADS)
def test_every_command_that_reads_a_run_says_so_in_one_message(copied, damage):
    run = copied.run_dir
    whole = (run / "run.json").read_bytes()
    (run / "run.json").write_text(json.dumps(damage(json.loads(whole))))
    out = run.parent.parent / "audit"
    try:
        for command in (
            ("triage", run.name),
            ("triage", run.name, "--json"),
            ("compare", run.name, run.name, "--force"),
            ("export", "--audit", "plan.toml", "--out", out),
            ("qualify", "plan.toml", "--report-only", "--merge", f"reports/{run.name}"),
            ("bundle", run.parent.parent / "b.zip", "--run", run.name),
            ("history",),
            ("report", run.name),
        ):
            done = copied.inside(*command)
            assert "a fault of Keyharness" not in done.stderr, (command, done.stderr)
            assert "Traceback" not in done.stderr, command
            assert done.returncode != 3 or run.name in done.stderr, (command, done.stderr)
            shutil.rmtree(out, ignore_errors=True)
    finally:
        (run / "run.json").write_bytes(whole)
