"""Each cell of the table: the portal's sentence, what it does then, and that the device itself refuses the rest."""

from __future__ import annotations

from typing import Any

import pytest

from harness.api import NOT_OFFERED, Refused, Rig
from harness_cards.curves import BY_NAME
from harness_schsm import cvc
from harness_schsm.client import EC_SHA256, KEY, SO, ScHsm
from harness_schsm.home import HsmMemory
from harness_schsm.portal import (
    FORCED_MAX,
    Account,
    Helper,
    Portal,
    PortalRefuses,
    Seen,
    Why,
    logged_in_with,
    not_offered,
    seen,
)
from harness_schsm.roots import root_for
from harness_suites.lifecycle.table import CELLS, Cell, sentence
from harness_suites.schsm.second import SECOND_PIN, SECOND_SO_PIN

WRONG, WRONG_SO = b"00000000", bytes(8)
_FIVE_USED: dict[tuple[str, int], Any] = {}
"""Rig and its seed -> its state after five forced updates: made once, because it takes 75 tries."""


def up(rig: Rig) -> ScHsm:
    rig.power.on()
    rig.wait_until_up()
    return ScHsm(rig)


def block(hsm: ScHsm, reference: int) -> None:
    wrong = WRONG_SO if reference == SO else WRONG
    while hsm.state(reference) & 0xFFF0 == 0x63C0:
        hsm.exchange(0x20, 0, reference, wrong)
    assert hsm.state(reference) == 0x6983


def force(hsm: ScHsm, mine: HsmMemory) -> None:
    """Block the SO-PIN, and let the portal mend it."""
    block(hsm, SO)
    Portal(seen(hsm).version).update(hsm, Helper.WORKING)
    hsm.initialize(mine.so_pin, mine.pin)


def with_forced(rig: Rig, mine: HsmMemory, used: int) -> ScHsm:
    """The card, initialised and empty, with a number of its forced updates used."""
    hsm = up(rig)
    if why := not_offered(rig):
        pytest.skip(f"{NOT_OFFERED}: {why}")
    if not used:
        hsm.initialize(mine.so_pin, mine.pin)
        return hsm
    assert used == FORCED_MAX
    assert rig.vault is not None
    if (rig.name, rig.seed) not in _FIVE_USED:
        for _ in range(FORCED_MAX):
            force(hsm, mine)
        rig.power.off()
        _FIVE_USED[rig.name, rig.seed] = rig.vault.snapshot()
    rig.power.off()
    rig.vault.restore(_FIVE_USED[rig.name, rig.seed])
    hsm = up(rig)
    assert seen(hsm).forced == FORCED_MAX
    return hsm


def bring_to(rig: Rig, mine: HsmMemory, cell: Cell) -> ScHsm:
    hsm = with_forced(rig, mine, cell.forced)
    if cell.keys:
        hsm.verify(mine.pin)
        hsm.generate_ec(9, BY_NAME["secp256r1"])
    if cell.user_blocked:
        hsm.select()
        block(hsm, 0x81)
    if cell.so_blocked:
        block(hsm, SO)
    return hsm


def offered(hsm: ScHsm, newer: bool) -> Portal:
    major, minor = seen(hsm).version
    return Portal((major, minor + 1 if newer else minor))


@pytest.fixture
def prepared(rig, mine):
    if rig.vault is None:
        pytest.skip(
            f"{NOT_OFFERED}: the state of this card cannot be copied, and the case spends tries or keys"
        )
    return lambda cell: bring_to(rig, mine, cell)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_cell_of_the_table(prepared, rig, cell):
    hsm = prepared(cell)
    portal, before, certificates = offered(hsm, cell.newer), seen(hsm), hsm.certificates()
    assert (before.has_keys, before.blocked, before.forced) == (cell.keys, cell.so_blocked, cell.forced)
    why = sentence(cell)
    assert portal.decide(before, cell.helper).why == why
    if not why.is_allowed:
        with pytest.raises(PortalRefuses) as refused:
            portal.update(hsm, cell.helper)
        assert refused.value.found == why.value
        if cell.helper is Helper.WORKING:
            with pytest.raises(Refused):
                hsm.command("install anyway", 0xF4, 0x01, 0, bytes(portal.current), cla=0x80)
        assert hsm.certificates() == certificates
        assert seen(hsm) == before
        return
    portal.update(hsm, cell.helper)
    require_as_shipped(rig, hsm, certificates, portal, cell.forced + (why is Why.FORCED))
    require_as_shipped(rig, again(rig), certificates, portal, cell.forced + (why is Why.FORCED))


def require_as_shipped(rig: Rig, hsm: ScHsm, before: bytes, portal: Portal, forced: int) -> None:
    """See that it is a new device, not initialised, of a name and a chain of its own.

    :param before: the certificates of the old one. :param forced: the forced updates that must be counted.
    """
    assert seen(hsm) == Seen(portal.current, forced, has_keys=False, blocked=False)
    assert (hsm.state(), hsm.state(SO)) == (0x6A88, 0x6A88), "not initialised"
    assert hsm.certificates() != before
    assert hsm.device().chr != cvc.decode(before).chr, "another device: its registration is void"
    if (root := root_for(rig)) is not None:
        cvc.require_chain(hsm.certificates(), root)


def again(rig: Rig) -> ScHsm:
    rig.power.cycle()
    rig.wait_until_up()
    return ScHsm(rig)


EMPTY = Cell(keys=False, so_blocked=False, user_blocked=False, newer=True, forced=0, helper=Helper.WORKING)


def unchanged(hsm: ScHsm, before: tuple[Seen, bytes]) -> bool:
    return (seen(hsm), hsm.certificates()) == before


def test_another_device_logs_in_and_once_its_pin_is_blocked_it_does_not_until_it_is_unblocked(
    prepared, second
):
    hsm, other = prepared(EMPTY), second.initialize()
    portal, before = offered(hsm, newer=True), (seen(hsm), hsm.certificates())

    def helper() -> Helper:
        return logged_in_with(other, SECOND_PIN)

    other.select()
    block(other, 0x81)
    with pytest.raises(PortalRefuses) as refused:
        portal.update(hsm, helper)
    assert refused.value.found == Why.BLOCKED_HELPER.value
    assert unchanged(hsm, before)
    other.reset_retry(SECOND_SO_PIN, SECOND_PIN)
    portal.update(hsm, helper)
    assert hsm.certificates() != before[1]


def test_another_device_that_never_was_initialised_does_not_log_in(prepared, second):
    hsm = prepared(EMPTY)
    before = (seen(hsm), hsm.certificates())
    with pytest.raises(PortalRefuses) as refused:
        offered(hsm, newer=True).update(hsm, lambda: logged_in_with(second.client, SECOND_PIN))
    assert refused.value.found == Why.NO_HELPER.value
    assert unchanged(hsm, before)


def test_the_device_that_has_logged_in_is_pulled_out_before_the_update(prepared, second):
    """The session ends with it: the other device is as it was, and the update can be begun again."""
    hsm, other = prepared(EMPTY), second.initialize()
    portal, before = offered(hsm, newer=True), (seen(hsm), hsm.certificates())

    def pulled_out_after_the_login() -> Helper:
        found = logged_in_with(other, SECOND_PIN)
        other.rig.power.off()
        return found

    with pytest.raises(PortalRefuses) as refused:
        portal.update(hsm, pulled_out_after_the_login)
    assert refused.value.found == Why.NO_HELPER.value
    assert unchanged(hsm, before)
    back = up(other.rig)
    portal.update(hsm, lambda: logged_in_with(back, SECOND_PIN))
    assert hsm.certificates() != before[1]


def test_a_lower_version_is_never_installed(prepared):
    hsm = prepared(
        Cell(keys=True, so_blocked=True, user_blocked=False, newer=False, forced=0, helper=Helper.WORKING)
    )
    major, minor = seen(hsm).version
    for lower in ((major, minor - 1) if minor else (major - 1, 0), (major - 1, minor + 1)):
        assert not Portal(lower).decide(seen(hsm), Helper.WORKING).why.is_allowed
        with pytest.raises(Refused):
            hsm.command("install anyway", 0xF4, 0x01, 0, bytes(lower), cla=0x80)


def test_the_sixth_forced_update_is_refused_and_the_device_is_dead_with_keys_on_it(prepared, mine):
    """The row that its maker did not say: five are used, the SO-PIN is blocked again, and there are keys."""
    hsm = prepared(
        Cell(
            keys=True,
            so_blocked=True,
            user_blocked=True,
            newer=True,
            forced=FORCED_MAX,
            helper=Helper.WORKING,
        )
    )
    assert offered(hsm, newer=True).decide(seen(hsm), Helper.WORKING).why is Why.DEAD
    assert KEY | 9 in hsm.objects()
    for command in (
        lambda: hsm.initialize(mine.so_pin, mine.pin),
        lambda: hsm.reset_retry(mine.so_pin, mine.pin),
        lambda: hsm.verify(mine.pin),
    ):
        with pytest.raises(Refused, match="6983"):
            command()


def test_a_blocked_so_pin_alone_leaves_the_keys_usable(prepared, mine):
    """Nothing need be done in a hurry: the user PIN works as before, and a backup can be made."""
    hsm = prepared(
        Cell(keys=True, so_blocked=True, user_blocked=False, newer=False, forced=0, helper=Helper.NONE)
    )
    hsm.verify(mine.pin)
    assert hsm.sign(9, EC_SHA256, b"text")


def test_initialize_does_not_change_the_identity_and_an_update_does(prepared, mine):
    hsm = prepared(
        Cell(keys=False, so_blocked=False, user_blocked=False, newer=True, forced=0, helper=Helper.WORKING)
    )
    before = hsm.certificates()
    hsm.initialize(mine.so_pin, mine.pin)
    assert hsm.certificates() == before
    offered(hsm, newer=True).update(hsm, Helper.WORKING)
    assert hsm.certificates() != before


def test_initialize_keeps_the_count_of_forced_updates(prepared, mine):
    hsm = prepared(
        Cell(
            keys=False,
            so_blocked=False,
            user_blocked=False,
            newer=False,
            forced=FORCED_MAX,
            helper=Helper.NONE,
        )
    )
    hsm.initialize(mine.so_pin, mine.pin)
    assert seen(hsm).forced == FORCED_MAX


# Remote devices


def test_a_registered_remote_device_is_updated_at_its_next_connection(prepared, rig):
    hsm = prepared(EMPTY)
    account, before = Account(offered(hsm, newer=True)), hsm.certificates()
    name = account.register(hsm)
    assert account.connected(hsm) is None, "nothing was asked for"
    account.ask_for(name, Helper.WORKING)
    assert hsm.certificates() == before, "it has not connected yet"
    hsm = again(rig)
    assert account.connected(hsm) is not None
    require_as_shipped(rig, hsm, before, account.portal, 0)
    assert account.connected(again(rig)) is None, "once"
    assert account.registered == set(), "the registration of the old identity is void"


def test_a_remote_device_that_got_keys_meanwhile_is_updated_once_they_are_gone(prepared, mine):
    hsm = prepared(EMPTY)
    account, before = Account(offered(hsm, newer=True)), hsm.certificates()
    account.ask_for(account.register(hsm), Helper.WORKING)
    hsm.verify(mine.pin)
    hsm.generate_ec(9, BY_NAME["secp256r1"])
    with pytest.raises(PortalRefuses) as refused:
        account.connected(hsm)
    assert refused.value.found == Why.KEYS.value
    assert hsm.certificates() == before
    hsm.delete(KEY | 9)
    assert account.connected(hsm) is not None


@pytest.mark.parametrize(
    ("registered", "helper", "why"),
    [
        (False, Helper.WORKING, Why.NOT_REGISTERED),
        (True, Helper.NONE, Why.NO_HELPER),
        (True, Helper.BLOCKED, Why.BLOCKED_HELPER),
    ],
    ids=str,
)
def test_a_remote_update_needs_a_registration_and_a_login(prepared, registered, helper, why):
    hsm = prepared(EMPTY)
    account, before = Account(offered(hsm, newer=True)), hsm.certificates()
    name = account.register(hsm) if registered else hsm.device().chr
    with pytest.raises(PortalRefuses) as refused:
        account.ask_for(name, helper)
    assert refused.value.found == why.value
    assert account.connected(hsm) is None
    assert hsm.certificates() == before
