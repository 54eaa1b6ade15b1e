"""rigs/shipping.toml accepts what shipping firmware is known to do otherwise, and nothing that it does not do."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from support.limits import HUNG_S
from support.paths import ROOT

ACCEPTED = tomllib.loads((ROOT / "rigs" / "shipping.toml").read_text(encoding="utf-8"))["deviation"]


@pytest.mark.long
def test_each_accepted_deviation_is_one_and_is_needed(cli):
    functions = {re.search(r"::(\w+)", entry["case"])[1] for entry in ACCEPTED}
    done = cli(
        "run",
        "conformance",
        "--seed",
        "1",
        "--bench",
        "shipping.toml",
        "--",
        "-k",
        " or ".join(functions),
        timeout=HUNG_S,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    rows = [json.loads(line) for line in (cli.run_dir / "results.jsonl").read_text().splitlines()]
    deviating = {re.search(r"::(\w+)", row["nodeid"])[1] for row in rows if row["outcome"] == "deviation"}
    assert deviating == functions
    assert "not needed" not in done.stdout
