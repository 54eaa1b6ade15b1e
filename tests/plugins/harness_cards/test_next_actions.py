"""What the owner of a card does after a cut: a sound card breaks no law by it, and half-done work comes to light."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.api import Damaged, records
from harness.bench.registry import discover
from harness.campaign.common import Beside
from harness.campaign.home import go_home, missing
from harness.campaign.result import Result
from harness.campaign.walk import Campaign
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_cards.files import REDO, Files
from harness_nitrokey_pro.twin.layout import HEADER
from harness_nitrokey_pro.twin.pages import Pages
from support.terms import terms

PLUGINS = discover()
CARD = {"generate-on-card", "move-to-card", "change-pw1", "set-pw1", "put-data", "sign-on-card", "reset-card"}
HID = {"write-otp", "erase-otp", "use-otp", "tell-time", "configure", "write-entry", "reset-key"}
ACTIONS = {
    "nitrokey-hsm2": {"generate", "delete-key", "change-user-pin", "write", "initialize", "sign"},
    "openpgp": CARD,
    "nitrokey-pro": CARD | HID,
}
CUT = {
    "nitrokey-hsm2": ("schsm.generate.ec", "schsm.unwrap.forced", "schsm.reset_retry", "schsm.initialize"),
    "openpgp": ("openpgp.generate.sign", "openpgp.reset_pw1.code", "openpgp.activate"),
    "nitrokey-pro": ("pro.replace_hotp", "openpgp.change_pw1"),
}


def gone_on(key: str, operation: str, *names: str, seed: int = 1) -> Result:
    """Cut an operation twice, and let the owner go on after eight more cuts, by each of the actions in turn."""
    model = PLUGINS.twins[key]
    rig = TwinRig("card", PLUGINS.keys[key], model, TwinOptions(model.sound[0]), seed, expendable=True)
    home, asked = go_home(rig), rig.key.operations[operation]
    assert not missing(rig, home, asked)
    actions = [one for one in rig.key.next_actions if not names or one.name in names]
    return Campaign(rig, asked, home, terms(beside=Beside(2, (), actions, second=False))).run()


@pytest.mark.parametrize("key, operation", [(key, one) for key, names in CUT.items() for one in names])
def test_a_sound_card_breaks_no_law_by_it(key, operation):
    assert {one.name for one in PLUGINS.keys[key].next_actions} >= ACTIONS[key]
    found = gone_on(key, operation)
    assert found.findings == []
    assert len({row["next"] for row in found.rows if row["stream"] == "next"}) >= 5


def test_a_sound_pro_breaks_no_law_by_what_its_owner_does_with_the_hid_side():
    found = gone_on("nitrokey-pro", "pro.replace_hotp", *HID)
    assert found.findings == []
    assert {row["next"] for row in found.rows if row["stream"] == "next"} == HID


def resumed_again_and_again(files: Files) -> None:
    """A boot that does a change again, and does not remove its record: the next boot does it once more."""
    try:
        found = records.read(files._store, REDO)
    except Damaged:
        return
    if found is not None:
        files._do(dict(found[2]), found[1])
        files._store.write(REDO, records.seal(found))


def test_a_change_that_every_boot_repeats_undoes_what_the_owner_does_next(monkeypatch):
    monkeypatch.setattr(Files, "resume", resumed_again_and_again)
    found = gone_on("nitrokey-hsm2", "schsm.reset_retry", "change-user-pin")
    assert "schsm.user_pin" in {one.item for one in found.findings}
    wrong = [row for row in found.rows if row["outcome"] not in ("old", "new", "recovered")]
    assert {row["next"] for row in wrong} == {"change-user-pin"}, "without the action nothing shows"


def locked_after(resume: Callable[[Pages], None]) -> Callable[[Pages], None]:
    """A boot that finishes a change and leaves the flash unit locked: until the power goes, each write is dropped."""

    def resumed(pages: Pages) -> None:
        header = pages.read(HEADER)
        resume(pages)
        pages.refuses = pages.read(HEADER) != header

    return resumed


def test_a_boot_that_drops_writes_after_its_recovery_gives_a_code_twice(monkeypatch):
    monkeypatch.setattr(Pages, "resume", locked_after(Pages.resume))
    found = gone_on("nitrokey-pro", "pro.replace_hotp", "use-otp")
    wrong = [row for row in found.rows if row["outcome"] not in ("old", "new", "recovered")]
    assert {row["next"] for row in wrong} == {"use-otp"}, "without the action nothing shows"
    assert any("log in with 3 HOTP codes" in one.text for one in found.findings)
