"""The update table: wrong init packets are refused, the settings have two whole copies, a boot checks its image."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nitrokey.trussed._bootloader.nrf52_upload.dfu import dfu_cc_pb2 as pb

from harness.campaign.recording import UncutFault
from harness_nitrokey3 import bootloader_probe
from harness_nitrokey3.init_packets import WRONG_PACKETS
from harness_nitrokey3.twin import bootloader, init_packet
from support.nitrokey import found, nitrokey, walked

ACCEPTED_BY = {
    "debug-skips-checks": "debug-older: the debug flag is no leave to go back",
    "hardware-optional": "without-hw_version",
    "version-optional": "without-fw_version",
    "zero-signature-taken": "signature-zero: a signature of zeros is nobody's",
}
"""Defect -> the packet that it lets in."""


def test_a_sound_bootloader_refuses_each_packet_of_the_table():
    rig = nitrokey()
    rig.power.on()
    assert bootloader_probe.taken_in_spite(rig, "1.8.3", "1.9.0") is None
    assert len({packet.id for packet in WRONG_PACKETS}) == len(WRONG_PACKETS) >= 18


@pytest.mark.parametrize("defect", ACCEPTED_BY)
def test_a_packet_that_is_let_in_is_named(defect):
    with pytest.raises(UncutFault) as told:
        walked("update.refused", defect, cuts=1)
    assert ACCEPTED_BY[defect] in str(told.value.found)


@pytest.mark.parametrize(
    ("compared", "packet"),
    [
        (lambda number: number & 0x3FFFFF, "older-major"),
        (lambda number: number & 0x3F, "older-minor"),
    ],
)
def test_a_floor_of_a_part_of_the_number_lets_a_packet_in(monkeypatch, compared, packet):
    """The bootloader that leaves out the major number, or the minor one, too."""
    sound = bootloader.checked

    def checked(data, door, settings, *more):
        init = pb.Packet.FromString(data).signed_command.command.init
        enough = init.HasField("fw_version") and compared(init.fw_version) >= compared(settings.app_version)
        return sound(data, door, replace(settings, app_version=0) if enough else settings, *more)

    monkeypatch.setattr(bootloader, "checked", checked)
    rig = nitrokey()
    rig.power.on()
    assert (bootloader_probe.taken_in_spite(rig, "1.8.3", "1.9.0") or "").startswith(packet)


def test_a_hash_of_another_length_that_is_let_in_is_named(monkeypatch):
    """A bootloader that compares as many bytes as there are."""
    monkeypatch.setattr(init_packet, "len", lambda data: 32, raising=False)
    rig = nitrokey()
    rig.power.on()
    assert (bootloader_probe.taken_in_spite(rig, "1.8.3", "1.9.0") or "").startswith("hash-of-")


@pytest.mark.parametrize(
    ("defect", "said"),
    [
        ("second-packet-unchecked", "v1.8.2 and later, after an accepted init packet"),
        ("refusal-lowers-floor", "v1.8.2 and later"),
    ],
)
def test_a_floor_that_the_boot_or_a_refusal_lowers_is_found(defect, said):
    with pytest.raises(UncutFault) as told:
        walked("update.install", defect, cuts=1)
    assert said in str(told.value.found)


def test_a_backup_that_is_not_renewed_and_an_image_that_is_not_checked_are_found():
    assert ("update.settings_copies", "lost") in found(walked("update.install", "backup-left-behind", cuts=6))
    assert ("update.runs", "torn") in found(walked("update.damaged_image", "boot-unchecked"))
    assert not walked("update.damaged_image").findings
    assert not walked("update.install", cuts=6).findings
