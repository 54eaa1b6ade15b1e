"""What a run was made with: the commit of the checkout, files by their digests, this host without its name."""

from __future__ import annotations

import hashlib
import json
import platform
import socket
import subprocess

import pytest

import harness
from harness.host import provenance


def git(folder, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout that seems to be the one that runs."""
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "__init__.py").write_text("")
    monkeypatch.setattr(harness, "__file__", str(tmp_path / "harness" / "__init__.py"))
    return tmp_path


def test_the_commit_and_whether_it_was_changed(checkout, monkeypatch):
    assert provenance.commit() is None
    git(checkout, "init", "-q")
    assert provenance.commit() is None, "a checkout without a commit"
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "first")
    found = provenance.commit()
    assert found is not None
    assert len(found) == 40
    (checkout / "notes.txt").write_text("not tracked")
    assert provenance.commit() == found
    (checkout / "harness" / "__init__.py").write_text("changed")
    assert provenance.commit() == f"{found}-modified"
    # As in a hook of another repository.
    monkeypatch.setenv("GIT_DIR", str(checkout / "elsewhere"))
    assert provenance.commit() == f"{found}-modified"
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() is None


def test_the_host_without_its_name():
    facts = provenance.host_facts()
    assert facts["python"] == platform.python_version()
    assert isinstance(facts["cpus"], int)
    assert facts["cpus"] >= 1
    said = json.dumps(facts).split()
    assert socket.gethostname() not in said


def test_digests(tmp_path):
    body = bytes(range(256)) * 9000
    (tmp_path / "firmware.bin").write_bytes(body)
    assert provenance.sha256_of(tmp_path / "firmware.bin") == hashlib.sha256(body).hexdigest()
    assert provenance.sha256_of(tmp_path / "absent") is None
    assert provenance.sha256_of(tmp_path) is None
