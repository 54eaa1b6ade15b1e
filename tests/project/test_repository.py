"""What Git has of this checkout."""

from __future__ import annotations

import importlib
import subprocess

import pytest

from support.paths import ROOT


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if "not a git repository" in done.stderr:
        pytest.skip("not a Git checkout")
    return done


def test_no_file_is_a_link():
    """A link is a text file where Git cannot make links, and a bench that is one cannot be read there."""
    assert not [line for line in git("ls-files", "-s").stdout.splitlines() if line.startswith("120000")]


def test_no_package_is_kept_here():
    """pip downloads into the folder in which it is called, and `git add` takes all that is new."""
    assert not [name for name in git("ls-files").stdout.splitlines() if name.endswith((".whl", ".tar.gz"))]


def test_runs_are_ignored_and_the_page_about_them_is_not():
    assert git("check-ignore", "-q", "reports/20261120-093012-7c1e/summary.json").returncode == 0
    assert git("check-ignore", "-q", "reports/README.md").returncode == 1
    assert (ROOT / "reports" / "README.md").is_file()


def test_the_files_that_are_begun_first_exist():
    names = importlib.import_module("conftest").LONGEST
    assert [name for name in names if not (ROOT / name).is_file()] == []
