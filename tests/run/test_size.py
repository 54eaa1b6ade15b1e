"""What a run leaves on the disk, by the rows of its evidence."""

from __future__ import annotations

import json

import pytest

from harness.report import files

OPERATIONS = ("fido2.client_pin.wrong", "fido2.reset")
BYTES_PER_ROW = 700
"""Of everything but the page's own text, tables and scripts. A row of evidence alone has 450 to 700 bytes."""
FIXED_BYTES = 200_000
FIXED_FILES, FILES_PER_OPERATION = 15, 3


@pytest.mark.long
def test_a_run_leaves_less_than_a_megabyte_for_each_thousand_rows(cli):
    """Its pictures and its trace are what an operation leaves in files; its rows are most of the bytes."""
    asked = [word for name in OPERATIONS for word in ("--operation", name)]
    done = cli("run", "endurance", "--seed", "1", "--rig", "nk3-mini", *asked)
    assert done.returncode == 0, done.stdout + done.stderr
    left = {path: path.stat().st_size for path in cli.run_dir.rglob("*") if path.is_file()}
    rows = len((cli.run_dir / files.EVIDENCE).read_text().splitlines())
    assert rows == json.loads((cli.run_dir / files.SUMMARY).read_text())["cuts"] > 500
    assert sum(left.values()) < FIXED_BYTES + BYTES_PER_ROW * rows, left
    assert len(left) <= FIXED_FILES + FILES_PER_OPERATION * len(OPERATIONS), sorted(left)
