"""A real key is updated only as granted, what that spends is written down before, and nothing is offered to it
that it might take by mistake. The rig poses as hardware; the key in it is a twin."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bench.registry import discover
from harness.campaign.observe import observe
from harness.evidence.ledger import Ledger
from harness.model.judge import unsound
from harness.model.memory import Memory
from harness.model.operation import Operation
from harness.model.rig import KeyGone
from harness.safety.budget import Budget, BudgetExhausted, Grants
from harness.safety.budgeted_key import with_budget
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_nitrokey3 import bootloader_probe
from support.update import container


class Posing(TwinRig):
    """A rig that says that it is hardware."""

    evidence_kind = "hardware"
    vault = None


@pytest.fixture
def real(tmp_path: Path) -> Posing:
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    rig = Posing("real", key, twin, TwinOptions(), 1, expendable=True)
    rig.power.on()
    rig.firmware_file = tmp_path / "update.zip"
    rig.firmware_file.write_bytes(container(rig, "1.9.0").data)
    return rig


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


def granted(real: Posing, ledger: Ledger, updates: int) -> tuple[Budget, Operation]:
    budget = Budget(ledger, "uuid:1", "hardware", "real", Grants(forced_updates=updates))
    return budget, with_budget(real.key, budget).operations["update.install"]


def test_without_a_grant_it_is_not_offered(real: Posing, ledger: Ledger) -> None:
    _, operation = granted(real, ledger, 0)
    assert operation.missing is not None
    assert "forced_updates" in (operation.missing(real) or "")


def test_without_the_vendors_container_it_is_not_offered(real: Posing, ledger: Ledger) -> None:
    _, operation = granted(real, ledger, 1)
    real.firmware_file = None
    assert operation.missing is not None
    assert "--firmware" in (operation.missing(real) or "")


def test_an_update_is_spent_before_it_is_begun_and_no_more_than_was_granted(
    real: Posing, ledger: Ledger
) -> None:
    budget, operation = granted(real, ledger, 2)
    assert operation.missing is not None
    assert operation.missing(real) is None
    memory = Memory()
    operation.arrange(real, memory)
    real.power.off()
    with pytest.raises(KeyGone):
        operation.act(real, memory)
    assert budget.spent("forced_updates") == 1, "the key never saw it, and it counts"
    real.power.on()
    operation.act(real, memory)
    items = [item for item in operation.items if item.name.startswith("update.")]
    seen = observe(real, items, memory, memory, exact=False)
    assert seen.values == {
        "update.runs": "application v1.9.0",
        "update.accepts": bootloader_probe.SIGNED,
        "update.settings_copies": "not told",
        "update.files": "not told",
    }
    assert not unsound(items, (), memory, seen.values), "a real key is no glass box, and no fault"
    assert budget.spent("forced_updates") == 2
    with pytest.raises(BudgetExhausted, match="forced_updates"):
        operation.act(real, memory)


def test_what_a_real_key_is_asked_leaves_its_firmware_alone(real: Posing) -> None:
    before = real.inside.snapshot()
    real.power.on()
    operation = real.key.operations["update.install"]
    memory = Memory()
    operation.arrange(real, memory)
    observe(real, operation.items, memory, memory, exact=False)
    assert real.inside.differing(before, real.inside.snapshot()) == []


def test_a_bootloader_that_takes_a_foreign_image_is_caught_without_a_copy(tmp_path: Path) -> None:
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    options = TwinOptions(defects=("same-version-unchecked",))
    rig = Posing("real", key, twin, options, 1, expendable=True)
    rig.power.on()
    assert bootloader_probe.foreign(rig, "1.8.3", "1.9.0") == "v1.8.3 signed by somebody else"


def test_an_emulator_has_no_bootloader(real: Posing) -> None:
    real.evidence_kind = "emulator"
    for name in ("update.install", "update.refused", "update.install.aborted"):
        missing = real.key.operations[name].missing
        assert missing is not None
        assert missing(real) == "an emulator has no bootloader"
