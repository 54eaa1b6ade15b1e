"""What an owner does with the HID side of a Nitrokey Pro after a cut: it brings half-done work to light."""

from __future__ import annotations

from collections.abc import Callable

from harness.api import ANY, KeyFault, Memory, NextAction, Observation, Rig, Value, World
from harness_nitrokey_pro.client import NitrokeyPro
from harness_nitrokey_pro.codes import hotp
from harness_nitrokey_pro.home import DAY, HOTP, TOTP, OtpSlot, known, put_slot, secret
from harness_nitrokey_pro.items import FREE, UNUSABLE, WORKS, described, digest, typable
from harness_nitrokey_pro.reset_operations import emptied
from harness_openpgp.data_operations import fresh_values
from harness_openpgp.home import DEFAULT_PW1, DEFAULT_PW3
from harness_openpgp.home import known as card_known
from harness_openpgp.items import CURRENT, NEW
from harness_openpgp.next_actions import changed, pw1_of, pw3_of

OWN_SLOT, OWN_ENTRY = 0x25, 5
"""The slot and the entry that an owner writes after a cut; no operation does."""
SLOT = OtpSlot(b"kh after a cut", secret("after a cut"), 45)
ENTRY = (b"after a cut", b"login", b"password")
USES = 3
TEMPORARY = b"after a cut"
TEN_DAYS = 10 * DAY

Values = dict[str, Value]
Ask = Callable[[Memory, Memory, Observation], bool]
Act = Callable[[Rig, Memory, Memory, Observation], None]
See = Callable[[Memory, Memory, Observation], Values]


def _user_pin(before: Memory, after: Memory, seen: Observation) -> str | None:
    """The user PIN in force, if it is known and this side can carry it; None otherwise."""
    pin = pw1_of(before, after, seen)
    return pin if pin is not None and typable(pin) else None


def _admin_pin(before: Memory, after: Memory, seen: Observation) -> str | None:
    """The same of the admin PIN."""
    pin = pw3_of(before, after, seen)
    return pin if pin is not None and typable(pin) else None


def _as_admin(rig: Rig, before: Memory, after: Memory, seen: Observation) -> NitrokeyPro:
    client, pin = NitrokeyPro(rig), _admin_pin(before, after, seen)
    assert pin is not None, "asked before"
    client.log_in_admin(pin)
    return client


def _has_admin(before: Memory, after: Memory, seen: Observation) -> bool:
    return _admin_pin(before, after, seen) is not None


def _texts(seen: Observation, item: str) -> list[str] | None:
    """The texts of an item that is a list; None if it is something else."""
    found = seen.get(item)
    return [str(one) for one in found] if isinstance(found, tuple) else None


def _action(name: str, title: str, can: Ask, act: Act, values: See) -> NextAction:
    """An action that changes nothing where it cannot be done.

    :param can: whether there is something to do it to. :param values: what is seen of what it has changed.
    """

    def acts(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
        if can(before, after, seen):
            act(rig, before, after, seen)

    def worlds(before: Memory, after: Memory, seen: Observation) -> list[World]:
        found = values(before, after, seen) if can(before, after, seen) else {}
        if known(before).slots.get(HOTP) != known(after).slots.get(HOTP):
            # Each secret has a counter of its own, and the host knows that of the new one.
            found = {"pro.hotp_counter": ANY, **found}
        return changed(seen, found)

    return NextAction(name, title, acts, worlds)


# Slots


def _can_write(before: Memory, after: Memory, seen: Observation) -> bool:
    return _has_admin(before, after, seen) and _texts(seen, "pro.slots") is not None


def _write(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    put_slot(_as_admin(rig, before, after, seen), known(after), OWN_SLOT, SLOT)


def _without(seen: Observation, place: int) -> list[str]:
    return [one for one in _texts(seen, "pro.slots") or () if not one.startswith(f"{place:02X} ")]


def _written(before: Memory, after: Memory, seen: Observation) -> Values:
    own = described(OWN_SLOT, SLOT.name, SLOT.config, SLOT.parameter)
    return {"pro.slots": tuple(sorted([*_without(seen, OWN_SLOT), own]))}


def _can_erase(before: Memory, after: Memory, seen: Observation) -> bool:
    return _can_write(before, after, seen) and isinstance(seen.get("pro.totp"), tuple)


def _erase(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    _as_admin(rig, before, after, seen).erase_slot(TOTP)


def _erased(before: Memory, after: Memory, seen: Observation) -> Values:
    _, last = _texts(seen, "pro.totp") or ("", "")
    return {"pro.slots": tuple(_without(seen, TOTP)), "pro.totp": (FREE, last)}


# Codes


def _asks_for_pin(seen: Observation) -> bool:
    found = seen.get("pro.config")
    return isinstance(found, tuple) and found[3] == 1


def _can_use(before: Memory, after: Memory, seen: Observation) -> bool:
    counters = seen.get("pro.hotp_counter")
    is_known = seen.get("pro.hotp") in (WORKS, NEW) and isinstance(counters, tuple) and len(counters) == 1
    return is_known and (not _asks_for_pin(seen) or _user_pin(before, after, seen) is not None)


def _use(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    """Log in with codes, one after the other.

    :raises KeyFault: one is not that of the next counter.
    """
    owner = before if seen.get("pro.hotp") == WORKS else after
    slot, counters = known(owner).slots[HOTP], seen["pro.hotp_counter"]
    assert isinstance(counters, tuple)
    used = counters[0]
    assert isinstance(used, int)
    client, pin = NitrokeyPro(rig), _user_pin(before, after, seen)
    for counter in range(used + 1, used + 1 + USES):
        if _asks_for_pin(seen):
            assert pin is not None, "asked before"
            client.log_in_user(pin, TEMPORARY)
        found = client.code(HOTP, TEMPORARY if _asks_for_pin(seen) else b"")
        right = hotp(slot.secret, counter, slot.digits)
        if found != right:
            raise KeyFault(
                f"HOTP code number {counter} after a cut",
                found=f"{found:0{slot.digits}d}",
                expected=f"{right:0{slot.digits}d}, as number {counter - 1} was used",
            )
    known(owner).counters[HOTP] = used + 1 + USES


# Time, configuration


def _can_tell(before: Memory, after: Memory, seen: Observation) -> bool:
    return known(after).time is not None and known(before).time is not None


def _tell_time(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    latest = max(known(before).time or 0, known(after).time or 0) + TEN_DAYS
    NitrokeyPro(rig).set_time(latest)
    known(before).time = known(after).time = latest


def _configure(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    num, caps, scroll, pin_on, delete = _configuration(seen)
    _as_admin(rig, before, after, seen).set_config(
        num=num, caps=caps, scroll=scroll, pin_on=pin_on, delete=delete
    )


def _configuration(seen: Observation) -> tuple[int, int, int, int, int]:
    """Other slots for the double presses; whether codes need the user PIN stays."""
    found = seen["pro.config"]
    assert isinstance(found, tuple)
    *_, pin_on, delete = found
    assert isinstance(pin_on, int)
    assert isinstance(delete, int)
    return 255, 1, 2, pin_on, delete


def _can_configure(before: Memory, after: Memory, seen: Observation) -> bool:
    return _has_admin(before, after, seen) and isinstance(seen.get("pro.config"), tuple)


# The safe


def _can_store(before: Memory, after: Memory, seen: Observation) -> bool:
    return _user_pin(before, after, seen) is not None and _texts(seen, "pro.safe") is not None


def _store(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    pin, client = _user_pin(before, after, seen), NitrokeyPro(rig)
    assert pin is not None, "asked before"
    client.open_safe(pin)
    client.write_entry(OWN_ENTRY, *ENTRY)


def _stored(before: Memory, after: Memory, seen: Observation) -> Values:
    others = [one for one in _texts(seen, "pro.safe") or () if not one.startswith(f"{OWN_ENTRY} ")]
    found = sorted([*others, digest(OWN_ENTRY, ENTRY)], key=lambda one: int(one.split()[0]))
    return {"pro.safe": tuple(found)}


# Reset


def _reset(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    pin = _admin_pin(before, after, seen)
    assert pin is not None, "asked before"
    NitrokeyPro(rig).factory_reset(pin)
    mine = card_known(after)
    mine.pw1, mine.pw3, mine.code, mine.counter = DEFAULT_PW1, DEFAULT_PW3, "", 0


def _was_reset(before: Memory, after: Memory, seen: Observation) -> Values:
    rest: Values = {name: ANY for name in seen if name.startswith("openpgp.")}
    mine = card_known(before)
    which = {True: CURRENT, False: NEW}
    pins = {"openpgp.pw1": which[mine.pw1 == DEFAULT_PW1], "openpgp.pw3": which[mine.pw3 == DEFAULT_PW3]}
    # The firmware password stays as it was seen.
    gone = {name: value for name, value in emptied(known(before)).items() if name != "pro.firmware_password"}
    return {**rest, **fresh_values(before), **pins, **gone, "pro.safe": UNUSABLE}


NEXT_ACTIONS: tuple[NextAction, ...] = (
    _action("write-otp", "write a TOTP slot", _can_write, _write, _written),
    _action("erase-otp", "erase a TOTP slot", _can_erase, _erase, _erased),
    _action("use-otp", f"log in with {USES} HOTP codes", _can_use, _use, lambda before, after, seen: {}),
    _action(
        "tell-time",
        "tell the time, ten days later",
        _can_tell,
        _tell_time,
        lambda before, after, seen: {"pro.time": CURRENT},
    ),
    _action(
        "configure",
        "choose other slots for the double presses",
        _can_configure,
        _configure,
        lambda before, after, seen: {"pro.config": _configuration(seen)},
    ),
    _action("write-entry", "write an entry of the safe", _can_store, _store, _stored),
    _action("reset-key", "reset the key to its factory state", _has_admin, _reset, _was_reset),
)
