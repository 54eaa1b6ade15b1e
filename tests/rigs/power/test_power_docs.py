"""docs/rigs-power.md names every driver of ours with all of its settings, and no driver imports what it need not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness_rigs.power.every import POWER, RELAYS
from harness_rigs.touch.every import TOUCH

PAGE = (Path(__file__).parents[3] / "docs" / "rigs-power.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("driver", [*POWER, *TOUCH], ids=lambda driver: driver.name)
def test_it_is_explained_with_its_settings(driver):
    missing = [name for name in (driver.name, *driver.options.model_fields) if f"`{name}`" not in PAGE]
    assert not missing


def test_the_table_says_which_are_struck():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `") and line.count("|") == 5]
    assert [row.split("`")[1] for row in rows[: len(POWER)]] == [
        "hub", "ykush", "lcus", "dcttech", "devantech", "kmtronic", "numato", "lcus-hid", "ft245r", "pico",
        "command", "hand", "combined",
    ]  # fmt: skip


def test_every_relay_may_hang_on_either_contact():
    assert all("normally" in driver.options.model_fields for driver in RELAYS)


def test_what_is_heavy_is_imported_where_it_is_used():
    program = "import sys, harness_rigs.power.every, harness_rigs.touch.every; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"usb", "serial", "fido2", "http.server"} & set(done.stdout.split())
