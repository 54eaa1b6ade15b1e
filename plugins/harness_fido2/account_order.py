"""The order of the accounts of one relying party: one from before the counters of the key wrapped, the others after.

A key says which credential is the newest (CTAP 2.1, section 6.2.2 step 12.2.1). What it goes by is stored with each of
them. A number that is stored in too few bytes begins again, so that those of after the wrap seem older; or it stays at
the highest one, so that they are alike.
"""

from __future__ import annotations

from fido2.ctap import CtapError

from harness.api import Item, KeyFault, Law, Look, Memory, Rig, Severity, Value
from harness_fido2.client import Credential, Fido, fido_memory, usable
from harness_fido2.items import refusals

ORDER_RP = "order.keyharness.example"
BEFORE = "before the wrap"
AFTER = tuple(f"{number} after the wrap" for number in ("first", "second", "third", "fourth"))
"""Several: those that are alike may be told in the right order by chance, four in one of 24 cases."""
NEWEST_FIRST = (*reversed(AFTER), BEFORE)


def register(rig: Rig, memory: Memory, name: str) -> bool:
    """Register one of the accounts; return False if the key has no room. Then there is no order to ask for."""
    mine = fido_memory(memory)
    try:
        made, response = Fido(rig, mine.pin).make_credential(
            ORDER_RP, name.encode(), resident=True, pin=mine.pin
        )
    except CtapError as error:
        if error.code != CtapError.ERR.KEY_STORE_FULL:
            raise
        mine.accounts.clear()
        return False
    mine.accounts[name] = made
    mine.filled += 1
    mine.counter = max(mine.counter, response.auth_data.counter)
    return True


def check(rig: Rig, memory: Memory) -> None:
    """:raises KeyFault: the key tells another order, although nothing was cut."""
    mine = fido_memory(memory)
    found = _order(Fido(rig, mine.pin), mine.accounts, [])
    if found != NEWEST_FIRST:
        raise KeyFault(
            "accounts are not told as they were registered, the newest first, although nothing was cut",
            found=found,
            expected=NEWEST_FIRST,
        )


def _order(client: Fido, accounts: dict[str, Credential], counters: list[int]) -> tuple[str, ...]:
    try:
        got = client.assertions(ORDER_RP)
    except CtapError as error:
        if error.code == CtapError.ERR.NO_CREDENTIALS:
            return ()
        raise
    counters += [one.auth_data.counter for one in got]
    names = {one.id: name for name, one in accounts.items()}
    return tuple(names.get(bytes(one.credential["id"]), "a stranger") for one in got)


@refusals
def _look(look: Look) -> Value:
    accounts = fido_memory(look.memory).accounts
    return _order(usable(look), accounts, look.kept.setdefault("counters", [])) if accounts else ()


ORDER = Item(
    "fido2.order",
    Law.KEPT,
    _look,
    "the accounts of one relying party, the newest first",
    Severity.S2,
    spends=frozenset({"counter"}),
)
