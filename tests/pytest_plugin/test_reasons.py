"""A failed case names its cause, also where its assertion has no words."""

from __future__ import annotations

import subprocess
import sys

from harness.pytest_plugin.deviations import sentence
from support.limits import HUNG_S

HEAD = '[[rig]]\nname = "nk3-1"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
SUITE = """
from harness.api import KeyFault


def test_a_third_of_it_fits(rig):
    blobs, size = "x" * 33, 66
    assert len(blobs) <= size // 5

def test_words_stay(rig):
    assert 1 == 2, "one is not two"

def test_what_was_found_is_said(rig):
    raise KeyFault("the key refuses", found="status 0x2e", expected="success")
"""


def test_a_bare_assertion_is_said_with_the_sentence_of_its_case(cli):
    (cli.cwd / "test_mine.py").write_text(SUITE)
    (cli.cwd / "bench.toml").write_text(HEAD)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--kh-bench", "bench.toml"),
            *("--kh-run", "a", "--kh-display", "test_mine.py"),
        ],
        cwd=cli.cwd,
        env=cli.env,
        capture_output=True,
        text=True,
        timeout=HUNG_S,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert 'this does not hold: "a third of it fits"; found len(blobs) <= size // 5:' in said
    assert "33 <= (66 // 5)" in said
    assert "one is not two" in said
    assert '"words stay"' not in said
    assert "the key refuses; found status 0x2e" in said


def test_the_name_of_a_case_is_a_sentence():
    assert sentence("conformance/test_x.py::test_a_key_answers[nk3-mini-1]") == "a key answers"
