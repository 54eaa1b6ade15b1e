"""Keys that forget or put back in one write what another one has changed fail the cases that ask for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness_fido2.twin import extensions, largeblobs
from harness_fido2.twin.credentials import ResidentCredentials
from harness_fido2.twin.features import EXTERNAL
from harness_fido2.twin.persistent_state import PersistentState
from support.trial_key import TrialKey

CHANGED = "test_what_was_changed_in_a_boot_lasts_when_"
GUESSES, PIN_CHANGED, SET = (
    f"{CHANGED}{what}_then"
    for what in ("somebody_logs_in_and_guesses", "the_pin_is_changed", "settings_are_changed")
)
FORCED = "test_the_duty_to_change_the_pin_lasts_when_somebody_logs_in_then"
COUNTED = "test_a_wrong_pin_stays_counted_until_the_right_one_was_entered"
RENAMED = "test_a_rename_leaves_all_else_that_is_stored_with_the_credential"
OWN = "test_credentials_of_different_boots_have_key_pairs_and_ids_of_their_own"
RESET = "test_what_is_written_in_the_boot_of_a_reset_lasts"
TEN = "test_every_one_of_ten_accounts_is_listed_and_asserts_after_a_power_cycle"
PARTIES = "test_every_one_of_ten_relying_parties_is_listed_after_a_power_cycle"
CASES = (GUESSES, PIN_CHANGED, SET, FORCED, COUNTED, RENAMED, OWN, RESET, TEN, PARTIES)


@pytest.fixture
def asked(monkeypatch):
    def ask(case, personality="reference-all"):
        key = TrialKey(monkeypatch, personality=personality)
        return key.asked(f"test_after_writes::{case}"), key.said

    return ask


@pytest.mark.parametrize("personality", ["reference", "reference-1.9", "reference-all"])
@pytest.mark.parametrize("case", CASES)
def test_a_sound_key_passes(asked, case, personality):
    got, said = asked(case, personality)
    assert got == "passed" or (got == "not offered" and personality == "reference"), said


@pytest.mark.parametrize(("lowered", "result"), [(True, "passed"), (False, "not offered")])
@pytest.mark.parametrize("case", [GUESSES, PIN_CHANGED, COUNTED])
def test_a_key_that_protects_each_credential_by_the_pin_fails_no_case(
    monkeypatch, asked, case, lowered, result
):
    """Its default level of credProtect is 3; some of these keys give no lower one."""
    creation = extensions.creation

    def protected(app, found, resident):
        wanted = creation(app, found, resident)
        return wanted if lowered and wanted.protect else replace(wanted, protect=3)

    monkeypatch.setattr(extensions, "creation", protected)
    got, said = asked(case)
    assert got == result, said


def from_boot(monkeypatch, writes, *members):
    """A write of `writes` puts members of the state back as they were at power-up."""
    to_change = PersistentState._to_change

    def stale(self, changes):
        now, then = to_change(self, changes), self._at_boot
        if then is None or then.pin_hash is None or not writes & changes.keys():
            return now
        return replace(now, **{name: getattr(then, name) for name in members})

    monkeypatch.setattr(PersistentState, "_to_change", stale)


STALE = {
    "a login gives tries back": ({"counter"}, "tries", COUNTED, "PIN tries"),
    "a login forgets the list": ({"counter"}, "min_pin_rps", GUESSES, "RP is not on the list"),
    "a login forgets the minimum": ({"counter"}, "min_pin", GUESSES, "min_pin_length"),
    "a login forgets the duty": ({"counter"}, "force_change", FORCED, "forcePINChange"),
    "a login brings the old PIN back": ({"counter"}, "pin_hash", GUESSES, "PIN_INVALID"),
    "a guess forgets the list": ({"tries"}, "min_pin_rps", GUESSES, "RP is not on the list"),
    "a guess brings a counter back": ({"tries"}, "counter", PIN_CHANGED, "the signature counter"),
    "a change of the PIN forgets the minimum": ({"pin_hash"}, "min_pin", PIN_CHANGED, "min_pin_length"),
    "a setting brings a counter back": ({"always_uv", "min_pin"}, "counter", SET, "the signature counter"),
    "a setting brings the old PIN back": ({"always_uv", "min_pin"}, "pin_hash", SET, "PIN_INVALID"),
}


@pytest.mark.parametrize("name", STALE)
def test_a_write_of_what_was_read_at_power_up_fails(monkeypatch, asked, name):
    writes, member, case, says = STALE[name]
    from_boot(monkeypatch, writes, member)
    got, said = asked(case)
    assert got == "failed"
    assert says in said, said


def test_a_large_blob_array_in_the_epoch_of_power_up_fails(monkeypatch, asked):
    """It is read until the next power-up, when what is of an earlier epoch than the last reset is swept."""
    store, epoch_of = largeblobs._set, {}

    def of_power_up(app, *more):
        now, then = app.persistent._state, app.persistent._at_boot
        epoch_of[id(app)] = then.epoch if then is not None else now.epoch
        app.persistent._state = replace(now, epoch=epoch_of[id(app)])
        try:
            store(app, *more)
        finally:
            app.persistent._state = now

    def read(app):
        data = app.platform.store(EXTERNAL).read(largeblobs.PATH) or b""
        epoch = epoch_of.get(id(app), app.persistent.state.epoch)
        return data[len(epoch) :] if data.startswith(epoch) else largeblobs.EMPTY

    monkeypatch.setattr(largeblobs, "_set", of_power_up)
    monkeypatch.setattr(largeblobs, "read", read)
    got, said = asked(RESET)
    assert got == "failed"
    assert said.startswith("the large-blob array"), said


def test_a_listing_of_eight_accounts_fails(monkeypatch, asked):
    of = ResidentCredentials.of
    monkeypatch.setattr(ResidentCredentials, "of", lambda self, rp_hash: of(self, rp_hash)[:8])
    got, said = asked(TEN)
    assert got == "failed"
    assert said.startswith("listed accounts"), said


def test_a_listing_of_eight_relying_parties_fails(monkeypatch, asked):
    every = ResidentCredentials.all

    def eight(self):
        found = every(self)
        told = sorted({one.rp_id for one in found})[:8]
        return [one for one in found if one.rp_id in told]

    monkeypatch.setattr(ResidentCredentials, "all", eight)
    got, said = asked(PARTIES)
    assert got == "failed"
    assert said.startswith("listed relying parties"), said


def test_a_list_of_three_relying_parties_after_power_up_fails(monkeypatch):
    read_state = PersistentState._read_state

    def shorter(self):
        state = read_state(self)
        return replace(state, min_pin_rps=tuple(state.min_pin_rps)[:3])

    monkeypatch.setattr(PersistentState, "_read_state", shorter)
    key = TrialKey(monkeypatch)
    assert key.asked("test_config::test_the_list_survives_a_power_cycle") == "failed"


def update_with(monkeypatch, **changes):
    update = ResidentCredentials.update
    monkeypatch.setattr(
        ResidentCredentials, "update", lambda self, one: update(self, replace(one, **changes))
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"blob": b""}, "outputs of the renamed credential, in the same boot"),
        ({"payment": False}, "outputs"),
        ({"hmac_secret": False}, "secret"),
        ({"protect": 1}, "listed"),
        ({"large_blob_key": bytes(32)}, "large blob key"),
        ({"order": 1 << 31}, "the order of creation"),
    ],
)
def test_a_rename_that_forgets_something_fails(monkeypatch, asked, changes, says):
    update_with(monkeypatch, **changes)
    got, said = asked(RENAMED)
    assert got == "failed"
    assert says in said, said


def test_a_secret_that_depends_on_the_name_fails(monkeypatch, asked):
    secret = extensions._hmac_secret

    def of_the_name(app, inputs, credential, verified):
        named = replace(credential, id=credential.id + str(credential.user.get("name")).encode())
        return secret(app, inputs, named, verified)

    monkeypatch.setattr(extensions, "_hmac_secret", of_the_name)
    got, said = asked(RENAMED)
    assert got == "failed"
    assert said.startswith("secret of the renamed credential, in the same boot")


def test_a_rename_and_a_deletion_in_memory_alone_fail(monkeypatch, asked):
    def only_known(self, credential):
        self._files()[self._name(credential)] = credential

    monkeypatch.setattr(ResidentCredentials, "update", only_known)
    assert asked(RENAMED)[0] == "failed"
    got, said = asked(GUESSES)
    assert got == "failed"
    assert said.startswith("the accounts that are listed, and their names")


def test_random_numbers_that_begin_alike_in_each_boot_fail(monkeypatch, asked):
    from harness.base.seeds import Stream
    from harness.twin.platform import Platform

    def stream(self, purpose):
        return self._streams.setdefault(purpose, Stream(b"always", purpose))

    monkeypatch.setattr(Platform, "stream", stream)
    got, said = asked(OWN)
    assert got == "failed"
    assert "with one id" in said
