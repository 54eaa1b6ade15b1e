"""Operations on data objects, flags and the life cycle of an OpenPGP card."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from harness.api import ANY, Cost, Memory, Operation, Outcome, Rig, Value, World, arrange_nothing, new, old
from harness_cards.tlv import tlv
from harness_openpgp.client import ADMIN, PW1, PW3, OpenPgp
from harness_openpgp.home import (
    CERTIFICATE,
    DEFAULT_PW1,
    DEFAULT_PW3,
    LOGIN,
    OURS,
    OpenPgpMemory,
    as_admin,
    known,
)
from harness_openpgp.items import (
    ABSENT,
    CURRENT,
    MANY_SIGNATURES,
    NEW,
    NO_FINGERPRINTS,
    NOT_OFFERED,
    ONE_SIGNATURE,
    OPERATIONAL,
    TERMINATED,
    canaries,
    data_value,
    shown,
)
from harness_openpgp.pin_operations import lacks_touch
from harness_openpgp.slots import Slot

Worlds = list[World]
_PW3 = Cost(pins={PW3: 1})
OTHER_LOGIN = OURS + b"other login"
OTHER_CERTIFICATE = OURS + b"other certificate " * 60
COUNT = 100_000
NO_KDF = b"\x81\x01\x00"
_ITEMS_OF_A_TERMINATED_CARD = (
    *("identity", "pw1_tries", "code_tries", "pw3_tries", "pw1_mode", "data", "certificates", "kdf", "touch"),
    *("algorithms", "fingerprints", "pw1", "keys", "counter", "pw3"),
)


def _put_login(rig: Rig, memory: Memory) -> None:
    as_admin(rig, memory).put(LOGIN, OTHER_LOGIN)
    known(memory).data[LOGIN] = OTHER_LOGIN


def _put_certificate(rig: Rig, memory: Memory) -> None:
    as_admin(rig, memory).put_certificate(Slot.AUTHENTICATE, OTHER_CERTIFICATE)
    known(memory).certificates[Slot.AUTHENTICATE] = OTHER_CERTIFICATE


def _certificates(content: bytes) -> tuple[str, ...]:
    return shown(b""), shown(b""), shown(content)


def _lacks_certificates(rig: Rig) -> str | None:
    return None if OpenPgp(rig).version >= (3, 0) else "three certificates, which came with version 3.0"


def _ask_for_touch(rig: Rig, memory: Memory) -> None:
    as_admin(rig, memory).put(Slot.SIGN.uif, b"\x01\x20")


def _touch_worlds(before: Memory, after: Memory) -> Worlds:
    return [
        old({"openpgp.touch": ("0020", "0020", "0020")}),
        new({"openpgp.touch": ("0120", "0020", "0020")}),
    ]


def _lengthen(rig: Rig, memory: Memory) -> None:
    as_admin(rig, memory).put(0xC4, b"\x01")


def _shorten(rig: Rig, memory: Memory) -> None:
    as_admin(rig, memory).put(0xC4, b"\x00")


def _mode(first: str, second: str) -> Callable[[Memory, Memory], Worlds]:
    return lambda before, after: [old({"openpgp.pw1_mode": first}), new({"openpgp.pw1_mode": second})]


# KDF, as GnuPG 2.4 sets it up (g10/card-util.c)


def kdf_object() -> bytes:
    """A KDF-DO as gpg 2.4 writes it, 110 bytes: SHA-256, iterated and salted, a salt for each PIN."""
    return b"".join(
        (
            tlv(0x81, b"\x03"),
            tlv(0x82, b"\x08"),
            tlv(0x83, COUNT.to_bytes(4, "big")),
            *(tlv(tag, _salt(tag)) for tag in (0x84, 0x85, 0x86)),
            tlv(0x87, derived(DEFAULT_PW1, 0x84)),
            tlv(0x88, derived(DEFAULT_PW3, 0x86)),
        )
    )


def _salt(tag: int) -> bytes:
    return hashlib.sha256(OURS + bytes([tag])).digest()[:8]


def derived(pin: str, tag: int) -> bytes:
    """The PIN that is sent to a card with a KDF (RFC 4880, section 3.7.1.3). :param tag: of its salt: 84, 85, 86."""
    unit = _salt(tag) + pin.encode()
    return hashlib.sha256((unit * (COUNT // len(unit) + 1))[:COUNT]).digest()


def _hash_pw3(client: OpenPgp, mine: OpenPgpMemory) -> None:
    after = derived(DEFAULT_PW3, 0x86)
    client.change(mine.pw3.encode("latin-1"), after, ADMIN)
    mine.pw3 = after.decode("latin-1")


def _set_kdf(rig: Rig, memory: Memory) -> None:
    """gpg's order: PW3, PW1 and the reset code become what the KDF makes of the PINs of the factory; then the DO."""
    client, mine = OpenPgp(rig), known(memory)
    _hash_pw3(client, mine)
    _rest_of_kdf(client, mine)


def _rest_of_kdf(client: OpenPgp, mine: OpenPgpMemory) -> None:
    client.verify(mine.pw3.encode("latin-1"), ADMIN)
    hashed = derived(DEFAULT_PW1, 0x84)
    client.reset_pw1(hashed)
    mine.pw1 = hashed.decode("latin-1")
    client.set_code("")
    client.put(0xF9, kdf_object())


def _kdf_worlds(before: Memory, after: Memory) -> Worlds:
    without = shown(NO_KDF)

    def complete(rig: Rig, memory: Memory) -> None:
        mine = known(memory)
        mine.pw3 = derived(DEFAULT_PW3, 0x86).decode("latin-1")
        _rest_of_kdf(OpenPgp(rig), mine)

    return [
        old({"openpgp.kdf": without, "openpgp.pw1": CURRENT, "openpgp.pw3": CURRENT}),
        # GnuPG's doing, not the card's: until the DO is written no PIN that a person can type is right.
        World(
            "GnuPG: PW3 is hashed, no KDF",
            Outcome.RECOVERED,
            {"openpgp.kdf": without, "openpgp.pw1": CURRENT, "openpgp.pw3": NEW},
            complete=complete,
        ),
        World(
            "GnuPG: both PINs are hashed, no KDF",
            Outcome.RECOVERED,
            {"openpgp.kdf": without, "openpgp.pw1": NEW, "openpgp.pw3": NEW},
            complete=complete,
        ),
        new({"openpgp.kdf": shown(kdf_object()), "openpgp.pw1": NEW, "openpgp.pw3": NEW}),
    ]


def _lacks_kdf(rig: Rig) -> str | None:
    if not OpenPgp(rig).offers(0xF9):
        return "a KDF"
    # The home state is laid down with PINs as a person types them: none of those is right any more.
    return None if rig.vault is not None else "a rig that puts the card's state back: no home undoes a KDF"


# Life cycle


def _of_every_item(value: Value) -> dict[str, Value]:
    found = {f"openpgp.{name}": value for name in _ITEMS_OF_A_TERMINATED_CARD}
    return {"openpgp.state": value, **found}


def fresh_values(before: Memory) -> dict[str, Value]:
    """A card as it leaves the factory: nothing of before can be read or used."""
    mine = known(before)
    return {
        "openpgp.state": OPERATIONAL,
        "openpgp.identity": mine.aid,
        "openpgp.pw1_tries": PW1.full,
        "openpgp.pw3_tries": PW3.full,
        "openpgp.code_tries": 0,
        # The specification names no mode of a new card: some open ones begin with many signatures.
        "openpgp.pw1_mode": {None: ANY, True: MANY_SIGNATURES, False: ONE_SIGNATURE}[mine.lasted_first],
        "openpgp.pw1": NEW,
        "openpgp.pw3": NEW,
        "openpgp.keys": canaries(before, every=ABSENT),
        "openpgp.data": data_value({}),
        "openpgp.certificates": (shown(b""),) * (3 if mine.certificates else 1),
        "openpgp.kdf": shown(NO_KDF) if mine.has_kdf else NOT_OFFERED,
        "openpgp.touch": ("0020",) * 3 if mine.has_touch else NOT_OFFERED,
        "openpgp.fingerprints": NO_FINGERPRINTS,
        # Which algorithms are set first is the maker's to choose.
        "openpgp.algorithms": ANY,
        "openpgp.counter": ANY,
    }


def forget(mine: OpenPgpMemory) -> None:
    """Know a card as it leaves the factory."""
    mine.pw1, mine.pw3, mine.code, mine.counter = DEFAULT_PW1, DEFAULT_PW3, "", 0
    mine.keys.clear()
    mine.data.clear()
    mine.certificates.clear()


def _terminate(rig: Rig, memory: Memory) -> None:
    as_admin(rig, memory).terminate()


def _activate(rig: Rig, memory: Memory) -> None:
    OpenPgp(rig, terminated=True).activate()
    forget(known(memory))


def _reset(rig: Rig, memory: Memory) -> None:
    """As gpg's factory-reset of a card whose PW3 is known: TERMINATE, ACTIVATE."""
    client = as_admin(rig, memory)
    client.terminate()
    client.activate()
    forget(known(memory))


def _reset_again(rig: Rig, memory: Memory) -> None:
    client = OpenPgp(rig, terminated=True)
    if not client.is_terminated:
        client.exchange(0xE6)
    client.activate()
    forget(known(memory))


def kept_values(before: Memory) -> dict[str, Value]:
    """A card that no reset has touched: its keys work, its PINs are in force."""
    return {
        "openpgp.state": OPERATIONAL,
        "openpgp.pw1": CURRENT,
        "openpgp.pw3": CURRENT,
        "openpgp.keys": canaries(before),
        "openpgp.data": data_value(known(before).data),
    }


def _terminated() -> World:
    # What says so is a file more, and in a large home a directory that is split for it.
    room: dict[str, Value] = {"twin.free_blocks": ANY}
    values = {**_of_every_item(TERMINATED), **room}
    return World("terminated", Outcome.RECOVERED, values, complete=_reset_again)


def _terminate_unverified(rig: Rig, memory: Memory) -> None:
    """What a thief tries: TERMINATE and ACTIVATE without PW3."""
    client = OpenPgp(rig)
    client.exchange(0xE6)
    client.exchange(0x44)


OPERATIONS = (
    Operation(
        name="openpgp.put_data",
        title="write a data object",
        arrange=arrange_nothing,
        act=_put_login,
        worlds=lambda before, after: [
            old({"openpgp.data": data_value(known(before).data)}),
            new({"openpgp.data": data_value(known(after).data)}),
        ],
        cost=_PW3,
    ),
    Operation(
        name="openpgp.put_certificate",
        title="replace a cardholder certificate",
        arrange=arrange_nothing,
        act=_put_certificate,
        worlds=lambda before, after: [
            old({"openpgp.certificates": _certificates(CERTIFICATE)}),
            new({"openpgp.certificates": _certificates(OTHER_CERTIFICATE)}),
        ],
        cost=_PW3,
        missing=_lacks_certificates,
    ),
    Operation(
        name="openpgp.ask_for_touch",
        title="let signatures ask for a touch",
        arrange=arrange_nothing,
        act=_ask_for_touch,
        worlds=_touch_worlds,
        cost=_PW3,
        missing=lacks_touch,
    ),
    Operation(
        name="openpgp.pw1_mode.many",
        title="let PW1 serve for many signatures",
        arrange=arrange_nothing,
        act=_lengthen,
        worlds=_mode(ONE_SIGNATURE, MANY_SIGNATURES),
        cost=_PW3,
    ),
    Operation(
        name="openpgp.pw1_mode.one",
        title="let PW1 serve for one signature",
        arrange=_lengthen,
        act=_shorten,
        worlds=_mode(MANY_SIGNATURES, ONE_SIGNATURE),
        acknowledged_old=Outcome.LOOSENED,
        cost=_PW3,
    ),
    Operation(
        name="openpgp.set_kdf",
        title="set up a KDF, as GnuPG does",
        arrange=arrange_nothing,
        act=_set_kdf,
        worlds=_kdf_worlds,
        cost=Cost(pins={PW3: 2}),
        missing=_lacks_kdf,
    ),
    Operation(
        name="openpgp.terminate",
        title="terminate the card",
        arrange=arrange_nothing,
        act=_terminate,
        worlds=lambda before, after: [old(kept_values(before)), new(_of_every_item(TERMINATED))],
        cost=_PW3,
    ),
    Operation(
        name="openpgp.activate",
        title="activate a terminated card",
        arrange=_terminate,
        act=_activate,
        worlds=lambda before, after: [old(_of_every_item(TERMINATED)), new(fresh_values(before))],
        cost=_PW3,
    ),
    Operation(
        name="openpgp.reset",
        title="reset the card to its factory state",
        arrange=arrange_nothing,
        act=_reset,
        worlds=lambda before, after: [old(kept_values(before)), _terminated(), new(fresh_values(before))],
        resets=True,
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=_PW3,
    ),
    Operation(
        name="openpgp.reset.unverified",
        title="try to reset the card without PW3",
        arrange=arrange_nothing,
        act=_terminate_unverified,
        worlds=lambda before, after: [old(kept_values(before)), new(kept_values(before))],
    ),
)
