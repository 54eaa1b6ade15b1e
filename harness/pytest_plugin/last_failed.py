"""Only the cases that failed in an earlier run: --kh-last-failed."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out all other cases."""
    name = config.getoption("kh_last_failed")
    if not name:
        return
    from harness.run.resume import cases_failed

    failed = cases_failed(Path(config.getoption("kh_reports")) / name)
    if left := [item for item in items if item.nodeid not in failed]:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item.nodeid in failed]
