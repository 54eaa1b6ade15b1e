"""Which suites a run has when the caller names none."""

from __future__ import annotations

import pytest

from harness.run.launch import Launch
from harness.run.wanted import Wanted

RIG = '[[rig]]\nname = "{0}"\nkey = "{0}"\ndriver = "virtual"\nexpendable = true\n'
CARD, FIDO = "nitrokey-hsm2", "nitrokey3-mini"


def suites(tmp_path, keys, *named):
    bench = tmp_path / "bench.toml"
    bench.write_text("".join(RIG.format(key) for key in keys))
    return [suite.name for suite in Launch(Wanted(bench, seed=1), list(named), tmp_path, []).suites]


@pytest.mark.parametrize(
    "keys, expected",
    [
        ([FIDO], ["conformance", "downgrade", "endurance"]),
        ([CARD], ["endurance", "lifecycle", "schsm"]),
        ([FIDO, CARD], ["conformance", "downgrade", "endurance", "lifecycle", "schsm"]),
    ],
)
def test_a_suite_that_asks_an_application_which_no_key_has_is_left_out(tmp_path, keys, expected):
    assert sorted(suites(tmp_path, keys)) == expected


def test_a_suite_that_is_named_is_run_whatever_the_keys_are(tmp_path):
    assert suites(tmp_path, [FIDO], "schsm") == ["schsm"]
