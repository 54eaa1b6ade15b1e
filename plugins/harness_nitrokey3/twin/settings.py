"""The configuration of a Nitrokey 3 (nitrokey-3-firmware b9ec0bdc, components/apps/src/lib.rs; admin-app).

One record on the internal file system, replaced as a whole; without a file all values are the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from harness.api import Damaged, records
from harness_fido2.twin.features import INTERNAL
from harness_fido2.twin.persistent_state import CONFIG_ERROR

if TYPE_CHECKING:
    from harness.api import Platform

PATH = "admin/config"
SKIP_UP_OFF = "fido.disable_skip_up_timeout"
OPENPGP_OFF = "opcard.disabled"


class Field(NamedTuple):
    """A setting that is on or off.

    :ivar number: its key in the record.
    :ivar touch: changing it needs a touch. :ivar destructive: changing it deletes data of its application.
    """

    number: int
    touch: bool
    reboot: bool
    destructive: bool


FIELDS: Mapping[str, Field] = {
    SKIP_UP_OFF: Field(1, False, False, False),
    "opcard.use_se050_backend": Field(2, True, True, True),
    OPENPGP_OFF: Field(3, False, True, False),
    "piv.disabled": Field(4, False, True, False),
}


class Settings:
    """The configuration during one boot, read once. A damaged one sets CONFIG_ERROR, and the defaults are used."""

    def __init__(self, platform: Platform):
        self._store = platform.store(INTERNAL)
        self._on: frozenset[int] = frozenset()
        try:
            content = records.read(self._store, PATH)
            self._on = frozenset(content[1]) if content else frozenset()
        except (Damaged, KeyError, TypeError):
            platform.faults |= CONFIG_ERROR
        self._at_boot, self._from_boot = self._on, "settings-from-boot" in platform.defects

    def is_on(self, name: str) -> bool:
        return FIELDS[name].number in self._on

    def change(self, name: str, on: bool) -> None:
        """Change one value; it is durable when this returns."""
        number = FIELDS[name].number
        was = self._at_boot if self._from_boot else self._on
        self._write(was | {number} if on else was - {number})

    def reset(self, application: str | None = None) -> None:
        """Set the defaults again, of one application or of all."""
        kept = [field.number for name, field in FIELDS.items() if name.partition(".")[0] != application]
        self._write(self._on & frozenset(kept) if application else frozenset())

    def _write(self, on: frozenset[int]) -> None:
        if on:
            self._store.write(PATH, records.seal({1: sorted(on)}))
        else:
            self._store.remove(PATH)
        self._on = on
