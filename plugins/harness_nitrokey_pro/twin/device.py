"""What the commands of the HID side work on: pages, the card, and what is in RAM until the power goes."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness_nitrokey_pro import reports
from harness_nitrokey_pro.reports import Status, Value
from harness_nitrokey_pro.twin.card_side import CardSide
from harness_nitrokey_pro.twin.layout import KEY_BYTES, SALT_BYTES, USER
from harness_nitrokey_pro.twin.pages import Pages
from harness_nitrokey_pro.twin.safe import Safe
from harness_nitrokey_pro.twin.slots import Slots
from harness_nitrokey_pro.twin.time_page import TimePage
from harness_nitrokey_pro.twin.user_page import DEFAULT_FIRMWARE_PASSWORD, UserPage

if TYPE_CHECKING:
    from harness.api import Stream

Done = tuple[Status, dict[str, Value]]
"""Status and fields of an answer."""
Values = Mapping[str, Value]


@dataclass
class Device:
    """One boot of the HID side.

    :ivar uptime_us: returns the time since power-up. :ivar version: of the firmware, 0x000F is 0.15.
    :ivar admin_temporary: what authorises commands of the admin, while it is known; `user_temporary` likewise.
    :ivar told: the time that was told in this boot, and the uptime then.
    :ivar name: of the slot that is written next; `secret` likewise.
    :ivar reboots: the bootloader is started instead of an answer. :ivar later: what a defect writes after its answer.
    """

    pages: Pages
    card: CardSide
    random: Stream
    uptime_us: Callable[[], int]
    version: int
    admin_temporary: bytes = b""
    user_temporary: bytes = b""
    told: tuple[int, int] | None = None
    name: bytes = b""
    secret: bytes = bytes(reports.SECRET)
    reboots: bool = False
    later: Callable[[], object] | None = None
    page: UserPage = field(init=False)
    slots: Slots = field(init=False)
    safe: Safe = field(init=False)
    times: TimePage = field(init=False)

    def __post_init__(self) -> None:
        self.page, self.slots = UserPage(self.pages), Slots(self.pages)
        self.safe, self.times = Safe(self.pages), TimePage(self.pages)

    def make_new(self) -> None:
        """Write what the maker writes into a new key."""
        password = self.page.password_fields(DEFAULT_FIRMWARE_PASSWORD, self.random.bytes(SALT_BYTES))
        self.pages.commit({USER: self.page.with_fields({**self.fresh_fields(), **password})})

    def fresh_fields(self) -> dict[int, bytes]:
        """A new, random key of the safe, for the user page."""
        return self.page.safe_fields(self.random.bytes(KEY_BYTES), self.random.bytes(KEY_BYTES))

    def is_admin(self, values: Values) -> bool:
        """Does a request carry the temporary password of the admin?"""
        given = octets(values, "temporary")
        return same(self.admin_temporary, given) or self.pages.has("admin-not-asked")


def integer(values: Values, name: str) -> int:
    """A number of a request."""
    found = values[name]
    assert isinstance(found, int)
    return found


def octets(values: Values, name: str) -> bytes:
    """Bytes of a request."""
    found = values[name]
    assert isinstance(found, bytes)
    return found


def same(kept: bytes, given: bytes) -> bool:
    """Is a temporary password set, and is this the one?"""
    return bool(kept) and hmac.compare_digest(kept, given)
