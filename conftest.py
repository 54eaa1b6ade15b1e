"""What only a checkout needs: an order of its own tests in which no worker is left alone at the end."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests come first: pytest-xdist hands out files in this order (--no-loadscope-reorder)."""
    long = Counter(item.path for item in items if item.get_closest_marker("long"))
    items.sort(key=lambda item: -long[item.path])
