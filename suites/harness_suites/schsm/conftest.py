"""Fixtures of this suite, and its mark."""

from __future__ import annotations

import pytest

from harness_suites.schsm.fixtures import hsm, mine, second, user

__all__ = ["hsm", "mine", "second", "user"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "reads: the case changes nothing on the card")
