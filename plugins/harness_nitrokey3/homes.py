"""Homes of a Nitrokey 3: an aged key, and the admin application's part in the homes of FIDO2.

An aged key is a twin whose stored counters stand just below a power of two, so that the operation, the cut and the
recovery from it go over the wrap. It is made when the operation has been arranged.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.api import Memory, NamedHome, Operation, Rig, Value, arrange_nothing, glass_box
from harness_fido2 import account_order
from harness_fido2.client import fido_memory, lacks
from harness_fido2.coloured import RESETS, with_values
from harness_nitrokey3 import configuration
from harness_nitrokey3.sdk import open_nk3, unwrapped

AGES = (8, 16, 32)
"""Bits of the counters that wrap."""
COUNTER_BITS = 32
STAGED = (
    "admin.interrupted_registrations",
    "admin.worn_page",
    "admin.worn_pages",
    "admin.power_up.slow_store",
    "admin.power_up.lost_certificate",
    "admin.power_up.damaged_settings",
    # They begin in the bootloader, which shows nothing of a home, or an aged one would not keep the wrong bit.
    "update.damaged_image",
    "update.forged_image",
    "update.damaged_settings",
    "update.damaged_backup",
    "update.lost_settings",
    "update.damaged_copy",
)
"""They stage a state of their own, in which nothing of a home is left."""
HALF_WAY = ("admin.power_up.interrupted", "update.install.interrupted")
"""They begin with work that is half done. To write anything before would finish it."""


def _not_among(*names: str) -> Callable[[Operation], Operation | None]:
    return lambda operation: None if operation.name in names else operation


# Aged


def _age(bits: int) -> Callable[[Rig, Memory], None]:
    def age(rig: Rig, memory: Memory) -> None:
        rig.power.off()
        glass = glass_box(rig)
        assert glass is not None
        assert glass.age is not None
        counted = glass.age(bits)
        mine = fido_memory(memory)
        mine.counter = max(mine.counter, counted["sign counter"])

    return age


def _register_over_wrap(bits: int) -> Callable[[Rig, Memory], None]:
    """Register an account, age the key, and register others: their counters wrap in between."""

    def lay_down(rig: Rig, memory: Memory) -> None:
        # A bench that fills the key leaves no room that an operation could do without.
        if rig.fill or lacks(rig, "rk") is not None:
            return
        if not account_order.register(rig, memory, account_order.BEFORE):
            return
        _age(bits)(rig, memory)
        rig.power.on()
        rig.wait_until_up()
        if all(account_order.register(rig, memory, name) for name in account_order.AFTER):
            rig.power.cycle()
            rig.wait_until_up()
            account_order.check(rig, memory)

    return lay_down


def _adapt_aged(operation: Operation) -> Operation | None:
    if operation.name in (*STAGED, *HALF_WAY):
        return None
    return with_values(operation, {account_order.ORDER.name: ()}) if operation.name in RESETS else operation


def _cannot_age(rig: Rig) -> str | None:
    glass = glass_box(rig)
    if glass is None or glass.age is None:
        return "counters are set inside a simulated key"
    return None


AGED = tuple(
    NamedHome(
        name=f"aged-{bits}",
        title=f"counters just below 2^{bits}, pages erased hundreds of times",
        # The signature counter of 32 bits cannot wrap.
        lay_down=_register_over_wrap(bits) if bits < COUNTER_BITS else arrange_nothing,
        settle=_age(bits),
        adapt=_adapt_aged,
        items=(account_order.ORDER,) if bits < COUNTER_BITS else (),
        missing=_cannot_age,
        cuts=10,
        turn="aged",
    )
    for bits in AGES
)


# The admin application's part in the homes of FIDO2


def _switch_on(rig: Rig, memory: Memory) -> None:
    """Switch on what can be switched on without a touch and without losing data or an application under test."""
    admin = open_nk3(rig).admin
    known = configuration.read_settings(rig)
    kept = {configuration.SKIP_UP_OFF, *configuration.switches_off(rig)}
    for one in admin.list_available_fields() if known else ():
        if one.name not in kept and not one.requires_touch_confirmation and not one.destructive:
            with unwrapped():
                admin.set_config(one.name, "true")
            known[one.name] = "true"
    memory.part("admin", configuration.KnownSettings).values = known


def _switched_on(memory: Memory) -> dict[str, Value]:
    known = memory.part("admin", configuration.KnownSettings).values
    return {configuration.SETTINGS.name: configuration.shown(known)} if known else {}


HOMES: tuple[NamedHome, ...] = (
    *AGED,
    NamedHome("full", "", cuts=0, adapt=_not_among(*STAGED, *HALF_WAY)),
    NamedHome("full-minus-one", "", cuts=0, adapt=_not_among(*STAGED, *HALF_WAY)),
    NamedHome(
        "same-boot",
        "",
        in_boot=_switch_on,
        adapt=_not_among(*STAGED, *HALF_WAY),
        values=_switched_on,
        items=(configuration.SETTINGS,),
    ),
    NamedHome(
        "coloured",
        "",
        lay_down=_switch_on,
        adapt=_not_among(*STAGED, *HALF_WAY),
        values=_switched_on,
        items=(configuration.SETTINGS,),
    ),
)
