"""A run notes the newest score of `prove --random` for its keys, and its page shows it."""

from __future__ import annotations

import harness
from harness.evidence.mutation_score import MutationScore, keep_score
from harness.evidence.rundir import RunDir


def test_a_run_notes_the_score_of_its_key_and_its_page_shows_it(cli, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(cli.state))
    score = MutationScore(
        "nitrokey-hsm2", harness.__version__, "c0de", "2026-11-20T09:30:12Z", 1, 180, 200, 9, 3, 0.85, 0.94
    )
    keep_score(score)
    done = cli("run", "schsm", "--rig", "hsm-1", "--seed", "1", "--", "-k", "test_selection")
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = cli.cwd.glob("reports/*")
    assert RunDir(run).head()["mutation_scores"] == [f"nitrokey-hsm2: {score.text}"]
    assert score.text in (run / "index.html").read_text()
