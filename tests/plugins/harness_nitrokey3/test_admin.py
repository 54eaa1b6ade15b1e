"""The admin application through the vendor's SDK."""

from __future__ import annotations

import pytest
from fido2.ctap import CtapError
from fido2.ctap2.pin import ClientPin
from nitrokey.trussed import TimeoutException
from nitrokey.trussed.admin_app import BootMode, InitStatus, Variant

from harness_nitrokey3.twin.settings import FIELDS
from support.twin import ES256, HASH, RP, make, open_ctap2, open_device, open_sdk

ADMIN = 0x72


def test_who_and_what_it_is() -> None:
    board = make()
    admin = open_sdk(board).admin
    assert str(admin.version()) == "v1.8.3"
    assert open_device(board).call(0x61) == (1 << 22 | 8 << 6 | 3).to_bytes(4, "big")
    assert admin.uuid() == open_sdk(make()).admin.uuid()
    assert admin.is_locked()
    assert len(admin.rng()) == 57
    assert admin.rng() != admin.rng()
    status = admin.status()
    assert status.init_status == InitStatus(0)
    assert status.variant is Variant.NRF52
    assert status.ifs_blocks == 255
    assert status.efs_blocks == 478


def test_every_old_command_is_a_sub_command_too() -> None:
    device = open_device(make())
    for command in (0x61, 0x62, 0x63):
        assert device.call(ADMIN, bytes((command,))) == device.call(command)


@pytest.mark.parametrize(
    ("data", "error"), [(b"", "INVALID_LENGTH"), (b"\x81", "INVALID_COMMAND"), (b"\xff", "INVALID_COMMAND")]
)
def test_what_it_does_not_have(data: bytes, error: str) -> None:
    with pytest.raises(CtapError, match=error):
        open_device(make()).call(ADMIN, data)


def test_configuration_is_kept() -> None:
    board = make()
    admin = open_sdk(board).admin
    assert {field.name for field in admin.list_available_fields()} == set(FIELDS)
    assert admin.get_config("piv.disabled") == "false"
    admin.set_config("piv.disabled", "true")
    admin.set_config("opcard.use_se050_backend", "true")
    board.power_off()
    board.power_on()
    admin = open_sdk(board).admin
    assert [name for name in FIELDS if admin.get_config(name) == "true"] == [
        "opcard.use_se050_backend",
        "piv.disabled",
    ]
    assert not admin.has_config("piv.enabled")
    with pytest.raises(Exception, match="INVALID_KEY"):
        admin.set_config("piv.enabled", "true")
    with pytest.raises(Exception, match="INVALID_VALUE"):
        admin.set_config("piv.disabled", "yes")
    board.touch_delay_us = None
    with pytest.raises(Exception, match="unknown error 8"):
        admin.set_config("opcard.use_se050_backend", "false")


def test_a_reboot_is_a_new_boot() -> None:
    board = make()
    boots = board.boots
    sdk = open_sdk(board)
    assert sdk.admin.reboot()
    assert board.boots == boots + 1
    assert open_sdk(board).admin.is_locked()


def test_the_bootloader_is_entered_with_a_touch_only() -> None:
    board = make()
    board.touch_delay_us = None
    with pytest.raises(TimeoutException):
        open_sdk(board).admin.reboot(BootMode.BOOTROM)
    board.touch_delay_us = 200_000
    open_sdk(board).admin.reboot(BootMode.BOOTROM)
    assert board.firmware.face == "bootloader"
    board.power_off()
    board.power_on()
    assert open_sdk(board).admin.is_locked()


def test_factory_resets() -> None:
    board = make()
    ctap = open_ctap2(board)
    ctap.make_credential(HASH, RP, {"id": b"u"}, ES256, options={"rk": True})
    ClientPin(ctap).set_pin("1234")
    admin = open_sdk(board).admin
    admin.set_config("piv.disabled", "true")
    admin.set_config("opcard.disabled", "true")
    for name in ("secrets", "piv", "fido"):
        with pytest.raises(Exception, match="does not support"):
            admin.factory_reset_app(name)
    board.touch_delay_us = None
    with pytest.raises(Exception, match="not confirmed"):
        admin.factory_reset_app("opcard")
    board.touch_delay_us = 200_000
    assert admin.factory_reset_app("opcard")
    assert open_ctap2(board).info.options["clientPin"] is True
    assert open_sdk(board).admin.get_config("opcard.disabled") == "false"
    assert open_sdk(board).admin.get_config("piv.disabled") == "true"
    boots = board.boots
    with pytest.raises(OSError):
        open_device(board).call(ADMIN, b"\x84")
    assert board.boots == boots + 1
    assert open_ctap2(board).info.options["clientPin"] is False
    with pytest.raises(CtapError, match="NO_CREDENTIALS"):
        open_ctap2(board).get_assertion("example.com", HASH)
    assert open_sdk(board).admin.get_config("piv.disabled") == "false"
