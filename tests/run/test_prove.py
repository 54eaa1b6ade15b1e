"""The judge is seen to fail: every seeded defect is caught, and the sound twin is clean."""

from __future__ import annotations

import io
import json

import pytest

from harness.bench.registry import discover
from harness.run.breadth import every_operation, show_every_operation
from harness.run.replay import replay
from harness.run.soak import soak

QUICK = {
    "fresh-on-missing-state": "admin.worn_page: device stuck",
    "names-apart": "fido2.user_name torn",
    "certificate-moved": "update.install",
    "self-attestation": "before any cut: admin.power_up.lost_certificate",
    "enrolment-drops-secret": "fido2.new_colours torn",
    "old-change-finished": "fido2.pin torn",
}
"""One of each kind: the flash layer, two writes instead of one, an old personality, no cut needed, another home, and an
action of the owner."""
SAID = {
    "sign-counter-short": 'the home "aged-16" cannot be laid down',
    "sign-counter-signed": "fido2.sign_count rolled-back",
    "delete-needs-room": "in the home full",
    "full-replaces-oldest": "a full key refuses no registration",
    "full-checked-late": "fido2.credential_count torn",
    "pin-from-boot": "in the home same-boot",
    "minimum-from-boot": "fido2.min_pin loosened",
    "settings-from-boot": "admin.settings",
    "rename-drops-protection": "fido2.new_colours torn",
    "rename-drops-blob-key": "fido2.new_colours torn",
    "account-by-prefix": 'the home "coloured" cannot be laid down',
    "rp-by-prefix": 'the home "coloured" cannot be laid down',
    "minimum-before-duty": "fido2.force_change loosened",
    "duty-before-pin": "fido2.client_pin.change.forced: fido2.pin torn",
    "list-after-minimum": "fido2.config.rp_list: fido2.told_min_pin torn",
    "reset-not-finished": "admin.factory_reset: admin.settings",
    "no-journal": "stuck",
    "pin-compared-first": "fido2.pin_retries loosened",
    "external-store-made-anew": "admin.power_up.slow_store",
    "pin-compared-first-permissions": "fido2.client_pin.wrong.permissions: fido2.pin_retries loosened",
    "pin-compared-first-change": "fido2.client_pin.wrong.change: fido2.pin_retries loosened",
    "blocked-taken-for-new": "fido2.client_pin.block",
    "boot-limit-forgotten": "before any cut: fido2.client_pin.wrong.boot",
    "secret-of-the-boot": "fido2.hmac_secret lost",
    "secret-changes-with-pin": "fido2.hmac_secret lost",
    "protection-after-credential": "fido2.make_credential.protected",
    "protection-forgotten": "fido2.cred_protect loosened",
    "silent-while-writing": "device stuck",
    "state-written-often": "flash wear lost",
    "rename-leaks": "paired writes: fido2.rename",
    "debug-skips-checks": "before any cut: update.refused",
    "hardware-optional": "before any cut: update.refused",
    "zero-signature-taken": "before any cut: update.refused",
    "version-optional": "before any cut: update.refused",
    "second-packet-unchecked": "after an accepted init packet",
    "refusal-lowers-floor": "update.accepts",
    "backup-left-behind": "update.settings_copies lost",
    "boot-unchecked": "update.damaged_image: update.runs",
    "counter-in-ram": "fido2.pin_retries loosened",
    "reset-wrong-order": "fido2.reset",
    "overwrite-deletes-first": "fido2.enrolment torn",
    "credential-in-place": "fido2.credential_management.update_user",
    "create-leaks": "admin.free_blocks",
    "pin-lost-rename": "fido2.pin",
    "minimum-in-place": "fido2.min_pin loosened",
    "setting-saved-later": "fido2.always_uv loosened",
    "same-version-unchecked": "update.accepts",
    "blobs-in-place": "fido2.large_blobs.rewrite",
    "sign-counter-in-ram": "fido2.sign_count rolled-back",
    "reset-key-not-saved": "fido2.reset.register",
    "worn-journal": "admin.worn_page",
}


def proofs_of(cli, seed, defects=()):
    """What `prove` says of the sound twins and of all defects, or of some."""
    named = [word for name in defects for word in ("--defect", name)]
    done = cli("prove", "--seed", str(seed), *named, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["proofs"]


@pytest.fixture
def check_replay(own_state):
    """Check that the id of the report shows it again, with a bench that says what was put in."""

    def check(proof):
        bench = own_state / "bench.toml"
        bench.write_text(
            '[[rig]]\nname = "prove"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
            f'twin.defects = ["{proof["defect"]}"]\ntwin.personality = "{proof["personality"]}"\n'
        )
        found = replay(proof["replay"], bench)
        assert found.violated, found
        assert (found.uncut is not None) == proof["caught_by"].startswith("before any cut")

    return check


def test_defects_of_each_kind_are_caught_and_their_replays_show_them(cli, check_replay):
    proofs = proofs_of(cli, 1, QUICK)
    assert {proof["defect"] for proof in proofs} == QUICK.keys()
    for proof in proofs:
        assert QUICK[proof["defect"]] in proof["caught_by"]
        assert proof["suite"] == "endurance"
        check_replay(proof)


@pytest.mark.long
def test_every_third_defect_is_caught(cli):
    """`script/prove` tries all of them."""
    twin = discover().twins["nitrokey3-mini"]
    assert len(twin.defects) >= 60
    chosen = list(twin.defects)[::3]
    proofs = proofs_of(cli, 2, chosen)
    assert [proof["defect"] for proof in proofs] == chosen
    for proof in proofs:
        assert proof["caught_by"]
        assert SAID.get(proof["defect"], proof["caught_by"]) in proof["caught_by"]


@pytest.mark.long
@pytest.mark.parametrize("bench", ["reference-1.9.toml", "metastable.toml"])
def test_the_sound_twin_gives_no_false_alarm(cli, bench):
    """A sample over all operations. README's command makes every cut on the default bench, `prove` on all."""
    done = cli("run", "endurance", "--seed", 20261120, "--bench", bench, "--cuts", 1500)
    assert done.returncode == 0, done.stdout


def test_every_defect_says_where_it_comes_from():
    for defect in discover().twins["nitrokey3-mini"].defects.values():
        assert defect.title[0].isupper() or defect.title.startswith("alwaysUv")
        assert len(defect.source) > 20
        assert ":" in defect.source, f"{defect.name}: the invariant that catches it"


def test_a_weakness_of_a_shipping_version_has_a_public_report_or_loses_data_only():
    """What would help an attacker is put into the sound twin only."""
    from harness_nitrokey3.twin.personality import book

    security = {
        "pin-compared-first",
        "counter-in-ram",
        "pin-lost-rename",
        "minimum-in-place",
        "setting-saved-later",
    }
    security |= {name for name, one in book().defects.items() if one.application == "update"}
    bound = {name for one in book().personalities.values() if not one.sound for name in one.weaknesses}
    assert bound & security == {"journal-migration-once"}, "which its own release notes warn of"
    assert bound <= set(book().defects)


class Unsound:
    """A model that calls a personality sound which is not."""

    def __init__(self, model):
        self._model = model
        self.sound = ["1.2.2"]

    def __getattr__(self, name):
        return getattr(self._model, name)


def test_the_long_proof_counts_its_cuts_and_finds_no_alarm_in_the_sound_twin(cli):
    done = cli("prove", "--seed", "1", "--long", "--cuts", "100", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["cuts"] >= 100
    assert found["alarms"] == []
    assert sum(found["by"].values()) == found["cuts"]


@pytest.mark.long
def test_on_ten_seeds_every_operation_of_the_sound_twins_is_clean():
    """One personality a seed, in turn, and cuts into some operations: `--seeds 200` is the whole of it."""
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    tried = list(every_operation(key, twin, range(1, 11), thinned=True))
    assert [one.seed for one in tried] == [*range(1, 11)]
    assert {one.personality for one in tried} == set(twin.sound)
    assert [alarm for one in tried for alarm in one.alarms] == []
    assert min(one.uncut for one in tried) >= 25
    assert sum(one.cuts for one in tried) > 200


def test_a_seed_on_which_something_is_wrong_is_named():
    """One operation of a firmware that is called sound and loses what it was given."""
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    operations = {name: key.operations[name] for name in ("fido2.get_assertion",)}
    out = io.StringIO()
    assert show_every_operation(Narrow(key, operations), Unsound(twin), [3], False, out) == 1
    assert "ALARM  fido2.get_assertion: " in out.getvalue()
    assert "kh1:soak/fido2.get_assertion:3:" in out.getvalue()


def test_seeds_are_for_the_long_proof(cli):
    done = cli.inside("prove", "--seeds", "2")
    assert done.returncode == 4
    assert "--seeds needs --long" in done.stderr


def test_the_long_proof_has_no_defect(cli):
    """It cut the sound twin 100,000 times, whatever the defect."""
    done = cli.inside("prove", "--long", "--cuts", "1", "--defect", "no-journal", "--json")
    assert done.returncode == 4
    assert "--long goes without --defect" in done.stderr


class Narrow:
    """A key with some of its operations."""

    def __init__(self, key, operations):
        self._key, self.operations = key, operations

    def __getattr__(self, name):
        return getattr(self._key, name)


def test_the_long_proof_alarms_where_something_is_wrong():
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    out = io.StringIO()
    assert soak(key, Unsound(twin), 1, 60, False, out) == 1
    assert "ALARMS" in out.getvalue()
    assert "kh1:soak/" in out.getvalue()


@pytest.mark.long
def test_the_long_proof_leaves_the_fresh_home_and_lets_the_owner_go_on():
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    operations = {name: key.operations[name] for name in ("fido2.credential_management.delete",)}
    out = io.StringIO()
    assert soak(Narrow(key, operations), Few(twin, "reference"), 1, 1, True, out) == 0
    found = json.loads(out.getvalue())
    assert found["alarms"] == []
    assert min(found["homes"], found["actions"], found["nested"]) > 5
    assert found["cuts"] > found["homes"] + found["actions"] + found["nested"]


def test_every_seed_begins_in_the_next_home():
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    operations = {name: key.operations[name] for name in ("fido2.client_pin.change", "admin.worn_page")}
    tried = [*every_operation(Narrow(key, operations), Few(twin, "reference"), [5, 6])]
    assert [(one.home, one.alarms) for one in tried] == [("fresh", []), ("aged-8", [])]
    # A worn page is not asked of an aged key.
    assert [one.uncut for one in tried] == [2, 1]
    assert min(one.cuts for one in tried) > 0


class Few:
    """A twin of which only some personalities are sound."""

    def __init__(self, model, *sound):
        self._model, self.sound = model, sound

    def __getattr__(self, name):
        return getattr(self._model, name)
