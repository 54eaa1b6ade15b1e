"""The client for the Nitrokey Pro's feature reports.

The key takes a report only while it is ready, and drops it otherwise without a word: an answer may belong to an earlier
command. So each answer is checked: its own CRC, the command, and the CRC of the request. libnitrokey does not compare
the last two.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.api import KeyFault, Look, MalformedAnswer, PinReference, Refused, Rig, pin_try
from harness_nitrokey_pro import images, reports
from harness_nitrokey_pro.reports import COMMANDS, Answer, Status, Value
from harness_openpgp.client import PW1, PW3
from harness_transports.feature import hid_feature

POLL_US = 10_000
"""The protocol has no event for an answer: the host reads the report again until the key is ready."""
LIMIT_US = 30_000_000
"""A factory reset rewrites each slot page many times: some seconds."""
DROPPED_AFTER = 3
"""Times that the key is ready with another answer, until the report counts as dropped."""
TEMPORARY = b"keyharness temporary"
HOTP_SLOTS = (0x10, 0x11, 0x12)
HIDDEN_SLOT = 0x13
"""The fourth HOTP slot, whose codes are only compared (verified boot)."""
TOTP_SLOTS = tuple(range(0x20, 0x2F))
SAFE_SLOTS = tuple(range(16))


def words(status: int) -> str:
    """A status with its name: "0x04 wrong password"."""
    try:
        return f"{status:#04x} {Status(status).name.lower().replace('_', ' ')}"
    except ValueError:
        return f"{status:#04x}"


class NitrokeyPro:
    """The HID side of the key, for as long as this boot lasts.

    :raises KeyGone: the key is not there. :raises RigError: the rig has no feature reports.
    """

    def __init__(self, rig: Rig):
        self.rig = rig
        self.handle, self._last = hid_feature(rig), b""

    # Reports

    def ask(self, name: str, /, **values: Value) -> dict[str, Value]:
        """Send a command and return the fields of its answer.

        :raises Refused: any status but ok, as two hex digits.
        :raises MalformedAnswer: the key stays busy, drops the report, or its answer makes no sense.
        """
        command = COMMANDS[name]
        found = self.exchange(reports.request(command, values))
        if found.status != Status.OK:
            raise Refused(f"{name} ({command.code:02X})", f"{found.status:02X}")
        return reports.unpacked(command.answer, found.data)

    def exchange(self, report: bytes, *, limit_us: int = LIMIT_US) -> Answer:
        """Send a whole report and wait for the answer to it. Errors: as `ask`, but no Refused."""
        self.handle.send(report)
        until_us, others = self.rig.clock.now_us + limit_us, 0
        while True:
            found = self._read(report)
            if found.state == reports.READY:
                if _answers(report, found):
                    return found
                others += 1
                if others >= DROPPED_AFTER:
                    why = (
                        f"the key dropped a report: it is ready, with the answer to command {found.code:02X}"
                    )
                    raise self._no_answer(report, why)
            if self.rig.clock.now_us >= until_us:
                why = f"the key stays busy: state {found.state} after {limit_us / 1e6:.0f} s"
                raise self._no_answer(report, why)
            self.rig.clock.wait_us(POLL_US)

    def _no_answer(self, report: bytes, why: str) -> MalformedAnswer:
        return MalformedAnswer(why, command=f"command {report[0]:02X}", answer=self._last, garbled=True)

    def _read(self, report: bytes) -> Answer:
        def status(answer: bytes) -> int | None:
            if len(answer) != reports.SIZE:
                return None
            found = reports.read_answer(answer)
            return found.status if found.state == reports.READY and _answers(report, found) else None

        raw = self._last = self.handle.get(status)
        try:
            found = reports.read_answer(raw)
        except ValueError as error:
            raise MalformedAnswer(
                str(error), command=f"command {report[0]:02X}", answer=raw, garbled=True
            ) from None
        if found.state == reports.READY and not found.is_whole:
            raise MalformedAnswer(
                "its CRC is wrong", command=f"command {report[0]:02X}", answer=raw, garbled=True
            )
        return found

    # What it is

    def status(self) -> dict[str, Value]:
        """Version (0x000F is 0.15), serial number of the card, and the configuration."""
        return self.ask("status")

    def tries(self) -> tuple[int, int]:
        """Tries that are left: (user PIN, admin PIN)."""
        return number(self.ask("user_tries"), "tries"), number(self.ask("admin_tries"), "tries")

    # PINs

    def _try(self, reference: PinReference, name: str, /, **values: Value) -> dict[str, Value]:
        """Send a command that tries a PIN of the card."""
        with pin_try(self.rig, reference, lambda: self.tries()[reference is PW3]):
            return self.ask(name, **values)

    def _setting(self, reference: PinReference, pin: str) -> None:
        if self.rig.pin_guard is not None:
            self.rig.pin_guard.setting(reference, pin)

    def log_in_admin(self, pin: str, temporary: bytes = TEMPORARY) -> None:
        """Enter the admin PIN; `temporary` then authorises commands until the power goes."""
        self._try(PW3, "admin", pin=pin.encode(), temporary=temporary)

    def log_in_user(self, pin: str, temporary: bytes = TEMPORARY) -> None:
        """Enter the user PIN."""
        self._try(PW1, "user", pin=pin.encode(), temporary=temporary)

    def change_user_pin(self, before: str, after: str) -> None:
        self._setting(PW1, after)
        self._try(PW1, "change_user", old=before.encode(), new=after.encode())

    def change_admin_pin(self, before: str, after: str) -> None:
        self._setting(PW3, after)
        self._try(PW3, "change_admin", old=before.encode(), new=after.encode())

    def unblock(self, admin: str, after: str) -> None:
        """Set a new user PIN with the admin PIN."""
        self._setting(PW1, after)
        self._try(PW3, "unblock", old=admin.encode(), new=after.encode())

    def factory_reset(self, admin: str) -> None:
        """Reset card, slots, safe and configuration."""
        self._try(PW3, "factory_reset", pin=admin.encode())

    # One-time passwords

    def write_slot(
        self,
        slot: int,
        name: bytes,
        secret: bytes,
        counter: int,
        *,
        config: int = 0,
        temporary: bytes = TEMPORARY,
    ) -> None:
        """Write a slot: the name and the secret go ahead in parts. An empty secret keeps the old one.

        :param counter: of a HOTP slot; the interval in seconds of a TOTP slot.
        """
        self.ask("otp_data", temporary=temporary, kind=ord("N"), part=0, data=name)
        for part in range(-(-len(secret) // reports.PART)):
            piece = secret[reports.PART * part :][: reports.PART]
            self.ask("otp_data", temporary=temporary, kind=ord("S"), part=part, data=piece)
        self.ask("write_slot", temporary=temporary, slot=slot, counter=counter, config=config)

    def erase_slot(self, slot: int, temporary: bytes = TEMPORARY) -> None:
        self.ask("erase_slot", slot=slot, temporary=temporary)

    def slot(self, slot: int) -> dict[str, Value] | None:
        """Name, configuration and counter or interval; None if it is free."""
        try:
            return self.ask("read_slot", slot=slot)
        except Refused as refused:
            if refused.status == f"{Status.NOT_PROGRAMMED:02X}":
                return None
            raise

    def code(self, slot: int, temporary: bytes = b"") -> int:
        """The next HOTP code, or the TOTP code of the time that was set in this boot."""
        return number(self.ask("code", slot=slot, temporary=temporary), "code")

    def verify(self, code: int) -> int | None:
        """Compare a code with the hidden slot; returns how many codes were passed over, None if it is wrong."""
        found = self.ask("verify", code=code)
        return number(found, "offset") if found["result"] == 1 else None

    def set_time(self, time: int, *, check: bool = False) -> None:
        """Set the time in Unix seconds.

        :param check: refuse (06) if it is older than the last one, or none is known.
        """
        self.ask("time", set=0 if check else 1, time=time)

    def set_config(
        self,
        *,
        num: int = 0xFF,
        caps: int = 0xFF,
        scroll: int = 0xFF,
        pin_on: int = 0,
        delete: int = 0,
        temporary: bytes = TEMPORARY,
    ) -> None:
        """Which slot a double press types, FF for none; whether codes need the user PIN."""
        self.ask(
            "config", num=num, caps=caps, scroll=scroll, pin_on=pin_on, delete=delete, temporary=temporary
        )

    # Password safe

    def open_safe(self, pin: str) -> None:
        self._try(PW1, "safe_enable", pin=pin.encode())

    def has_aes(self, pin: str) -> bool:
        """Has the chip of the card an AES key, which a safe needs? Costs the right user PIN."""
        try:
            self._try(PW1, "detect_aes", pin=pin.encode())
        except Refused as refused:
            if refused.status == f"{Status.WRONG_PASSWORD:02X}":
                raise
            return False
        return True

    def new_safe(self, admin: str) -> None:
        """Make a new key of the safe, which empties it."""
        self._try(PW3, "new_aes_key", pin=admin.encode())

    def write_entry(self, slot: int, name: bytes, login: bytes, password: bytes) -> None:
        """Write an entry of the safe, in two reports."""
        self.ask("safe_put", slot=slot, name=name, password=password)
        self.ask("safe_store", slot=slot, login=login)

    def erase_entry(self, slot: int) -> None:
        self.ask("safe_erase", slot=slot)

    def entries(self) -> dict[int, tuple[bytes, bytes, bytes]]:
        """Slot -> name, login and password, of the entries that are there."""
        used = self.ask("safe_status")["slots"]
        return {slot: self.entry(slot) for slot in SAFE_SLOTS if isinstance(used, bytes) and used[slot]}

    def entry(self, slot: int) -> tuple[bytes, bytes, bytes]:
        return (
            _text(self.ask("safe_name", slot=slot), "name"),
            _text(self.ask("safe_login", slot=slot), "login"),
            _text(self.ask("safe_password", slot=slot), "password"),
        )

    def lock(self) -> None:
        """Close the safe."""
        self.ask("lock")

    # Firmware

    def change_firmware_password(self, before: bytes, after: bytes) -> None:
        self.ask("change_firmware_password", old=before, new=after)

    def start_bootloader(self, password: bytes) -> None:
        """Reboot into the bootloader; a right password has no answer.

        :raises Refused: the password is wrong. :raises KeyFault: it neither answers nor goes.
        """
        report = reports.request(COMMANDS["update"], {"password": password})
        before, until_us = self.rig.presence, self.rig.clock.now_us + LIMIT_US
        self.handle.send(report)
        while True:
            try:
                found = self._read(report)
            except OSError:
                return
            if found.state == reports.READY and _answers(report, found):
                raise Refused("update (19)", f"{found.status:02X}")
            if before is not None and self.rig.presence != before:
                return
            if self.rig.clock.now_us >= until_us:
                raise KeyFault(
                    "the key does not go to its bootloader",
                    found=f"state {found.state}, with the answer to command {found.code:02X}, "
                    f"after {LIMIT_US / 1e6:.0f} s",
                    expected=f"the answer to command {report[0]:02X}, or a key that leaves",
                )
            self.rig.clock.wait_us(POLL_US)


def _answers(report: bytes, found: Answer) -> bool:
    """Is it the answer to this report? An answer to a wrong CRC names the right one."""
    return found.code == report[0] and found.crc == reports.crc32(report[: reports.CRC_AT])


def number(found: Mapping[str, Value], name: str) -> int:
    """A number of an answer."""
    value = found[name]
    assert isinstance(value, int)
    return value


def _text(found: Mapping[str, Value], name: str) -> bytes:
    value = found[name]
    assert isinstance(value, bytes)
    return value


def pro(look: Look) -> NitrokeyPro:
    """The client that items share in one boot."""
    return look.once("nitrokey-pro", lambda: NitrokeyPro(look.rig))


def no_bootloader(rig: Rig) -> str | None:
    """Why there is no bootloader: firmware before 0.11 has neither that nor a firmware password. None: there is one."""
    found = number(NitrokeyPro(rig).status(), "version")
    if found < images.BOOTLOADER_SINCE:
        return f"firmware {images.text(found)} has no bootloader: it came with 0.11"
    return None
