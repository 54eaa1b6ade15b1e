"""Run pytest as `python -m pytest` does; a clash of another plugin's options with ours becomes one message."""

from __future__ import annotations

import argparse
import sys

import pytest

from harness.pytest_plugin.clashes import option_clash

USAGE = 4


def main(arguments: list[str]) -> int:
    """Return pytest's exit code."""
    try:
        return int(pytest.main(arguments))
    except (ValueError, argparse.ArgumentError) as error:
        if (said := option_clash(error)) is None:
            raise
        sys.stderr.write(f"{said}\n")
        return USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
