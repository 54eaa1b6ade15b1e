"""The newest score of a key is kept, and shown by runs of the same version only."""

from __future__ import annotations

from dataclasses import asdict

import pytest

import harness
from harness.base.atomic_file import write_durably
from harness.evidence.mutation_score import MutationScore, keep_score, newest_score, scores_file


def score(key="a-key", caught=180, version=harness.__version__):
    return MutationScore(key, version, "c0de", "2026-11-20T09:30:12Z", 1, caught, 200, 9, 3, 0.85, 0.94)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_the_newest_score_of_each_key_is_kept():
    assert newest_score("a-key", harness.__version__) is None
    for one in (score(), score("other", 10), score(caught=190)):
        keep_score(one)
    assert newest_score("a-key", harness.__version__) == score(caught=190)
    assert newest_score("other", harness.__version__) == score("other", 10)


def test_a_score_of_another_version_says_nothing():
    keep_score(score(version="0.0.9"))
    assert newest_score("a-key", harness.__version__) is None


@pytest.mark.parametrize("text", ["", "[]", '{"a-key": 3}', '{"a-key": {"key": "a-key"}}'])
def test_a_damaged_file_is_no_score(text):
    scores_file().parent.mkdir(parents=True)
    scores_file().write_text(text)
    assert newest_score("a-key", harness.__version__) is None
    keep_score(score())
    assert newest_score("a-key", harness.__version__) == score()


@pytest.mark.parametrize("wrong", [{"counted": "many"}, {"low": None}, {"high": float("nan")}])
def test_a_field_of_another_kind_is_no_score(wrong):
    """The sentence of the report was made of it, and no run could begin."""
    write_durably(scores_file(), {"a-key": {**asdict(score()), **wrong}})
    assert newest_score("a-key", harness.__version__) is None


def test_the_sentence_for_reports():
    assert score().text == "180 of 200 mutants of the twin caught (90%, 95 % interval 85% to 94%; seed 1)"
