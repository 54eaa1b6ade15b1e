"""Operations on keys, files and the DKEK of a SmartCard-HSM, and INITIALIZE.

Several are of more than one command, as hosts send them: a key, then its description; a file in blocks. What a cut
leaves between two commands is a world of its own, and the rest of the commands must complete it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.api import (
    Cost,
    Memory,
    Operation,
    Outcome,
    PairedWrite,
    Rig,
    Value,
    World,
    arrange_nothing,
    new,
    old,
    pin_for,
)
from harness_schsm import description
from harness_schsm.client import (
    BLOCK,
    CERTIFICATE,
    DATA,
    EC_SHA256,
    KEY,
    OF_THE_DEVICE,
    PRKD,
    SO_PIN,
    USER_PIN,
    ScHsm,
)
from harness_schsm.description import OURS
from harness_schsm.dkek import check_value, combined
from harness_schsm.home import (
    CANARY_DATA,
    P256,
    RSA_BITS,
    HsmMemory,
    forget,
    generate,
    known,
    listed,
    objects,
    plaintext,
    share,
)
from harness_schsm.items import (
    ABSENT,
    COMPLETED_DKEK,
    CURRENT,
    NEW,
    NEW_FILE,
    NEW_FILE_ITEM,
    NEW_KEY,
    NEW_KEY_ITEM,
    NOT_INITIALISED,
    SIGNS,
    USES_LEFT,
    canaries,
    shown,
)
from harness_schsm.pin_operations import FULL, right_pin, wrong_guess

NO_KCV = "0" * 16
USES = 3
Worlds = list[World]
LOGIN = Cost(pins={USER_PIN: 1})


def logged_in(rig: Rig, memory: Memory) -> ScHsm:
    """A client of which the user is logged in."""
    client = ScHsm(rig)
    client.verify(known(memory).pin)
    return client


def with_files(memory: Memory, *fids: int) -> tuple[str, ...]:
    """The list of files, with these among them; and with a description that the card itself stores with a key."""
    mine = known(memory)
    own = {PRKD | NEW_KEY} if KEY | NEW_KEY in fids and not mine.lists_requests else set()
    return tuple(sorted({*mine.objects, *(f"{fid:04X}" for fid in {*fids, *own})}))


# A new key and its description


def describe(client: ScHsm, kind: str) -> None:
    bits = RSA_BITS if kind == "rsa" else P256.bits
    client.update(PRKD | NEW_KEY, description.private_key(kind, f"{OURS}new", NEW_KEY, bits))


def _generate(kind: str, title: str) -> Operation:
    def act(rig: Rig, memory: Memory) -> None:
        client = logged_in(rig, memory)
        known(memory).new_request = generate(client, NEW_KEY, kind)
        describe(client, kind)

    def worlds(before: Memory, after: Memory) -> Worlds:
        made = (KEY | NEW_KEY, CERTIFICATE | NEW_KEY)
        return [
            old({"schsm.new_key": ABSENT, "schsm.objects": known(before).objects}),
            World(
                "not described",
                Outcome.RECOVERED,
                {"schsm.new_key": SIGNS, "schsm.objects": with_files(before, *made)},
                complete=lambda rig, memory: describe(logged_in(rig, memory), kind),
            ),
            new({"schsm.new_key": SIGNS, "schsm.objects": with_files(before, *made, PRKD | NEW_KEY)}),
        ]

    return Operation(
        name=f"schsm.generate.{kind}",
        title=title,
        arrange=arrange_nothing,
        act=act,
        worlds=worlds,
        items=(NEW_KEY_ITEM,),
        cost=LOGIN,
    )


def delete_made(client: ScHsm, mine: HsmMemory) -> None:
    """Delete the new key with all that the card itself has stored with it."""
    client.delete(KEY | NEW_KEY)
    client.delete(CERTIFICATE | NEW_KEY)
    if not mine.lists_requests and client.has(PRKD | NEW_KEY):
        client.delete(PRKD | NEW_KEY)


def _wrap_away(rig: Rig, memory: Memory) -> None:
    """Arrange a wrapped key that is no longer on the card."""
    client, mine = logged_in(rig, memory), known(memory)
    mine.new_request = generate(client, NEW_KEY, "ec")
    mine.blob = client.wrap(NEW_KEY)
    delete_made(client, mine)


def _restore_files(client: ScHsm, memory: Memory) -> None:
    client.update(CERTIFICATE | NEW_KEY, known(memory).new_request)
    describe(client, "ec")


def _unwrap(rig: Rig, memory: Memory) -> None:
    client = logged_in(rig, memory)
    client.unwrap(NEW_KEY, known(memory).blob)
    _restore_files(client, memory)


def _unwrap_worlds(before: Memory, after: Memory) -> Worlds:
    def complete(rig: Rig, memory: Memory) -> None:
        _restore_files(logged_in(rig, memory), memory)

    key, request = KEY | NEW_KEY, CERTIFICATE | NEW_KEY
    return [
        old({"schsm.new_key": ABSENT, "schsm.objects": known(before).objects}),
        *(
            World(
                name,
                Outcome.RECOVERED,
                {"schsm.new_key": SIGNS, "schsm.objects": with_files(before, *there)},
                complete=complete,
            )
            for name, there in {"without files": (key,), "not described": (key, request)}.items()
        ),
        new({"schsm.new_key": SIGNS, "schsm.objects": with_files(before, key, request, PRKD | NEW_KEY)}),
    ]


# Delete


def _make_described(rig: Rig, memory: Memory) -> None:
    client, mine = logged_in(rig, memory), known(memory)
    mine.new_request = generate(client, NEW_KEY, "ec")
    describe(client, "ec")


_OF_A_KEY = (KEY | NEW_KEY, CERTIFICATE | NEW_KEY, PRKD | NEW_KEY)
"""In the order in which they are deleted: the secret goes first."""


def _delete(rig: Rig, memory: Memory) -> None:
    client = logged_in(rig, memory)
    there = objects(client, known(memory))
    for fid in _OF_A_KEY:
        if fid in there:
            client.delete(fid)


def _delete_worlds(before: Memory, after: Memory) -> Worlds:
    left = {"files are left": _OF_A_KEY[1:], "a description is left": _OF_A_KEY[2:]}
    return [
        old({"schsm.new_key": SIGNS, "schsm.objects": with_files(before, *_OF_A_KEY)}),
        *(
            World(
                name,
                Outcome.RECOVERED,
                {"schsm.new_key": ABSENT, "schsm.objects": with_files(before, *fids)},
                complete=_delete,
            )
            for name, fids in left.items()
        ),
        new({"schsm.new_key": ABSENT, "schsm.objects": known(before).objects}),
    ]


# Use


def _make_counted(rig: Rig, memory: Memory) -> None:
    client, mine = logged_in(rig, memory), known(memory)
    counter = b"\x90\x04" + USES.to_bytes(4, "big")
    mine.new_request = generate(client, NEW_KEY, "ec", more=counter)


def _use(rig: Rig, memory: Memory) -> None:
    logged_in(rig, memory).sign(NEW_KEY, EC_SHA256, plaintext(NEW_KEY))


# Files


@dataclass(frozen=True)
class _Written:
    """A file's content before and after an operation."""

    fid: int
    item: str
    content: bytes


_LONG = _Written(DATA | NEW_FILE, "schsm.new_file", (f"{OURS}long ".encode() * 200)[: BLOCK + 400])
_OTHER = _Written(DATA | CANARY_DATA, "schsm.data", f"{OURS}other data ".encode() * 8)


def _write_long(rig: Rig, memory: Memory) -> None:
    logged_in(rig, memory).update(_LONG.fid, _LONG.content)


def _write_long_worlds(before: Memory, after: Memory) -> Worlds:
    with_it = {"schsm.objects": with_files(before, _LONG.fid)}
    return [
        old({_LONG.item: ABSENT, "schsm.objects": known(before).objects}),
        World(
            "begun",
            Outcome.RECOVERED,
            {_LONG.item: shown(_LONG.content[:BLOCK]), **with_it},
            complete=_write_long,
        ),
        new({_LONG.item: shown(_LONG.content), **with_it}),
    ]


def _write_other(rig: Rig, memory: Memory) -> None:
    logged_in(rig, memory).update(_OTHER.fid, _OTHER.content)
    known(memory).content = _OTHER.content


# DKEK and INITIALIZE


def _one_share_missing(rig: Rig, memory: Memory) -> None:
    """Arrange a card that waits for the second of two shares."""
    client, mine = ScHsm(rig), known(memory)
    client.initialize(mine.so_pin, mine.pin, shares=2)
    forget(mine)
    client.import_share(share(0))
    mine.shares, mine.due = (share(0),), (share(1),)
    client.verify(mine.pin)
    mine.objects = listed(client, mine)


def _import(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    ScHsm(rig).import_share(mine.due[0])
    mine.shares, mine.due = (*mine.shares, *mine.due), ()


def _kcv(*shares: bytes) -> str:
    return check_value(combined(*shares)).hex()


def _import_worlds(before: Memory, after: Memory) -> Worlds:
    whole = _kcv(*known(after).shares)
    completed = {COMPLETED_DKEK.name: f"{whole}, 0 outstanding"}
    return [old({"schsm.dkek": (2, 1, NO_KCV), **completed}), new({"schsm.dkek": (2, 0, whole), **completed})]


def _initialize(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    mine.pin = pin_for(rig, "initialised", USER_PIN)
    ScHsm(rig).initialize(mine.so_pin, mine.pin, shares=1)
    forget(mine)


def _of_the_device(memory: Memory) -> tuple[str, ...]:
    return tuple(fid for fid in known(memory).objects if int(fid, 16) in OF_THE_DEVICE)


def _initialize_worlds(before: Memory, after: Memory) -> Worlds:
    gone: Mapping[str, Value] = {"schsm.keys": canaries(before, ABSENT), "schsm.data": ABSENT}
    return [
        old(
            {
                "schsm.user_pin": CURRENT,
                "schsm.keys": canaries(before),
                "schsm.data": shown(known(before).content),
                "schsm.objects": known(before).objects,
            }
        ),
        # Never seen of a sound card that replaces everything at once; legal where a repetition completes it.
        World(
            "not initialised",
            Outcome.RECOVERED,
            {
                "schsm.state": NOT_INITIALISED,
                "schsm.objects": NOT_INITIALISED,
                "schsm.user_pin": NOT_INITIALISED,
                "schsm.user_tries": NOT_INITIALISED,
                "schsm.so_tries": NOT_INITIALISED,
                "schsm.dkek": "none: 6D00",
                "schsm.keys": canaries(before, "nobody is logged in"),
                "schsm.data": ABSENT,
            },
            complete=_initialize,
        ),
        new(
            {
                "schsm.state": "options 0001",
                "schsm.user_pin": NEW,
                "schsm.user_tries": FULL,
                "schsm.so_tries": SO_PIN.full,
                "schsm.dkek": (1, 1, NO_KCV),
                "schsm.objects": _of_the_device(before),
                **gone,
            }
        ),
    ]


OPERATIONS = (
    _generate("ec", "generate an EC key and describe it"),
    _generate("rsa", "generate an RSA key and describe it"),
    Operation(
        name="schsm.unwrap",
        title="bring a wrapped key back, with its files",
        arrange=_wrap_away,
        act=_unwrap,
        worlds=_unwrap_worlds,
        items=(NEW_KEY_ITEM,),
        cost=LOGIN,
    ),
    Operation(
        name="schsm.delete",
        title="delete a key and its files",
        arrange=_make_described,
        act=_delete,
        worlds=_delete_worlds,
        items=(NEW_KEY_ITEM,),
        cost=LOGIN,
    ),
    Operation(
        name="schsm.sign.counted",
        title="sign with a key that has a use counter",
        arrange=_make_counted,
        act=_use,
        worlds=lambda before, after: [old({USES_LEFT.name: USES}), new({USES_LEFT.name: USES - 1})],
        items=(USES_LEFT,),
        acknowledged_old=Outcome.LOOSENED,
        cost=LOGIN,
    ),
    Operation(
        name="schsm.write",
        title="replace a data object",
        arrange=arrange_nothing,
        act=_write_other,
        worlds=lambda before, after: [
            old({_OTHER.item: shown(known(before).content)}),
            new({_OTHER.item: shown(_OTHER.content)}),
        ],
        cost=LOGIN,
    ),
    Operation(
        name="schsm.write.blocks",
        title="write a data object in two blocks",
        arrange=arrange_nothing,
        act=_write_long,
        worlds=_write_long_worlds,
        items=(NEW_FILE_ITEM,),
        cost=LOGIN,
    ),
    Operation(
        name="schsm.import_share",
        title="import the last share of a DKEK",
        arrange=_one_share_missing,
        act=_import,
        worlds=_import_worlds,
        items=(COMPLETED_DKEK,),
        cost=Cost(pins={USER_PIN: 1, SO_PIN: 1}),
    ),
    Operation(
        name="schsm.initialize",
        title="initialise the card again",
        arrange=arrange_nothing,
        act=_initialize,
        worlds=_initialize_worlds,
        resets=True,
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(pins={SO_PIN: 1}),
    ),
)

PAIRED = (
    PairedWrite("schsm.key", "generate a key and delete it", _make_described, _delete),
    PairedWrite("schsm.wrong and right PIN", "enter a wrong PIN and the right one", wrong_guess, right_pin),
)
