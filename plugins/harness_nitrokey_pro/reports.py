"""Feature reports of the Nitrokey Pro, as a table: what each command carries and what it answers.

A report has 64 bytes. To the key: command, fields, CRC in the last four bytes. From it: state of the device, command,
CRC of the request, status, fields from byte 7, CRC. All numbers are little-endian. Sources: keyboard/report_protocol.c
of Nitrokey/nitrokey-pro-firmware@981a7e6; device_proto.h and stick10_commands_0.8.h of Nitrokey/libnitrokey@8349374.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

SIZE, CRC_AT = 64, 60
ANSWER_AT = 7
"""Where the fields of an answer begin; those of a request begin at 1."""
READY, BUSY, FAILED, RECEIVED = 0, 1, 2, 3
"""States of the device: byte 0 of an answer, true when it is read."""
PIN, SAFE_PIN, FIRMWARE_PASSWORD = 25, 30, 20
NAME, SECRET, TOKEN = 15, 40, 13
SAFE_NAME, SAFE_PASSWORD, SAFE_LOGIN = 11, 20, 32
PART = 30
"""Bytes of a name or a secret in one SEND_OTP_DATA."""
RANDOM_MAX = 51

Value = int | bytes


class Status(IntEnum):
    """Byte 6 of an answer."""

    OK = 0
    WRONG_CRC = 1
    WRONG_SLOT = 2
    NOT_PROGRAMMED = 3
    WRONG_PASSWORD = 4
    NOT_AUTHORIZED = 5
    TIMESTAMP = 6
    NO_NAME = 7
    NOT_SUPPORTED = 8
    UNKNOWN = 9
    SAFE_KEY = 10
    AES_CREATE = 11
    USER_CHANGE = 12
    ADMIN_CHANGE = 13
    UNBLOCK = 14


@dataclass(frozen=True)
class Field:
    """A field of a report: bytes, or a number of 1, 2, 4 or 8 bytes.

    :ivar is_text: a C string, which ends at its first zero.
    """

    name: str
    size: int
    is_number: bool = False
    is_text: bool = False


def number(name: str, size: int = 1) -> Field:
    return Field(name, size, is_number=True)


def text(name: str, size: int) -> Field:
    return Field(name, size, is_text=True)


@dataclass(frozen=True)
class Command:
    """One command.

    :ivar request: fields from byte 1. :ivar answer: fields from byte 7.
    :ivar writes: it may write to flash, or to the card.
    """

    name: str
    code: int
    request: tuple[Field, ...] = ()
    answer: tuple[Field, ...] = ()
    writes: bool = False


_SLOT, _TEMPORARY = number("slot"), text("temporary", PIN)
_CODE = (number("code", 4), number("config"), Field("token", TOKEN))
_PINS = (text("old", PIN), text("new", PIN))
_CONFIG = (number("num"), number("caps"), number("scroll"), number("pin_on"), number("delete"))
_COMMANDS = (
    Command("status", 0x00, (), (number("version", 2), number("serial", 4), *_CONFIG)),
    Command(
        "write_slot",
        0x01,
        (_TEMPORARY, _SLOT, number("counter", 8), number("config"), Field("token", TOKEN)),
        writes=True,
    ),
    Command("slot_name", 0x02, (_SLOT,), (text("name", NAME),)),
    Command(
        "read_slot",
        0x03,
        (_SLOT,),
        (text("name", NAME), number("config"), Field("token", TOKEN), number("counter", 8)),
    ),
    Command(
        "code",
        0x04,
        (_SLOT, number("challenge", 8), number("last", 8), number("interval"), text("temporary", PIN)),
        _CODE,
        writes=True,
    ),
    Command("config", 0x05, (*_CONFIG, _TEMPORARY), writes=True),
    Command("erase_slot", 0x06, (_SLOT, _TEMPORARY), writes=True),
    Command("admin", 0x07, (text("pin", PIN), _TEMPORARY), writes=True),
    Command("admin_tries", 0x09, (), (number("tries"),)),
    Command("time", 0x0B, (number("set"), number("time", 8)), writes=True),
    Command("user", 0x0E, (text("pin", PIN), _TEMPORARY), writes=True),
    Command("user_tries", 0x0F, (), (number("tries"),)),
    Command("unblock", 0x11, _PINS, writes=True),
    Command("lock", 0x12),
    Command("factory_reset", 0x13, (text("pin", PIN),), writes=True),
    Command("change_user", 0x14, _PINS, writes=True),
    Command("change_admin", 0x15, _PINS, writes=True),
    Command(
        "otp_data",
        0x17,
        (_TEMPORARY, number("kind"), number("part"), Field("data", PART)),
        (Field("data", PART),),
    ),
    Command("verify", 0x18, (number("code", 4),), (number("result"), number("offset")), writes=True),
    Command("update", 0x19, (text("password", FIRMWARE_PASSWORD),)),
    Command(
        "change_firmware_password",
        0x1A,
        (text("old", FIRMWARE_PASSWORD), text("new", FIRMWARE_PASSWORD)),
        writes=True,
    ),
    Command("random", 0x1B, (number("count"),), (number("done"), number("count"), Field("data", RANDOM_MAX))),
    Command("safe_status", 0x60, (), (Field("slots", 16),)),
    Command("safe_name", 0x61, (_SLOT,), (text("name", SAFE_NAME),)),
    Command("safe_password", 0x62, (_SLOT,), (text("password", SAFE_PASSWORD),)),
    Command("safe_login", 0x63, (_SLOT,), (text("login", SAFE_LOGIN),)),
    Command("safe_put", 0x64, (_SLOT, text("name", SAFE_NAME), text("password", SAFE_PASSWORD))),
    Command("safe_store", 0x65, (_SLOT, text("login", SAFE_LOGIN)), writes=True),
    Command("safe_erase", 0x66, (_SLOT,), writes=True),
    Command("safe_enable", 0x67, (text("pin", SAFE_PIN),), writes=True),
    Command("detect_aes", 0x6A, (text("pin", PIN),), writes=True),
    Command("new_aes_key", 0x6B, (text("pin", PIN),), writes=True),
)
COMMANDS: Mapping[str, Command] = {one.name: one for one in _COMMANDS}
BY_CODE: Mapping[int, Command] = {one.code: one for one in _COMMANDS}


def crc32(data: bytes) -> int:
    """CRC of the STM32's unit: polynomial 04C11DB7, from FFFFFFFF, words of 32 bits, most significant bit first.

    :param data: a multiple of four bytes.
    """
    crc = 0xFFFFFFFF
    for (word,) in struct.iter_unpack("<I", data):
        for byte in word.to_bytes(4, "big"):
            crc = (crc << 8 & 0xFFFFFFFF) ^ _TABLE[crc >> 24 ^ byte]
    return crc


def _entry(index: int) -> int:
    value = index << 24
    for _ in range(8):
        value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


_TABLE = tuple(_entry(index) for index in range(256))


def packed(fields: tuple[Field, ...], values: Mapping[str, Value]) -> bytes:
    """Fields one after the other; those without a value are zeros.

    :raises ValueError: a value that its field cannot hold, or that no field takes.
    """
    if unknown := values.keys() - {field.name for field in fields}:
        raise ValueError(f"no such field: {', '.join(sorted(unknown))}")
    return b"".join(_packed(field, values.get(field.name, 0 if field.is_number else b"")) for field in fields)


def _packed(field: Field, value: Value) -> bytes:
    if isinstance(value, int):
        if not field.is_number or value.bit_length() > 8 * field.size or value < 0:
            raise ValueError(f"{field.name} cannot hold {value}")
        return value.to_bytes(field.size, "little")
    if field.is_number or len(value) > field.size or (field.is_text and b"\0" in value):
        raise ValueError(
            f"{field.name} cannot hold {len(value)} bytes: it has {field.size}, and no zeros in a text"
        )
    return value.ljust(field.size, b"\0")


def unpacked(fields: tuple[Field, ...], data: bytes) -> dict[str, Value]:
    """Fields by name; a text ends at its first zero."""
    found: dict[str, Value] = {}
    for field in fields:
        part, data = data[: field.size].ljust(field.size, b"\0"), data[field.size :]
        if field.is_number:
            found[field.name] = int.from_bytes(part, "little")
        else:
            found[field.name] = part.split(b"\0")[0] if field.is_text else part
    return found


def request(command: Command, values: Mapping[str, Value]) -> bytes:
    """A report to the key, with its CRC. :raises ValueError: as `packed`."""
    body = (bytes([command.code]) + packed(command.request, values)).ljust(CRC_AT, b"\0")
    return body + crc32(body).to_bytes(4, "little")


def answer(code: int, request_crc: int, status: int, data: bytes = b"", state: int = READY) -> bytes:
    """A report from the key, with its CRC, which is made as if the state were 0."""
    head = b"\0" + bytes([code]) + request_crc.to_bytes(4, "little") + bytes([status])
    body = (head + data).ljust(CRC_AT, b"\0")
    return bytes([state]) + body[1:] + crc32(body).to_bytes(4, "little")


@dataclass(frozen=True)
class Answer:
    """An answer in its parts. :ivar crc: of the request that is answered. :ivar is_whole: its own CRC is right."""

    state: int
    code: int
    crc: int
    status: int
    data: bytes
    is_whole: bool


def read_answer(report: bytes) -> Answer:
    """Take an answer apart. :raises ValueError: it has another size than 64 bytes."""
    if len(report) != SIZE:
        raise ValueError(f"a report of {len(report)} bytes, not {SIZE}")
    body = b"\0" + report[1:CRC_AT]
    return Answer(
        state=report[0],
        code=report[1],
        crc=int.from_bytes(report[2:6], "little"),
        status=report[6],
        data=report[ANSWER_AT:CRC_AT],
        is_whole=crc32(body) == int.from_bytes(report[CRC_AT:], "little"),
    )
