"""Operations that use or change the card's PINs through the HID side: the same counters, the same laws (P1 to P4)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from harness.api import (
    Cost,
    Memory,
    Operation,
    PinOffer,
    PinReference,
    Refused,
    Rig,
    World,
    arrange_nothing,
    new,
    old,
    pin_for,
    wrong_pin,
)
from harness_cards.operations import change, counted
from harness_nitrokey_pro.client import NitrokeyPro
from harness_nitrokey_pro.home import known
from harness_nitrokey_pro.items import PIN_UNKNOWN, safe_value
from harness_nitrokey_pro.safe_operations import lacks_safe
from harness_openpgp.client import PW1, PW3
from harness_openpgp.home import known as card_known
from harness_openpgp.items import NEITHER, NEW, NOT_VERIFIED, canaries

Worlds = list[World]
Act = Callable[[Rig, Memory], None]
FULL = 3
USER_TRIES, ADMIN_TRIES = "openpgp.pw1_tries", "openpgp.pw3_tries"
_PW1, _PW3 = Cost(pins={PW1: 1}), Cost(pins={PW3: 1})


def _offers(offer: Callable[[NitrokeyPro, str, str], None], reference: PinReference) -> Act:
    """Offer a wrong PIN. :param offer: (client, wrong PIN, another PIN)."""

    def act(rig: Rig, memory: Memory) -> None:
        with suppress(Refused):
            offer(NitrokeyPro(rig), pin_for(rig, "wrong", reference), pin_for(rig, "changed", PW1))

    return act


def _log_in_user(rig: Rig, memory: Memory) -> None:
    NitrokeyPro(rig).log_in_user(card_known(memory).pw1)


def _log_in_admin(rig: Rig, memory: Memory) -> None:
    NitrokeyPro(rig).log_in_admin(card_known(memory).pw3)


def _open_safe(rig: Rig, memory: Memory) -> None:
    NitrokeyPro(rig).open_safe(card_known(memory).pw1)


def _change_user_pin(rig: Rig, memory: Memory) -> None:
    mine = card_known(memory)
    before, mine.pw1 = mine.pw1, pin_for(rig, "changed", PW1)
    NitrokeyPro(rig).change_user_pin(before, mine.pw1)


def _change_admin_pin(rig: Rig, memory: Memory) -> None:
    mine = card_known(memory)
    before, mine.pw3 = mine.pw3, pin_for(rig, "changed", PW3)
    NitrokeyPro(rig).change_admin_pin(before, mine.pw3)


def _block(rig: Rig, memory: Memory) -> None:
    """Arrange a blocked user PIN."""
    for _ in range(FULL):
        _offers(lambda client, wrong, other: client.log_in_user(wrong), PW1)(rig, memory)


def _unblock(rig: Rig, memory: Memory) -> None:
    mine = card_known(memory)
    mine.pw1 = pin_for(rig, "reset", PW1)
    NitrokeyPro(rig).unblock(mine.pw3, mine.pw1)


def _unblocked_worlds(before: Memory, after: Memory) -> Worlds:
    return [
        old(
            {
                USER_TRIES: 0,
                "openpgp.pw1": NEITHER,
                "openpgp.keys": canaries(before, every=NOT_VERIFIED),
                "pro.safe": PIN_UNKNOWN,
            }
        ),
        new(
            {
                USER_TRIES: FULL,
                "openpgp.pw1": NEW,
                "openpgp.keys": canaries(before),
                "pro.safe": safe_value(known(before)),
            }
        ),
    ]


def _refuse(
    name: str,
    title: str,
    right: str,
    reference: PinReference,
    offer: Callable[[NitrokeyPro, str, str], None],
    missing: Callable[[Rig], str | None] | None = None,
) -> Operation:
    return wrong_pin(
        PinOffer(
            name=name,
            title=title,
            offer=_offers(offer, reference),
            right=right,
            pin=reference,
            counter=ADMIN_TRIES if reference is PW3 else USER_TRIES,
            tries=lambda memory: FULL,
            missing=missing,
        )
    )


OPERATIONS = (
    Operation(
        name="pro.log_in_user",
        title="enter the user PIN by HID",
        arrange=arrange_nothing,
        act=_log_in_user,
        worlds=counted(USER_TRIES, FULL),
        cost=_PW1,
    ),
    Operation(
        name="pro.log_in_admin",
        title="enter the admin PIN by HID",
        arrange=arrange_nothing,
        act=_log_in_admin,
        worlds=counted(ADMIN_TRIES, FULL),
        cost=_PW3,
    ),
    Operation(
        name="pro.open_safe",
        title="open the safe",
        arrange=arrange_nothing,
        act=_open_safe,
        worlds=counted(USER_TRIES, FULL),
        cost=_PW1,
        missing=lacks_safe,
    ),
    change("pro.change_user_pin", "change the user PIN by HID", "openpgp.pw1", _change_user_pin, PW1),
    change("pro.change_admin_pin", "change the admin PIN by HID", "openpgp.pw3", _change_admin_pin, PW3),
    Operation(
        name="pro.unblock",
        title="unblock the user PIN with the admin PIN by HID",
        arrange=_block,
        act=_unblock,
        worlds=_unblocked_worlds,
        cost=Cost(pins={PW1: FULL, PW3: 1}),
    ),
    _refuse(
        "pro.log_in_user.wrong",
        "enter a wrong user PIN by HID",
        "pro.log_in_user",
        PW1,
        lambda client, wrong, other: client.log_in_user(wrong),
    ),
    _refuse(
        "pro.log_in_admin.wrong",
        "enter a wrong admin PIN by HID",
        "pro.log_in_admin",
        PW3,
        lambda client, wrong, other: client.log_in_admin(wrong),
    ),
    _refuse(
        "pro.open_safe.wrong",
        "open the safe with a wrong user PIN",
        "pro.open_safe",
        PW1,
        lambda client, wrong, other: client.open_safe(wrong),
        lacks_safe,
    ),
    _refuse(
        "pro.change_user_pin.wrong",
        "change the user PIN by HID with a wrong one",
        "pro.change_user_pin",
        PW1,
        lambda client, wrong, other: client.change_user_pin(wrong, other),
    ),
    _refuse(
        "pro.unblock.wrong",
        "set the user PIN with a wrong admin PIN by HID",
        "pro.change_admin_pin",
        PW3,
        lambda client, wrong, other: client.unblock(wrong, other),
    ),
    _refuse(
        "pro.new_safe.wrong",
        "make a new key of the safe with a wrong admin PIN",
        "pro.log_in_admin",
        PW3,
        lambda client, wrong, other: client.new_safe(wrong),
        lacks_safe,
    ),
    _refuse(
        "pro.factory_reset.wrong",
        "reset the key with a wrong admin PIN",
        "pro.log_in_admin",
        PW3,
        lambda client, wrong, other: client.factory_reset(wrong),
    ),
)
