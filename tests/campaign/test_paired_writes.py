"""What is written and undone gives back the room that it took; what does not is found by its slope."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise

from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.observe import Seen
from harness.campaign.paired_writes import drifts
from harness.campaign.space import least_room
from harness.model.judge import judge
from harness.model.operation import Item, new, old
from harness.model.outcome import ANY, Law, Outcome, Severity
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_fido2.twin import authenticator, makecredential, verification
from harness_fido2.twin.persistent_state import PersistentState
from harness_nitrokey_hsm2.twin import card_store
from support.hsm import hsm
from support.nitrokey import at_home, walked

FREE = Item("free", Law.ROOM, lambda look: (), "the free blocks", Severity.S2)


def judged(now, **named):
    return judge(
        items=(FREE,),
        worlds=[old(named), new(named)],
        before={"free": (9, 9)},
        seen={"free": now},
        acknowledged=False,
        least={"free": (7, 8)},
    )


def test_room_may_grow_and_shrink_to_what_the_uncut_operation_leaves():
    for now in ((9, 9), (7, 8), (12, 9)):
        assert not judged(now).breaches
    (breach,) = judged((9, 7)).breaches
    assert breach.outcome is Outcome.LOST
    assert "at least (7, 8)" in breach.text


def test_a_world_may_leave_the_room_open():
    assert not judged((9, 2), free=ANY).breaches


def test_a_directory_that_grows_is_no_finding():
    """In a large home a small file takes as many blocks as its directory needs to hold one name more."""
    rig = hsm()
    rig.power.on()
    store = card_store(rig.board)
    store.mount()
    free = [store.free_blocks()]
    for number in range(30):
        store.write(f"file{number:02}", b"small")
        free.append(store.free_blocks())
    grew = max(before - after for before, after in pairwise(free))
    assert grew > 0
    seen = Seen({FREE.name: (free[0],)})
    assert least_room((FREE,), seen, seen)[FREE.name] <= (free[0] - grew,)


def test_the_blocks_of_a_twin_are_seen_after_each_cut():
    rows = walked("fido2.make_credential.resident", cuts=12).rows
    assert any("twin.free_blocks" in row["changed"] for row in rows)


def test_a_leak_is_found_by_its_slope():
    rig, home = at_home("rename-leaks")
    wrong = {drift.pair: drift.text for drift in drifts(rig, home, 160) if drift.text}
    assert wrong.keys() == {"fido2.rename"}
    assert "blocks fewer are free in the store internal" in wrong["fido2.rename"]


def leaking(monkeypatch, *patched):
    """The pairs of a key that lose room, with methods of its firmware replaced."""
    for where, name, value in patched:
        monkeypatch.setattr(where, name, value)
    rig, home = at_home()
    return {drift.pair for drift in drifts(rig, home, 160) if drift.text}


def test_a_reset_that_leaves_keys_of_before_on_the_flash_is_found(monkeypatch):
    assert leaking(monkeypatch, (PersistentState, "remove_stale_keys", lambda self: None)) == {"fido2.reset"}


def test_a_reset_that_leaves_credentials_of_before_on_the_flash_is_found(monkeypatch):
    # As files that no boot looks at any more.
    of_now = PersistentState.renew

    def hidden(self, epoch=None):
        for name in self._store.names("fido/rk"):
            self._store.rename(f"fido/rk/{name}", f"fido/sec/old.{self.state.epoch.hex()}.{name}")
        of_now(self, epoch)

    assert leaking(monkeypatch, (PersistentState, "renew", hidden)) == {"fido2.reset"}


def test_a_registration_that_is_refused_and_leaves_a_file_is_found(monkeypatch):
    present = verification.present

    def noted(store):
        name = f"fido/sec/new{len(store.names('fido/sec'))}"
        store.write(name, bytes(200))
        yield from present()
        store.remove(name)

    def begun(app, *more):
        # Its file is removed when the touch came; a cancelled request ends before.
        monkeypatch.setattr(verification, "present", lambda: noted(app.persistent._store))
        return made(app, *more)

    made = makecredential.make_credential
    monkeypatch.setitem(authenticator._WITH_PARAMETERS, 0x01, begun)
    assert leaking(monkeypatch) == {"fido2.refused registration"}


def test_the_number_of_processes_changes_no_result():
    rig, home = at_home("rename-leaks")
    assert drifts(rig, home, 160, processes=3) == drifts(rig, home, 160)
    assert not rig.power.is_on


def test_a_firmware_that_dies_while_it_writes_is_named_and_the_other_pairs_go_on(monkeypatch):
    rig, home = at_home()
    application = next(one for one in rig.key.applications if one.name == "fido2")
    paired = [
        replace(one, write=lambda *_: os.abort()) if one.name == "fido2.rename" else one
        for one in application.paired
    ]
    changed = [replace(one, paired=paired) if one is application else one for one in rig.key.applications]
    monkeypatch.setattr(rig, "key", replace(rig.key, applications=changed))
    found = {drift.pair: drift.text for drift in drifts(rig, home, 40, processes=2)}
    assert found.pop("fido2.rename") == "fido2.rename: the simulated firmware died of SIGABRT"
    assert len(found) >= 3
    assert set(found.values()) == {""}


def test_a_store_that_fills_up_on_the_way_is_named():
    rig, home = at_home("rename-leaks")
    (wrong,) = [drift for drift in drifts(rig, home, 800) if drift.text]
    assert "KEY_STORE_FULL" in wrong.text


def test_a_sound_key_gives_all_of_it_back():
    rig, home = at_home()
    found = drifts(rig, home, 160)
    assert len(found) >= 4
    assert [drift.text for drift in found if drift.text] == []


def test_on_a_full_store_no_room_is_no_finding():
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twin("nitrokey3-mini")
    rig = TwinRig("nk3", key, twin, TwinOptions(fill=1.0), 1, expendable=True)
    assert [drift.text for drift in drifts(rig, go_home(rig), 30) if drift.text] == []
