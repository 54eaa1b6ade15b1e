"""Use a Nitrokey Pro through libnitrokey 3.7 and print what it says, as JSON. Run as a program of its own.

Exit code 77: there is no libnitrokey.
"""

from __future__ import annotations

import ctypes
import json
import sys

SECRET = "3132333435363738393031323334353637383930"
START = 1_999_999_980
"""The first second of the 30 to which the RFC's 2000000000 belongs: there is time until the code is asked for."""
USER, ADMIN, TEMPORARY, USER_TEMPORARY = b"123456", b"12345678", b"temporary", b"temporary too"


class Slot(ctypes.Structure):
    """NK_C_API.h: ReadSlot_t."""

    _fields_ = [
        ("slot_name", ctypes.c_uint8 * 15),
        ("_slot_config", ctypes.c_uint8),
        ("slot_token_id", ctypes.c_uint8 * 13),
        ("slot_counter", ctypes.c_uint64),
    ]


class Random(ctypes.Structure):
    """NK_C_API.h: GetRandom_t."""

    _fields_ = [("op_success", ctypes.c_uint8), ("size", ctypes.c_uint8), ("data", ctypes.c_uint8 * 51)]


def main() -> int:
    try:
        library = ctypes.CDLL("libnitrokey.so.3")
    except OSError as error:
        print(error, file=sys.stderr)
        return 77
    for name in (
        *("NK_get_hotp_code", "NK_get_totp_code", "NK_get_hotp_slot_name", "NK_device_serial_number"),
        *("NK_get_password_safe_slot_name", "NK_get_password_safe_slot_login"),
        *("NK_get_password_safe_slot_password", "NK_get_hotp_code_PIN", "NK_get_totp_code_PIN"),
        "NK_get_totp_slot_name",
    ):
        getattr(library, name).restype = ctypes.c_char_p
    library.NK_get_password_safe_slot_status.restype = ctypes.POINTER(ctypes.c_uint8)
    library.NK_read_config.restype = ctypes.POINTER(ctypes.c_uint8)
    library.NK_device_serial_number_as_u32.restype = ctypes.c_uint32
    library.NK_set_debug(False)
    said: dict[str, object] = {}
    said["login"] = library.NK_login(b"P")
    said["version"] = [library.NK_get_major_firmware_version(), library.NK_get_minor_firmware_version()]
    said["tries"] = [library.NK_get_user_retry_count() & 0xFF, library.NK_get_admin_retry_count() & 0xFF]
    said["wrong admin"] = library.NK_first_authenticate(b"00000000", TEMPORARY)
    said["tries after"] = library.NK_get_admin_retry_count() & 0xFF
    said["admin"] = library.NK_first_authenticate(ADMIN, TEMPORARY)
    said["write hotp"] = library.NK_write_hotp_slot(
        ctypes.c_uint8(1),
        b"rfc 4226",
        SECRET.encode(),
        ctypes.c_uint64(0),
        False,
        False,
        False,
        b"",
        TEMPORARY,
    )
    said["hotp"] = [(library.NK_get_hotp_code(ctypes.c_uint8(1)) or b"").decode() for _ in range(3)]
    said["name"] = (library.NK_get_hotp_slot_name(ctypes.c_uint8(1)) or b"").decode()
    slot = Slot()
    said["read"] = library.NK_read_HOTP_slot(ctypes.c_uint8(1), ctypes.byref(slot))
    said["counter"] = slot.slot_counter
    said["write totp"] = library.NK_write_totp_slot(
        ctypes.c_uint8(14),
        b"rfc 6238",
        SECRET.encode(),
        ctypes.c_uint16(30),
        True,
        False,
        False,
        b"",
        TEMPORARY,
    )
    said["time"] = library.NK_totp_set_time(ctypes.c_uint64(START))
    said["totp"] = (library.NK_get_totp_code(ctypes.c_uint8(14), 0, 0, 30) or b"").decode()
    said["free"] = [
        (library.NK_get_hotp_slot_name(ctypes.c_uint8(2)) or b"").decode(),
        library.NK_get_last_command_status(),
    ]
    said["new safe"] = library.NK_build_aes_key(ADMIN)
    said["open"] = library.NK_enable_password_safe(USER)
    said["entry"] = library.NK_write_password_safe_slot(
        ctypes.c_uint8(5), b"a name", b"a login", b"a password"
    )
    said["entries"] = list(library.NK_get_password_safe_slot_status()[:16])
    said["stored"] = [
        (ask(ctypes.c_uint8(5)) or b"").decode()
        for ask in (
            library.NK_get_password_safe_slot_name,
            library.NK_get_password_safe_slot_login,
            library.NK_get_password_safe_slot_password,
        )
    ]
    said["lock"] = library.NK_lock_device()
    said |= settings(library)
    said["change"] = library.NK_change_user_PIN(USER, b"654321")
    said["firmware password"] = library.NK_change_firmware_password_pro(b"12345678", b"another one")
    said["reset"] = library.NK_factory_reset(ADMIN)
    said["after"] = [
        (library.NK_get_hotp_slot_name(ctypes.c_uint8(1)) or b"").decode(),
        library.NK_get_last_command_status(),
    ]
    said["default again"] = library.NK_enable_password_safe(USER)
    # The password that was changed above outlives a reset.
    said["wrong update"] = library.NK_enable_firmware_update_pro(b"12345678")
    said["update"] = library.NK_enable_firmware_update_pro(b"another one")
    library.NK_logout()
    print(json.dumps(said))
    return 0


def settings(library: ctypes.CDLL) -> dict[str, object]:
    """Model and serial number, the configuration, codes for which the user PIN is asked, what is erased, PINs."""
    said: dict[str, object] = {"model": library.NK_get_device_model()}
    said["serial"] = library.NK_device_serial_number_as_u32() == int(library.NK_device_serial_number(), 16)
    said["AES"] = library.NK_is_AES_supported(USER)
    random = Random()
    said["random"] = [library.NK_get_random(ctypes.c_uint8(16), ctypes.byref(random)), random.size]
    said["first admin"] = library.NK_first_authenticate(ADMIN, TEMPORARY)
    settings = (*(ctypes.c_uint8(one) for one in (1, 255, 255)), True, False, TEMPORARY)
    said["write config"] = library.NK_write_config(*settings)
    said["config"] = list(library.NK_read_config()[:5])
    said["hotp without PIN"] = (library.NK_get_hotp_code(ctypes.c_uint8(1)) or b"").decode()
    said["not authorised"] = library.NK_get_last_command_status()
    said["user"] = library.NK_user_authenticate(USER, USER_TEMPORARY)
    code = library.NK_get_hotp_code_PIN(ctypes.c_uint8(1), USER_TEMPORARY)
    said["hotp with PIN"] = (code or b"").decode()
    said["time again"] = library.NK_totp_set_time_soft(ctypes.c_uint64(START))
    asked = (ctypes.c_uint8(14), ctypes.c_uint64(0), ctypes.c_uint64(0), ctypes.c_uint8(30), USER_TEMPORARY)
    said["totp with PIN"] = (library.NK_get_totp_code_PIN(*asked) or b"").decode()
    said["erase totp"] = library.NK_erase_totp_slot(ctypes.c_uint8(14), TEMPORARY)
    said["totp name"] = (library.NK_get_totp_slot_name(ctypes.c_uint8(14)) or b"").decode()
    said["open again"] = library.NK_enable_password_safe(USER)
    said["erase entry"] = library.NK_erase_password_safe_slot(ctypes.c_uint8(5))
    said["no entries"] = list(library.NK_get_password_safe_slot_status()[:16])
    said["admin PIN"] = library.NK_change_admin_PIN(ADMIN, b"87654321")
    said["unblock"] = library.NK_unlock_user_password(b"87654321", USER)
    said["admin PIN back"] = library.NK_change_admin_PIN(b"87654321", ADMIN)
    return said


sys.exit(main())
