"""The downgrade suite fails where it must: each defect of the bootloader breaks cases of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from harness.bench.firmware_updates import FirmwareUpdates
from harness.bench.registry import discover
from harness_suites.downgrade.table import DAMAGES, PAIRS, UPDATES, is_asked_of

DEFECTS = {
    "refusal-erases": "test_versions and 1.8.3-to-1.8.2 and bootloader",
    "written-before-verified": "test_damaged and foreign-key",
    "same-version-unchecked": "test_damaged and same-version",
    "version-raised-late": "test_versions and 1.8.3-to-1.9.0 and bootloader",
    "version-raised-early": "test_versions and 1.8.3-to-1.8.3 and half-updated",
}
HEAD = '[[rig]]\nname = "a"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'


QUICK = ("",)


@pytest.mark.parametrize(
    "defect",
    [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long]) for name in ("", *DEFECTS)],
)
def test_a_defect_of_the_bootloader_fails_the_suite(cli, defect: str) -> None:  # type: ignore[no-untyped-def]
    chosen = DEFECTS.get(defect, " or ".join(f"({cases})" for cases in DEFECTS.values()))
    (cli.cwd / "bench.toml").write_text(HEAD + (f'twin.defects = ["{defect}"]\n' if defect else ""))
    done = cli("run", "downgrade", "--seed", 1, "--bench", "bench.toml", "--", "-k", chosen)
    assert done.returncode == (1 if defect else 0), done.stdout + done.stderr


@pytest.mark.long
def test_a_sound_key_passes_the_whole_suite(cli) -> None:  # type: ignore[no-untyped-def]
    done = cli("run", "downgrade", "--seed", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((cli.run_dir / "summary.json").read_text())
    assert summary["suites"]["downgrade"]["passed"] > 50


def test_the_rules_come_from_the_plugins_of_the_keys() -> None:
    offered = discover().update_rules
    assert {name: type(updates) for name, updates in offered.items()} == {
        name: type(updates) for name, updates in UPDATES.items()
    }
    assert all(isinstance(updates, FirmwareUpdates) for updates in offered.values())
    assert {pair.device for pair in PAIRS} == {damage.device for damage in DAMAGES} == set(offered)


def test_a_rule_is_asked_of_its_own_key_only() -> None:
    pair, damage = PAIRS[0], DAMAGES[0]
    assert is_asked_of(pair.device, {"rig": "a", "pair": pair, "state": "application"})
    assert is_asked_of(damage.device, {"damage": damage})
    assert is_asked_of("any key", {"rig": "a", "state": "bootloader"})
    assert not is_asked_of("another key", {"pair": pair})
    assert not is_asked_of(pair.device, {"pair": replace(pair, device="another key")})


@pytest.mark.parametrize("rows", [PAIRS, DAMAGES], ids=["pairs", "damages"])
def test_ids_of_one_key_are_unique(rows: Iterable[object]) -> None:
    names = [(getattr(row, "device", None), getattr(row, "id", None)) for row in rows]
    assert len(names) == len(set(names)) > 20
