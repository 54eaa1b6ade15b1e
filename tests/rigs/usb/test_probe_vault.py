"""A key on a debug probe: its flash is copied by commands, here by ones of this test's own."""

from __future__ import annotations

import sys

import pytest
from pydantic import ValidationError

from harness.base.errors import RigError
from harness_rigs.usb.options import UsbOptions
from harness_rigs.usb.probe_vault import FlashDump, ProbeOptions, ProbeVault


@pytest.fixture
def flash(tmp_path):
    made = tmp_path / "flash"
    made.write_bytes(b"as it was" * 100)
    return made


def vault_with(flash, off=lambda: None, **options) -> ProbeVault:
    commands = {"dump": ["cp", str(flash), "{file}"], "restore": ["cp", "{file}", str(flash)], **options}
    return ProbeVault("dev-1", ProbeOptions(**commands), off)


def test_a_state_comes_back_and_each_time_is_paid_for_with_the_power_off(flash):
    done = []
    vault = vault_with(flash, lambda: done.append("off"))
    vault.spend = lambda: done.append("paid")
    before = vault.snapshot()
    flash.write_bytes(b"changed")
    assert vault.differing(before, vault.snapshot()) == ["flash.bin"]
    vault.restore(before)
    assert flash.read_bytes() == before.content
    assert vault.snapshot().digest() == before.digest()
    assert done == ["off", "off", "off", "paid", "off"]


def test_a_kept_state_is_read_again(flash):
    vault = vault_with(flash)
    state = vault.snapshot()
    assert vault.from_files(vault.to_files(state)) == state
    with pytest.raises(ValueError, match=r"flash\.bin is missing"):
        vault.from_files({})


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"dump": ["/no/such/program", "{file}"]}, "no program /no/such/program"),
        ({"dump": ["sh", "-c", "echo no target >&2; exit 3", "{file}"]}, "exit code 3: no target"),
        ({"dump": ["true", "{file}"]}, "an empty flash.bin"),
        ({"dump": [sys.executable, "-c", "input()", "{file}"], "limit_s": 60}, "exit code 1"),
        ({"dump": ["sh", "-c", "exec sleep 600", "{file}"], "limit_s": 0.2}, "no end within 0.2 s"),
    ],
)
def test_a_command_that_fails_is_the_rigs_fault_and_named(flash, options, found):
    with pytest.raises(RigError) as error:
        vault_with(flash, **options).snapshot()
    assert found in str(error.value)
    assert "run it by hand" in str(error.value)


def test_a_restore_that_fails_says_so(flash):
    with pytest.raises(RigError, match=r"flash\.restore"):
        vault_with(flash, restore=["false", "{file}"]).restore(FlashDump(b"x"))


@pytest.mark.parametrize("missing", ["dump", "restore"])
def test_a_command_without_a_file_is_refused_in_the_bench(missing):
    commands = {"dump": ["a", "{file}"], "restore": ["b", "{file}"], missing: ["c"]}
    with pytest.raises(ValidationError, match=r"the command needs \{file\}"):
        UsbOptions(port="1-1", flash=commands)
