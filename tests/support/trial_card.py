"""A card or a Nitrokey Pro whose firmware is changed in one place, and the cases of its suites, in this process.

So a test can show that a case lets the sound twins pass and fails a wrong one.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from harness.api import Home, TwinOptions, TwinRig
from harness.base.errors import Blame
from harness.bench.registry import discover
from harness.campaign.home import go_home, seeded
from harness.pytest_plugin.cases import blame_of

FIXTURES = {
    "schsm": "harness_suites.schsm.fixtures",
    "openpgp": "harness_suites.openpgp.conftest",
    "pro": "harness_suites.pro.conftest",
}
"""Suite -> the module that holds its fixtures."""


def change(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], old: str, new: str) -> None:
    """Run a function of the firmware with another text: `old`, which it has once, is `new`.

    Tables that name the function have the changed one, too.
    """
    text = textwrap.dedent(inspect.getsource(function))
    assert text.count(old) == 1, f"{function.__qualname__} has {text.count(old)} times: {old}"
    names: dict[str, Any] = {}
    code = compile("from __future__ import annotations\n" + text.replace(old, new), __file__, "exec")
    exec(code, dict(function.__globals__), names)
    monkeypatch.setattr(function, "__code__", names[function.__name__].__code__)


@lru_cache(maxsize=8)
def _at_home(key: str, personality: str | None) -> tuple[TwinRig, Home]:
    plugins = discover()
    model = plugins.twins[key]
    options = TwinOptions(personality=personality or model.sound[0])
    rig = TwinRig("trial", plugins.keys[key], model, options, 1, expendable=True)
    return rig, go_home(rig)


class TrialCard:
    """A twin in its home state, which the sound firmware has made."""

    def __init__(self, key: str, personality: str | None = None):
        self.rig, self._home = _at_home(key, personality)

    def asked(self, case: str, **parameters: Any) -> str:
        """Ask one case: "suite/test_file::test_function", with its parameters.

        :returns: passed, failed or not offered; `said` tells why.
        """
        suite, _, rest = case.partition("/")
        file, _, name = rest.partition("::")
        module = import_module(f"harness_suites.{suite}.{file}")
        given = {"rig": self.rig, "home": self._home, "request": _request(), **parameters}
        self.said = ""
        assert self.rig.vault is not None, "a twin has one"
        assert self._home.state is not None, "a twin's home is a state"
        self.rig.vault.restore(self._home.state)
        try:
            with seeded(self.rig, "trial", name):
                _call(getattr(module, name), module, import_module(FIXTURES[suite]), given)
        except pytest.skip.Exception as reason:
            self.said = str(reason)
            return "not offered"
        except (Exception, pytest.fail.Exception) as error:
            if blame_of(error, self.rig.key) != Blame.KEY:
                raise
            self.said = f"{type(error).__name__}: {error}"
            return "failed"
        finally:
            self.rig.power.off()
        return "passed"


def _request() -> SimpleNamespace:
    return SimpleNamespace(node=SimpleNamespace(get_closest_marker=lambda name: None))


def _call(function: Any, module: ModuleType, fixtures: ModuleType, given: dict[str, Any]) -> Any:
    """Call a case or a fixture with the fixtures that it names."""
    for name in inspect.signature(function).parameters:
        if name not in given:
            made = (getattr(module, name, None) or getattr(fixtures, name))._get_wrapped_function()
            given[name] = _call(made, module, fixtures, given)
    return function(**{name: given[name] for name in inspect.signature(function).parameters})
