"""Nights that said nothing of the key: `keyharness history --inconclusive`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.ledger import Ledger
from harness.evidence.ledger_nights import in_a_row, nights_of
from support.command import Cli

WORDS = ["pass", "fail", "inconclusive", "interrupted", "nothing-tested", "killed"]
runs = st.tuples(st.integers(1, 28), st.sampled_from(WORDS))


@given(st.lists(runs))
def test_a_verdict_on_the_key_ends_the_row(drawn):
    rows = [{"started": f"2026-11-{day:02}T22:00:00Z", "verdict": verdict} for day, verdict in drawn]
    count = in_a_row(nights_of(rows))
    days = sorted({day for day, _ in drawn}, reverse=True)
    for at, day in enumerate(days[: count + 1]):
        decided = any(verdict in ("pass", "fail") for when, verdict in drawn if when == day)
        assert decided is (at == count)


@pytest.fixture
def cli(tmp_path):
    (tmp_path / "empty").mkdir()
    return Cli(tmp_path / "empty")


def entered(cli: Cli, verdicts: list[str]) -> None:
    ledger = cli.state / "keyharness" / "ledger.sqlite"
    ledger.parent.mkdir(parents=True)
    with Ledger(f"sqlite:///{ledger}") as made, made.writing() as at:
        for day, verdict in enumerate(verdicts, 1):
            row = {"id": f"run-{day}", "started": f"2026-11-{day:02}T22:00:00Z", "verdict": verdict}
            at.execute(made.tables.runs.insert().values(row))


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["fail", "inconclusive", "inconclusive", "inconclusive"], 3),
        (["inconclusive", "inconclusive"], 0),
        (["inconclusive", "killed", "interrupted"], 3),
        (["inconclusive", "inconclusive", "inconclusive", "fail"], 0),
        ([], 0),
    ],
)
def test_three_in_a_row_have_an_exit_code(cli, verdicts, code):
    entered(cli, verdicts)
    done = cli.inside("history", "--inconclusive", "3", "--json")
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)["most"] == 3
    assert cli.inside("history", "--inconclusive", "3").returncode == code
