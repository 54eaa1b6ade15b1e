"""A test of live processes is tried a second time, one that computes is not, and the run says so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.limits import HUNG_S
from support.paths import TESTS

CONFTEST = """
from support.second_try import SecondTry

def pytest_configure(config):
    config.pluginmanager.register(SecondTry())
"""
LIVE = """
import subprocess, sys, pathlib, pytest

@pytest.fixture(scope="module")
def number():
    file = pathlib.Path(__file__).with_name("count")
    subprocess.run([sys.executable, "-S", "-c", ""], check=True)
    count = int(file.read_text()) if file.exists() else 0
    file.write_text(str(count + 1))
    return count

def test_before(number):
    assert number == 0

def test_passes_with_everything_made_anew(number):
    assert number == 1, "the host was late"

def test_is_broken(number):
    assert number < 0, "always wrong"
"""
COMPUTING = """
tries = []

def test_computes():
    tries.append(1)
    assert len(tries) == 2, "has no second try"
"""


@pytest.fixture(scope="module", params=[(), ("-n", "1")], ids=["alone", "xdist"])
def output(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("second-try")
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_live.py").write_text(LIVE)
    (folder / "test_computing.py").write_text(COMPUTING)
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *request.param],
        cwd=folder,
        env={"PYTHONPATH": str(TESTS), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=HUNG_S,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_what_failed_beside_a_process_is_tried_again_with_new_fixtures(output):
    assert "2 failed, 2 passed" in output


def test_the_run_names_what_passed_at_the_second_try_and_why_it_failed(output):
    _, _, end = output.partition("passed at the second try")
    (line,) = [line for line in end.splitlines() if line.startswith("test_live.py::")]
    assert line.startswith("test_live.py::test_passes_with_everything_made_anew: ")


def test_what_fails_twice_shows_both_failures(output):
    assert output.count("always wrong") >= 2
    assert "first try" in output


def test_what_only_computes_has_one_try(output):
    assert "has no second try" in output
