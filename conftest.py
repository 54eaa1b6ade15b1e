"""What only a checkout needs: an order of its own tests in which no worker is left alone at the end."""

from __future__ import annotations

from collections import Counter

import pytest

LONGEST = (
    "tests/docs/test_docs.py",
    "tests/run/test_prove.py",
    "tests/campaign/test_timed_twin.py",
    "tests/run/test_resume.py",
    "tests/run/test_run.py",
    "tests/project/test_wheel.py",
    "tests/suites/test_conformance.py",
    "tests/search/test_goals.py",
)
"""Files that take minutes, the longest first. A file stays on one worker, so one that began last would end alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These files come first, then those with long tests: pytest-xdist hands files out in this order."""
    long = Counter(item.path for item in items if item.get_closest_marker("long"))
    first = {name: at for at, name in enumerate(LONGEST)}

    def rank(item: pytest.Item) -> tuple[int, int]:
        return first.get(item.nodeid.partition("::")[0], len(first)), -long[item.path]

    items.sort(key=rank)
