"""Where the Nitrokey Pro keeps what in the 128 KiB of its microcontroller (inc/memory_layout.h, hotp/hotp.c)."""

from __future__ import annotations

from harness.api import Part

STM32F103 = Part("stm32f103 internal", 1024, 128, 2, 52, 30_000, 10_000)
"""STM32F103x8/xB flash (PM0075): pages of 1 KiB, half-words in 52 us, an erase in 20 to 40 ms, 10,000 cycles."""
PAGE = 1024
BOOTLOADER_PAGES = 8
DATA_PAGE = 111
"""The first page of data. A firmware image ends a page before it (build/gcc/stm32.ld)."""
APPLICATION_PAGES = 102
INSTALLED = BOOTLOADER_PAGES - 1
"""The sound bootloader notes here what it has installed whole."""

HIDDEN_COUNTER, SAFE, JOURNAL, USER, HEADER, TIME = 111, 112, 113, 119, 120, 121
"""Pages. 113 to 118 and 120 are free in the original; the sound personality keeps its journal there."""
SLOTS = (122, 123)
COUNTERS = {0x10: 124, 0x11: 125, 0x12: 126, 0x13: HIDDEN_COUNTER}
"""HOTP slot -> page of its counter."""
BACKUP = 127
TOTP_NUMBERS = tuple(range(0x20, 0x2F))
JOURNAL_PAGES = tuple(range(JOURNAL, JOURNAL + 6))

# The user page: place and size of each field.
STICK, STICK_BYTES = 72, 28
SAFE_MASK, SAFE_KEY, HASH, SALT = 146, 178, 210, 242
KEY_BYTES, SALT_BYTES = 32, 10
PENDING, IS_PENDING, NOT_PENDING = 256, b"\0", b"\xff"
"""The sound personality notes here that a factory reset still has to reset the card."""

# The first page of slots begins with the configuration: num, caps, scroll, codes need the user PIN, delete.
CONFIG_BYTES, CONFIG_WRITTEN = 5, 64

# A slot: type, number, name 15, secret 40, config, token 13, counter or interval.
SLOT_BYTES, FIRST_SLOT = 79, 64
HOTP_TYPE, TOTP_TYPE, FREE = ord("H"), ord("T"), 0xFF
_SHIFT_FROM, _BACK, _ON = 921, 921, 1032
COPIED = 1000
"""Bytes of a slot page that are copied."""

# The backup page.
BACKUP_ADDRESS, BACKUP_LENGTH, BACKUP_OK = 1000, 1004, 1006
OK_MARK = b"\x4b\x4f"
FLASH_BASE = 0x08000000

# A counter page: the base, then a byte for each use.
BASE_BYTES, USES = 8, 1016

TIME_WORDS = 32
TIME_ORIGIN = 1388534400
"""1 January 2014."""


def slot_index(slot: int) -> int | None:
    """The index of a slot by its number: HOTP 10 to 13 are 0 to 3, TOTP 20 to 2E are 4 to 18; None: no such slot."""
    if 0x10 <= slot <= 0x13:
        return slot - 0x10
    return slot - 0x20 + 4 if 0x20 <= slot <= 0x2E else None


def slot_place(index: int) -> tuple[int, int]:
    """Page and offset of a slot."""
    place = FIRST_SLOT + SLOT_BYTES * index
    if place > _SHIFT_FROM:
        place += _ON - _BACK
    return SLOTS[place // PAGE], place % PAGE
