"""Each rule is asked of the key that it belongs to: tables of several keys stand side by side in one suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.api import session_of
from harness_suites.downgrade.table import is_asked_of

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect cases whose rule is of another key than the one on the rig."""
    others = [item for item in items if item.path.parent == HERE and not _is_asked(config, item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def _is_asked(config: pytest.Config, item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    if call is None or "rig" not in call.params:
        return True
    return is_asked_of(session_of(config).bench.key_name(call.params["rig"]), call.params)
