"""The ledger forgets nothing that it has acknowledged."""

from __future__ import annotations

import io
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import event, select

from harness.base.errors import CallerError, RigError
from harness.evidence.ledger import Ledger
from harness.evidence.ledger_queries import history_of, keys_of, show_history
from harness.evidence.ledger_runs import findings_known
from harness.model.operation import Cost
from harness.model.pin import PinReference
from harness.safety.budget import BLOCK, Budget, BudgetExhausted, Grants, PinTries
from harness_fido2.client import FIDO2_PIN
from support.limits import HUNG_S

PW1 = PinReference("PW1", 3)
SO_PIN = PinReference("SO-PIN", 15, counted_as="so_pin_tries", granted=False)
PUK = PinReference("PUK", 3, granted=False)

HEAD = {"run": "20261120-000000-aaaa", "started": "s", "seed": 1, "bench": "b", "version": "0"}
KEYS = {"one": ("uuid:1", "hardware", "m"), "two": ("twin:m/two", "twin", "m")}

RESERVING = """
import sys
from harness.safety.budget import Budget, BudgetExhausted, Grants
from harness.evidence.ledger import Ledger

budget = Budget(Ledger(), "uuid:1", "hardware", "rig", Grants(pin_tries=int(sys.argv[1])))
while True:
    try:
        budget.reserve({"pin_tries": 1}, "test")
    except BudgetExhausted:
        break
    sys.stdout.write("x")
    sys.stdout.flush()
"""


def campaign(rig, cuts):
    wear = [{"what": "ifs page 3", "used": 7 * cuts, "limit": 10000, "estimated": True}]
    return {"rig": rig, "operation": "fido2.reset", "outcomes": {"old": cuts - 1, "new": 1}, "wear": wear}


def cut(rig, number):
    return {
        "rig": rig,
        "id": f"c{number}",
        "operation": "fido2.reset",
        "outcome": "old",
        "acknowledged": False,
    }


def noted(ledger, run, firmware, verdict, outcomes=None, rig="one"):
    head = {**HEAD, "run": run, "started": run, "rigs": [{"name": rig, "firmware": firmware}]}
    campaigns = [{**campaign(rig, 1), "outcomes": outcomes}] if outcomes else []
    ledger.note_run(head, verdict, {rig: KEYS["one"]}, campaigns, [])


def test_every_run_is_filed_under_its_key_and_the_trend_goes_by_firmware(own_state):
    with Ledger() as ledger:
        noted(ledger, "a", "v1.8.3", "fail", {"old": 90, "lost": 10})
        noted(ledger, "b", "v1.8.3", "interrupted")
        noted(ledger, "c", "v1.9.0", "pass", {"old": 50, "new": 50})
        noted(ledger, "d", "not asked yet", "inconclusive")
        (key,) = keys_of(ledger)
        table = history_of(ledger, "uuid:1")
    assert (key["runs"], key["cuts"]) == (3, 200), "on a rig that was not there no key took part"
    assert [run["id"] for run in table["runs"]] == ["a", "b", "c"]
    trend = [
        (row["firmware"], row["runs"], row["cuts"], row["violations"], row["verdicts"])
        for row in table["trend"]
    ]
    assert trend == [
        ("v1.8.3", 2, 100, 10, {"fail": 1, "interrupted": 1}),
        ("v1.9.0", 1, 100, 0, {"pass": 1}),
    ]
    out = io.StringIO()
    show_history(table, out)
    assert "  firmware v1.8.3" in out.getvalue()
    assert "2 runs, 100 cuts, 10 violations (10 %): fail 1, interrupted 1" in out.getvalue()


def test_a_run_that_is_taken_up_again_is_filed_once(own_state):
    with Ledger() as ledger:
        for verdict in ("killed", "pass"):
            noted(ledger, "a", "v1", verdict, {"old": 5})
        table = history_of(ledger, "uuid:1")
    assert [(row["runs"], row["cuts"], row["verdicts"]) for row in table["trend"]] == [(1, 5, {"pass": 1})]


def reserving(granted):
    return subprocess.Popen([sys.executable, "-c", RESERVING, str(granted)], stdout=subprocess.PIPE)


def test_a_run_is_kept_by_key_and_taking_it_up_again_counts_nothing_twice(own_state):
    with Ledger() as ledger:
        for cuts in (3, 5):
            rows = [cut(rig, n) for rig in KEYS for n in range(cuts)]
            ledger.note_run(HEAD, "pass", KEYS, [campaign("one", cuts), campaign("two", cuts)], rows)
    with Ledger() as ledger:
        assert [(row["id"], row["cuts"], row["runs"]) for row in keys_of(ledger)] == [
            ("uuid:1", 5, 1),
            ("twin:m/two", 5, 1),
        ]
        table = history_of(ledger, "uuid:1")
        assert table["wear"][0]["used"] == 35
        assert [row["cuts"] for row in table["outcomes"]] == [1, 4]
        cuts = ledger.rows(select(ledger.tables.cuts.c.key))
        assert [row["key"] for row in cuts] == ["uuid:1"] * 5, "a twin's cuts are counted, not listed"
        with pytest.raises(CallerError, match='key "uuid:3"'):
            history_of(ledger, "uuid:3")


def test_what_is_no_utf8_is_escaped_and_a_folder_is_found_again(own_state):
    """A disk that another system has written, or a run.json that something has damaged."""
    folder, odd = Path(os.fsdecode(b"/runs/\xff\xfe")), "lab-\udcff\ud800.toml"
    head = {**HEAD, "bench": odd, "rigs": [{"name": name} for name in KEYS]}
    with Ledger() as ledger:
        for _ in range(2):
            ledger.note_run(head, "pass", KEYS, [], [], folder)
        (run,) = ledger.rows(select(ledger.tables.runs))
        assert run["bench"] == "lab-\\udcff\\ud800.toml"
        assert {row["folder"] for row in ledger.rows(select(ledger.tables.tested))} == {str(folder)}
        assert findings_known(ledger, ["\ud800"]) == []


def test_two_writers_never_spend_more_than_was_granted(own_state):
    processes = [reserving(60) for _ in range(2)]
    spent = [len(process.communicate(timeout=HUNG_S)[0]) for process in processes]
    assert sum(spent) == 60
    with Ledger() as ledger:
        assert Budget(ledger, "uuid:1", "hardware", "rig", Grants()).spent("pin_tries") == 60


@pytest.mark.parametrize("kills", [5, pytest.param(60, marks=pytest.mark.long)])
def test_a_kill_loses_no_acknowledged_record(own_state, kills):
    acknowledged = 0
    for number in range(kills):
        process = reserving(10**6)
        acknowledged += len(process.stdout.read(1 + 3 * number % 17))
        process.send_signal(signal.SIGKILL)
        acknowledged += len(process.communicate()[0])
    with Ledger() as ledger:
        spent = Budget(ledger, "uuid:1", "hardware", "rig", Grants()).spent("pin_tries")
    assert acknowledged <= spent <= acknowledged + kills, "at most the one that was being reserved"
    assert acknowledged >= kills


def test_a_full_disk_says_so_and_loses_nothing(own_state):
    with Ledger() as ledger:
        event.listen(ledger._engine, "connect", lambda dbapi, _: dbapi.execute("PRAGMA max_page_count = 60"))
        ledger._engine.dispose()
        budget = Budget(ledger, "uuid:1", "hardware", "rig", Grants(pin_tries=10**6))
        noted, full = 0, None
        while full is None and noted < 10_000:
            try:
                budget.reserve({"pin_tries": 1}, "x" * 4000)
                noted += 1
            except RigError as error:
                full = error
        assert full is not None
        assert full.what.startswith("ledger ")
        assert full.found == "the disk is full"
        assert 0 < noted < 1000
    with Ledger() as ledger:
        budget = Budget(ledger, "uuid:1", "hardware", "rig", Grants(pin_tries=10**6))
        assert budget.spent("pin_tries") == noted
        budget.reserve({"pin_tries": 1}, "there is room again")
        assert budget.spent("pin_tries") == noted + 1


def test_a_file_that_may_not_grow_is_a_rig_error(own_state):
    """As on a full disk, the write itself fails."""
    with Ledger():
        pass
    done = subprocess.run(
        [sys.executable, "-c", RESERVING, "1000000"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000)),
        capture_output=True,
        text=True,
        timeout=HUNG_S,
        check=False,
    )
    assert "RigError: ledger" in done.stderr
    with Ledger() as ledger:
        spent = Budget(ledger, "uuid:1", "hardware", "rig", Grants()).spent("pin_tries")
    assert spent == len(done.stdout) > 0


def test_a_ledger_that_cannot_be_made_says_where(own_state, monkeypatch):
    (own_state / "file").write_text("")
    monkeypatch.setenv("KEYHARNESS_LEDGER", str(own_state / "file" / "ledger.sqlite"))
    with pytest.raises(RigError, match=r"ledger .*/file/ledger\.sqlite"):
        Ledger()


def test_a_url_that_is_none_is_the_callers(own_state, monkeypatch):
    monkeypatch.setenv("KEYHARNESS_LEDGER", "nosuchdatabase://host/x")
    with pytest.raises(CallerError, match="KEYHARNESS_LEDGER"):
        Ledger()


@pytest.fixture
def budget(own_state):
    with Ledger() as ledger:
        yield Budget(ledger, "uuid:1", "hardware", "rig", Grants(pin_tries=10, relay_operations=100))


def test_all_or_nothing_is_reserved(budget):
    with pytest.raises(BudgetExhausted, match="so_pin_tries") as error:
        budget.reserve({"pin_tries": 2, "so_pin_tries": 1}, "unblock")
    assert error.value.blame == "rig", "a run that meets it is inconclusive"
    assert "unblock" in error.value.found
    assert budget.spent("pin_tries") == 0


def test_what_is_spent_all_the_time_is_reserved_in_blocks_and_the_rest_given_back(budget):
    for _ in range(70):
        budget.draw("relay_operations", 1, "off")
    assert 70 < budget.spent("relay_operations") <= 70 + BLOCK
    budget.close()
    assert budget.spent("relay_operations") == 70
    for _ in range(30):
        budget.draw("relay_operations", 1, "off")
    with pytest.raises(BudgetExhausted):
        budget.draw("relay_operations", 1, "off")


@pytest.mark.parametrize("uses", [(1, 1), (2, 3, 5), (10, 10), (40, 7), (100, 90)])
def test_killed_processes_cost_a_budget_half_more_than_what_they_did_at_most(own_state, uses):
    done = sum(uses)
    with Ledger() as ledger:
        for many in uses:
            # A process that is killed closes nothing.
            killed = Budget(ledger, "uuid:1", "hardware", "rig", Grants(relay_operations=1000))
            for _ in range(many):
                killed.draw("relay_operations", 1, "off")
        spent = killed.spent("relay_operations")
    assert done <= spent <= done + sum(min(BLOCK, many // 2) for many in uses)


def test_the_keys_own_counter_is_believed_first(budget):
    budget.pin_tries_of_key(FIDO2_PIN, left=6)
    assert budget.spent("pin_tries") == 2
    budget.pin_tries_of_key(FIDO2_PIN, left=7)
    assert budget.spent("pin_tries") == 2, "what was spent stays spent"
    with pytest.raises(BudgetExhausted, match="pin_tries_kept"):
        budget.pin_tries_of_key(FIDO2_PIN, left=3)


def test_nothing_irreversible_is_granted_by_default():
    grants = Grants()
    assert (grants.so_pin_tries, grants.forced_updates, grants.one_way_settings) == (0, 0, 0)


def test_an_operation_costs_what_it_says(budget):
    cost = Cost(pins={FIDO2_PIN: 1}, irreversible={"one_way_settings": 1})
    assert budget.of(cost) == {"pin_tries": 1, "erases": 1, "one_way_settings": 1}


def test_a_twin_is_not_limited_and_its_spending_is_kept(own_state):
    with Ledger() as ledger:
        budget = Budget(ledger, "twin:m/a", "twin", "rig", Grants(pin_tries=1))
        budget.reserve({"pin_tries": 50}, "test")
        budget.pin_tries_of_key(FIDO2_PIN, left=1)
        assert budget.spent("pin_tries") == 50


def test_an_operation_reserves_before_it_acts_and_does_not_act_without(budget):
    """Whoever runs it, a run or a replay: custody hands out the operations so."""
    from dataclasses import replace

    from harness.bench.registry import discover
    from harness.safety.budgeted_key import with_budget

    tries = PinTries(budget)
    spent_when_acting = []

    def wrong_guess(rig, memory):
        spent_when_acting.append(budget.spent("pin_tries"))
        tries.trying(FIDO2_PIN, 8)

    key = discover().keys["nitrokey3-mini"]
    (fido,) = [one for one in key.applications if one.name == "fido2"]
    (wrong,) = [one for one in fido.operations if one.name == "fido2.client_pin.wrong"]
    watched = replace(wrong, act=wrong_guess)
    key = with_budget(replace(key, applications=(replace(fido, operations=(watched,)),)), budget)
    for _ in range(10):
        key.operations[wrong.name].act(None, None)
    assert spent_when_acting == list(range(1, 11))
    with pytest.raises(BudgetExhausted, match="pin_tries"):
        key.operations[wrong.name].act(None, None)
    assert len(spent_when_acting) == 10


def test_a_right_pin_costs_no_try_and_a_wrong_one_does(budget):
    tries = PinTries(budget)
    for _ in range(20):
        tries.trying(FIDO2_PIN, 8)
        tries.right(FIDO2_PIN)
    assert budget.spent("pin_tries") == 1, "reserved, not spent"
    for _ in range(4):
        tries.trying(FIDO2_PIN, 8)
    assert budget.spent("pin_tries") == 4
    with pytest.raises(BudgetExhausted, match="pin_tries_kept"):
        tries.trying(FIDO2_PIN, 3)
    assert budget.spent("pin_tries") == 5, "what the key's own counter says is believed"


@pytest.mark.parametrize(("granted", "offered"), [(0, False), (1, True)])
def test_what_nothing_gives_back_is_not_offered_until_it_is_granted(own_state, granted, offered):
    from harness.bench.registry import discover
    from harness.safety.budgeted_key import with_budget

    name = "fido2.config.min_pin"
    key = discover().keys["fido2"]
    assert key.operations[name].cost.irreversible == {"one_way_settings": 1}
    with Ledger() as ledger:
        budget = Budget(ledger, "uuid:1", "hardware", "rig", Grants(one_way_settings=granted))
        cost = key.operations[name].cost
        assert (budget.refused(cost) is None) == offered
        priced = with_budget(key, budget).operations[name]
        if not offered:
            assert "one_way_settings, of which 0 of 0 are left" in priced.missing(None)
            with pytest.raises(BudgetExhausted, match="one_way_settings"):
                priced.act(None, None)
            return
        budget.before(cost, name)
        assert "0 of 1 are left" in priced.missing(None), "once is what was granted"


BLOCKING = {
    "fido2": {"fido2.client_pin.block", "fido2.client_pin.blocked"},
    "openpgp": {"openpgp.reset_pw1.code", "openpgp.reset_pw1.admin"},
    "nitrokey-pro": {"openpgp.reset_pw1.code", "openpgp.reset_pw1.admin", "pro.unblock"},
    "nitrokey-hsm2": {
        "schsm.verify.block",
        "schsm.verify.blocked",
        "schsm.reset_retry",
        "schsm.reset_retry.forbidden",
        "schsm.firmware_update.forced",
    },
}


@pytest.mark.parametrize("name", BLOCKING)
def test_what_blocks_a_pin_of_a_real_key_is_not_offered_whatever_is_granted(own_state, name):
    from harness.bench.registry import discover
    from harness.safety.budgeted_key import with_budget

    key = discover().keys[name]
    tries = {"SO-PIN": 15, "reset code": 3, "PUK": 3}
    grants = Grants(tries=tries, one_way_settings=9, forced_updates=5)
    with Ledger() as ledger:
        real = Budget(ledger, "uuid:1", "hardware", "mine", grants)
        refused = {op.name: why for op in key.operations.values() if (why := real.refused(op.cost))}
        assert set(refused) == BLOCKING[name]
        assert all("pin_tries_kept under [rig.budget] of rig mine" in why for why in refused.values())
        one = next(iter(refused))
        assert with_budget(key, real).operations[one].missing(None) == refused[one]
        assert real.spent("pin_tries") == 0
        twin = Budget(ledger, "twin:1", "twin", "mine", grants)
        assert not [op.name for op in key.operations.values() if twin.refused(op.cost)]


def test_a_pin_with_three_tries_can_be_tried_twice_and_none_is_made_up(budget):
    tries = PinTries(budget)
    tries.trying(PW1, 3)
    tries.trying(PW1, 2)
    with pytest.raises(BudgetExhausted, match="1 PIN tries left"):
        tries.trying(PW1, 1)
    assert (budget.spent("pin_tries PW1"), budget.spent("pin_tries")) == (2, 0)


@pytest.mark.parametrize(("full", "kept"), [(1, 1), (3, 1), (8, 3), (15, 5)])
def test_how_many_tries_are_kept(full, kept):
    assert PinReference("x", full).kept == kept
    assert Grants(pin_tries_kept=2).kept(PinReference("x", full)) == 2


@pytest.mark.parametrize("reference", [SO_PIN, PUK])
def test_a_pin_that_unblocks_others_is_not_tried_unless_that_is_granted(budget, reference):
    with pytest.raises(BudgetExhausted, match=reference.tries.split()[0]):
        PinTries(budget).trying(reference, reference.full)
    cost = Cost(pins={reference: 1})
    assert "not granted" in budget.refused(cost)
    with pytest.raises(BudgetExhausted):
        budget.before(cost, "unblock")
    budget.grants = Grants(tries={reference.name: 1})
    assert budget.refused(cost) is None
    budget.before(cost, "unblock")
    PinTries(budget).trying(reference, reference.full)
    with pytest.raises(BudgetExhausted):
        PinTries(budget).trying(reference, reference.full - 1)


def test_each_pin_has_a_budget_of_its_own(budget):
    budget.before(Cost(pins={PW1: 2, FIDO2_PIN: 3}), "both")
    assert (budget.spent("pin_tries PW1"), budget.spent("pin_tries")) == (2, 3)
    assert budget.of(Cost(pins={PW1: 1})) == {"pin_tries PW1": 1, "erases": 1}
    with pytest.raises(BudgetExhausted, match="pin_tries PW1"):
        budget.before(Cost(pins={PW1: 11}), "many")
