"""Fixtures of this suite: those of the SmartCard-HSM suite."""

from __future__ import annotations

from harness_suites.schsm.fixtures import hsm, mine, second, user

__all__ = ["hsm", "mine", "second", "user"]
