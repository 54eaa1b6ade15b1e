"""Where the checkout and its tests are, and how a child process finds what is in tests/support."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SUPPORT = TESTS / "support"
ABSENT = Path("/dev/null/absent")
"""Nothing can be below a device, whatever else this machine has."""


def with_path(*folders: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment in which Python imports from these folders, too."""
    path = [*map(str, folders), environ.get("PYTHONPATH", "")]
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def with_support(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment in which `support` can be imported."""
    return with_path(TESTS, environ=environ)


def shared(name: str) -> Path:
    """Return a file or folder of the data that lies beside the checkout; the test is skipped where it is absent."""
    for folder in ROOT.parents:
        if (found := folder / "shared" / name).exists():
            return found
    return pytest.skip(f"no ../shared/{name}")
