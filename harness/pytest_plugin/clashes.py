"""Refuse a run in which a plugin or a conftest.py of somebody else has an option or a fixture of ours."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from types import ModuleType

import pytest

from harness.pytest_plugin.whose import is_ours

PREFIX = "--kh-"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Check the fixtures of all cases of `keyharness run`; other users of pytest may call theirs as they like.

    :raises pytest.UsageError: one of ours is replaced.
    """
    if not session.config.getoption("kh_display"):
        return
    found = dict.fromkeys(clash for item in session.items for clash in _replaced(item))
    if found:
        said = "\n".join(_message(f"fixture `{name}`", where) for name, where in found)
        if not hasattr(session.config, "workerinput"):
            raise pytest.UsageError(said)
        # What a worker of pytest-xdist raises here ends it without a word. Its warnings reach the controller.
        with suppress(pytest.UsageError):
            session.config.issue_config_time_warning(Clash(said), stacklevel=2)


class Clash(pytest.PytestWarning):
    """A worker's word for the controller: a fixture of ours is replaced."""


# Last: in a worker, after the warning has been sent.
@pytest.hookimpl(trylast=True)
def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """Refuse the run when a worker tells of a clash.

    :raises pytest.UsageError: it does.
    """
    if isinstance(warning_message.message, Clash):
        raise pytest.UsageError(str(warning_message.message))


def _replaced(item: pytest.Item) -> Iterator[tuple[str, str]]:
    """The fixtures of ours that somebody else defines, too: (name, file).

    Which of two is used depends on their order.
    """
    info = getattr(item, "_fixtureinfo", None)
    for name, definitions in (info.name2fixturedefs if info is not None else {}).items():
        if name not in _names():
            continue
        for one in definitions:
            # One that asks for ours under the same name extends it; a test's own file may do as it likes.
            if not is_ours(one) and name not in one.argnames and not one.baseid.endswith(".py"):
                yield name, inspect.getsourcefile(one.func) or one.func.__module__


@cache
def _names() -> frozenset[str]:
    from harness.pytest_plugin import fixtures

    return frozenset(
        name for name, value in vars(fixtures).items() if type(value).__name__ == "FixtureFunctionDefinition"
    )


def option_clash(error: Exception) -> str | None:
    """Return a message for an error of two plugins that have one option; None for any other error."""
    if PREFIX not in str(error):
        return None
    others = [
        module.__name__
        for module in [*sys.modules.values()]
        if hasattr(module, "pytest_addoption") and not module.__name__.startswith("harness.")
    ]
    where = [sys.modules[name] for name in others if _has_our_option(sys.modules[name])]
    names = ", ".join(inspect.getsourcefile(one) or one.__name__ for one in where) or "a plugin of pytest"
    return _message(f"option that begins with {PREFIX}", names)


def _has_our_option(module: ModuleType) -> bool:
    try:
        return PREFIX in inspect.getsource(module)
    except (OSError, TypeError):
        return False


def _message(what: str, where: str) -> str:
    return (
        f"{where}\n  found     {what}, which Keyharness has\n  expected  names of its own\n"
        "  mend      rename it there, or leave that plugin out: `keyharness run ... -- -p no:NAME`"
    )
