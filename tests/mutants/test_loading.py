"""A mutated module is loaded in place of the file, and the file stays as it is."""

from __future__ import annotations

import importlib
import os
import sys

import pytest

from harness.base.errors import HarnessFault
from harness.mutants.loading import Reached, load_instead

SOURCE = "def f(a):\n    if a:\n        return 1\n    return 2\n"
OTHER = SOURCE.replace("return 1", "return 7")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that nobody has loaded."""
    name = "a_module_of_a_twin"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    yield name
    sys.modules.pop(name, None)


def test_the_changed_text_is_loaded_and_no_file_changes(module, tmp_path):
    load_instead(module, OTHER, 3, Reached())
    assert importlib.import_module(module).f(1) == 7
    assert [file.name for file in tmp_path.iterdir()] == [f"{module}.py"]
    assert (tmp_path / f"{module}.py").read_text() == SOURCE


def test_a_statement_that_is_executed_is_noted_across_processes(module):
    reached = Reached()
    load_instead(module, OTHER, 3, reached)
    loaded = importlib.import_module(module)
    loaded.f(0)
    assert not reached
    child = os.fork()
    if child == 0:
        loaded.f(1)
        os._exit(0)
    os.waitpid(child, 0)
    assert reached


def test_a_loaded_module_is_refused(module):
    importlib.import_module(module)
    with pytest.raises(HarnessFault, match="is loaded"):
        load_instead(module, OTHER, 3, Reached())
