"""One public face: plugins import names of the core from harness.api, and each name is documented."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

from harness import api
from support.paths import ROOT

PLUGINS = sorted(
    path
    for folder in ("plugins", "rigs", "suites", "docs")
    for path in (ROOT / folder).rglob("*.py")
    if not path.name.startswith("draw_")
)


def imported(path):
    """(module, name) of each import of the core in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "harness":
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.partition(".")[0] == "harness")


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_plugin_imports_the_core_from_its_public_face_alone(path):
    assert {module for module, _ in imported(path)} <= {"harness.api"}


def test_every_name_is_used_and_loads():
    used = {name for path in PLUGINS for _, name in imported(path)}
    assert used == set(dir(api))
    for name in used:
        assert getattr(api, name) is not None


def test_every_name_is_documented():
    page = (ROOT / "docs" / "api.md").read_text()
    said = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, flags=re.MULTILINE))
    assert said.keys() == set(dir(api))
    assert all(len(text) > 10 for text in said.values())


def test_a_name_that_is_not_offered_is_said_to_be_none():
    with pytest.raises(AttributeError, match=r"docs/api\.md"):
        api.Nonsense  # noqa: B018


def test_nothing_is_loaded_before_it_is_used():
    code = "import sys, harness.api; print([name for name in sys.modules if name.startswith('harness.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['harness.api']"
