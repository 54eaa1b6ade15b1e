"""Which tests ask for our fixtures. Those of others may have fixtures and parameters of the same names."""

from __future__ import annotations

from typing import Any

import pytest

OURS = "harness.pytest_plugin.fixtures"


def asks_ours(item: pytest.Item, name: str) -> bool:
    """Return whether a test asks for our fixture of this name.

    Not if it has a parameter of that name, or if somebody else's fixture replaces ours; one that asks for ours under
    the same name extends it.
    """
    info = getattr(item, "_fixtureinfo", None)
    if info is None or name not in info.names_closure or _is_parameter(item, name):
        return False
    for definition in reversed(info.name2fixturedefs.get(name, ())):
        if is_ours(definition):
            return True
        if name not in definition.argnames:
            return False
    return False


def is_ours(definition: Any) -> bool:
    """Return whether a fixture's definition is one of ours."""
    return bool(definition.func.__module__ == OURS)


def _is_parameter(item: pytest.Item, name: str) -> bool:
    """Return whether a mark of the test gives values for the name."""
    for mark in item.iter_markers("parametrize"):
        names = mark.kwargs.get("argnames", mark.args[0] if mark.args else ())
        if name in ([one.strip() for one in names.split(",")] if isinstance(names, str) else names):
            return True
    return False
