"""Slots of one-time passwords, the counters of HOTP slots, and the configuration, which stands before the slots."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from harness.api import Flash
from harness_nitrokey_pro.reports import NAME, SECRET, TOKEN
from harness_nitrokey_pro.twin.layout import (
    BASE_BYTES,
    CONFIG_BYTES,
    CONFIG_WRITTEN,
    COUNTERS,
    HOTP_TYPE,
    PAGE,
    SLOT_BYTES,
    SLOTS,
    TOTP_TYPE,
    USES,
    slot_index,
    slot_place,
)
from harness_nitrokey_pro.twin.pages import Pages

_LAYOUT = struct.Struct(f"<BB{NAME}s{SECRET}sB{TOKEN}sQ")
assert _LAYOUT.size == SLOT_BYTES
EIGHT_DIGITS = 0x01
FACTORY_CONFIG = b"\xff\xff\xff\0\0"
ERASES = 300
"""Erases by which the pages of an aged key are older that are erased at all."""
Changes = dict[int, bytes | None]


@dataclass(frozen=True)
class Slot:
    """A slot. :ivar parameter: the interval of TOTP in seconds; the first counter of HOTP."""

    number: int
    name: bytes
    secret: bytes
    config: int
    token: bytes
    parameter: int

    @property
    def is_hotp(self) -> bool:
        return self.number in COUNTERS

    @property
    def digits(self) -> int:
        return 8 if self.config & EIGHT_DIGITS else 6

    def packed(self) -> bytes:
        kind = HOTP_TYPE if self.is_hotp else TOTP_TYPE
        return _LAYOUT.pack(
            kind, self.number, self.name, self.secret, self.config, self.token, self.parameter
        )


def age_slots(flash: Flash, bits: int) -> dict[str, int]:
    """Set the counter of each HOTP slot of a key without power to 2 ** bits - 1, or to the next number that ends so.

    :returns: "HOTP 10" and what its counter is now, for each slot that has one.
    """
    flash.erases[:] = [count + ERASES if count else 0 for count in flash.erases]
    counted = {}
    for number, page in COUNTERS.items():
        content = flash.pages[page]
        if content == b"\xff" * PAGE:
            continue
        used = sum(byte != 0xFF for byte in content[BASE_BYTES:])
        counter = int.from_bytes(content[:BASE_BYTES], "little") + used
        counter = max(counter | (1 << bits) - 1, used)
        flash.pages[page] = (counter - used).to_bytes(BASE_BYTES, "little") + content[BASE_BYTES:]
        counted[f"HOTP {number:02X}"] = counter
    return counted


class Slots:
    """All slots. Everything that writes raises PowerLost."""

    def __init__(self, pages: Pages):
        self._pages = pages

    def get(self, number: int) -> Slot | None:
        """A slot by its number; None if it is free."""
        page, offset = self._place(number)
        kind, found, name, secret, config, token, parameter = _LAYOUT.unpack_from(
            self._pages.read(page), offset
        )
        if kind not in (HOTP_TYPE, TOTP_TYPE) or found != number:
            return None
        return Slot(number, name.split(b"\0")[0], secret, config, token, parameter)

    def put(self, slot: Slot) -> None:
        """Write a slot; a HOTP slot begins at its counter."""
        pages = self._pages
        changes = self._changes(slot.number, slot.packed())
        if not slot.is_hotp:
            self._write(changes)
            return
        counter, base = COUNTERS[slot.number], slot.parameter.to_bytes(BASE_BYTES, "little")
        if pages.has("counter-before-slot"):
            pages.erase(counter)
            pages.program(counter, 0, base[:4])
            pages.program(counter, 4, base[4:])
            self._write(changes)
        elif pages.has("slot-before-counter"):
            self._write(changes)
            pages.commit({counter: base})
        else:
            self._write({**changes, counter: base})

    def erase(self, number: int) -> None:
        """Free a slot."""
        changes = self._changes(number, b"\xff" * SLOT_BYTES)
        if number in COUNTERS:
            self._write({**changes, COUNTERS[number]: None})
        else:
            self._write(changes)

    @property
    def config(self) -> bytes:
        """Five bytes: num, caps, scroll, codes need the user PIN, the temporary password is used once."""
        found = self._pages.read(SLOTS[0])[:CONFIG_BYTES]
        # An erased page: nothing is configured, and codes need no PIN.
        return FACTORY_CONFIG if found == b"\xff" * CONFIG_BYTES else found

    @config.setter
    def config(self, value: bytes) -> None:
        page = SLOTS[0]
        self._write({page: value.ljust(CONFIG_WRITTEN, b"\0") + self._pages.read(page)[CONFIG_WRITTEN:]})

    def counter(self, number: int) -> int:
        """The next counter of a HOTP slot: the base, and one for each byte that is marked."""
        page = self._pages.read(COUNTERS[number])
        return int.from_bytes(page[:BASE_BYTES], "little") + sum(byte != 0xFF for byte in page[BASE_BYTES:])

    def use(self, number: int, steps: int = 1) -> bool:
        """Raise a counter. False: its page is full, and the original gives no code this time."""
        pages, page = self._pages, COUNTERS[number]
        used = sum(byte != 0xFF for byte in pages.read(page)[BASE_BYTES:])
        if used + steps <= USES:
            for at in range(BASE_BYTES + used, BASE_BYTES + used + steps):
                # Half-words: the second byte of one is marked by programming zeros over the first.
                start = at - at % 2
                pages.program(page, start, b"\0\xff" if at % 2 == 0 else b"\0\0")
            return True
        # A counter of 64 bits: after the last one comes the first one.
        base = ((self.counter(number) + steps) % 2**64).to_bytes(BASE_BYTES, "little")
        if pages.has("hotp-roll-locks-flash"):
            pages.rewrite_counter(page, base)
            return False
        if pages.has("hotp-roll-in-place"):
            pages.rewrite(page, base)
        else:
            pages.commit({page: base})
        return True

    def _place(self, number: int) -> tuple[int, int]:
        index = slot_index(number)
        assert index is not None, f"slot {number:#x}"
        return slot_place(index)

    def _changes(self, number: int, content: bytes) -> Changes:
        page, offset = self._place(number)
        before = self._pages.read(page)
        return {page: before[:offset] + content + before[offset + SLOT_BYTES :]}

    def _write(self, changes: Changes) -> None:
        pages = self._pages
        if pages.has("backup-address-half"):
            for page, content in changes.items():
                if page in SLOTS and content is not None:
                    pages.rewrite_with_backup(page, content.ljust(PAGE, b"\xff"))
                else:
                    pages.rewrite(page, content)
        elif pages.has("slot-page-in-place"):
            for page, content in changes.items():
                pages.rewrite(page, content)
        else:
            pages.commit(changes)
