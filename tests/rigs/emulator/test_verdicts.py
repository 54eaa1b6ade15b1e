"""Each way in which an emulator can fail has a verdict of its own, and a sound one passes."""

from __future__ import annotations

import re
import shlex

import pytest

from benchmarks.emulator import summarize, table
from harness.base.errors import KeyFault, RigError
from harness.campaign.home import go_home, missing_of, restart_breaches
from harness.campaign.restart import FORGETFUL
from harness.campaign.unwritten import CUTS
from harness.model.outcome import Outcome
from support.emulator.emulated import cut, tiny

REGISTER = "fido2.make_credential.non_resident"
RESIDENT = "fido2.make_credential.resident"
OVER = "fido2.make_credential.over"


@pytest.fixture
def rigs():
    made = []
    yield made
    for rig in made:
        rig.close()


@pytest.fixture
def start(rigs):
    def make(*arguments, **options):
        rigs.append(tiny(*arguments, **options))
        return rigs[-1]

    return make


@pytest.mark.parametrize(
    ("transport", "name"),
    [
        ("ctaphid-udp", RESIDENT),
        ("ctaphid-tcp", "fido2.get_assertion"),
        pytest.param("ctaphid-tcp", RESIDENT, marks=pytest.mark.long),
        pytest.param("ctaphid-udp", "fido2.get_assertion", marks=pytest.mark.long),
    ],
)
def test_a_sound_one_passes(start, transport, name):
    result, _ = cut(start(transport=transport), name, 4)
    assert result.complete
    assert result.findings == []
    assert {row["death"] for row in result.rows} == {None}
    assert {row["outcome"] for row in result.rows} <= {"old", "new", "missed"}
    assert result.bound["confidence"] == 0.95
    assert sum(of for _, of in result.missed.values()) == len(result.rows) == 5
    for row in result.rows[1:]:
        assert row["planned"].keys() == {"marker", "offset_us"}
        assert row["lost_us"] >= row["fired_us"] >= 0
        assert row["boots"] >= 1 or row["outcome"] == "missed"
    for part in ("cut_ms", "own_ms"):
        assert 0 < result.timing[part]["p50"] <= result.timing[part]["p99"]
    assert result.timing["own_ms"]["p50"] < result.timing["cut_ms"]["p50"]
    assert len(table(summarize(4, result.timing))) == 5


def test_it_works_without_discoverable_credentials(start):
    rig = start("", "--no-rk")
    home = go_home(rig)
    missing = missing_of(rig, home, list(rig.key.operations.values()))
    assert {name for name, why in missing.items() if why is None} == {
        REGISTER,
        "fido2.get_assertion",
        "fido2.reset",
        "fido2.reset.register",
    }
    assert missing[RESIDENT] == "getInfo does not list the option rk"


@pytest.mark.parametrize(
    ("fault", "word"),
    [("exit", "exited by itself with code 7"), ("crash", "crashed: SIGSEGV"), ("hang", "hung: no answer")],
)
def test_what_fails_without_a_cut_is_a_fault_of_the_key(start, fault, word):
    with pytest.raises(KeyFault, match="nobody cut") as fault_of_key:
        cut(start(fault, answer_s=0.5), REGISTER, 1)
    assert word in str(fault_of_key.value)


@pytest.mark.parametrize(
    ("fault", "death"),
    [("later-crash", "crashed: SIGSEGV"), ("later-exit", "exited by itself with code 7")],
)
def test_a_death_before_the_cut_is_told_from_the_cut(start, tmp_path, fault, death):
    result, _ = cut(start(fault, "--note", tmp_path / "note"), REGISTER, 4)
    crashed = [row for row in result.rows if row["death"]]
    assert {row["death"] for row in crashed} == {death}
    assert {(row["landed"], row["outcome"], row["blame"]) for row in crashed} == {(False, "old", "key")}
    assert [(f.item, f.outcome, f.severity) for f in result.findings] == [("device", Outcome.STUCK, "S2")]


@pytest.mark.parametrize(
    ("fault", "outcome", "item", "death"),
    [
        ("exit-when-dirty", "stuck", "device", "does not come back: it exited by itself with code 3"),
        ("hang-when-dirty", "stuck", "device", "hung: no answer within 0.5 s"),
        ("forget-when-dirty", "lost", "fido2.non_resident_credential", None),
        ("garbage-when-dirty", "lost", "fido2.non_resident_credential", None),
        ("count-back-when-dirty", "rolled-back", "fido2.sign_count", None),
    ],
)
def test_what_a_cut_leads_to(start, fault, outcome, item, death):
    result, _ = cut(start(fault, answer_s=0.5), REGISTER, 5)
    hit = [row for row in result.rows if row["outcome"] == outcome]
    assert hit
    assert all(row["death"] is None if death is None else row["death"].startswith(death) for row in hit)
    assert all(row["fired_us"] is not None and row["landed"] for row in hit)
    assert item in [finding.item for finding in result.findings]
    assert result.bound["below"] > 0.5, "what violates does not make the bound go away"


def test_an_answer_without_an_end_is_no_hang_and_ends_no_campaign(start):
    # In datagrams the host would drop what is too much.
    result, _ = cut(start("flood-when-dirty", transport="ctaphid-tcp", answer_s=5), REGISTER, 4)
    hit = [row for row in result.rows if row["outcome"] == "stuck"]
    assert hit
    assert {row["death"] for row in hit} == {None}
    (finding,) = result.findings
    assert (finding.item, finding.severity) == ("fido2.resident_credentials", "S2")
    assert "garbled transfer" in finding.text
    assert "no end after 4096 packets" in finding.text


@pytest.mark.parametrize(
    ("fault", "name", "outcome", "text"),
    [
        ("lazy", RESIDENT, "lost", "the key had acknowledged the operation"),
        ("lazy-reset", "fido2.reset", "rolled-back", "the key had acknowledged the operation"),
        ("both", OVER, "torn", 'is "first and second"'),
        ("neither", OVER, "torn", 'is "neither"'),
    ],
)
def test_acknowledged_and_gone_resurrected_both_and_neither(start, fault, name, outcome, text):
    result, _ = cut(start(fault), name, 4)
    assert outcome in result.outcomes
    assert any(text in finding.text for finding in result.findings if finding.outcome == outcome)


def test_what_is_acknowledged_before_it_is_written_is_told_from_what_a_clean_restart_loses(start):
    result, _ = cut(start("soon", settle_s=1), RESIDENT, 1)
    assert result.rows[0]["outcome"] == "new", "a clean restart loses nothing"
    (finding,) = [one for one in result.findings if one.outcome is Outcome.LOST]
    assert finding.text.startswith("acknowledged before it was written: the key had acknowledged")
    lost_ms, kept_ms = (float(text) for text in re.findall(r"([0-9.]+) ms after the answer", finding.text))
    # Each cut of the search halves the settle time of a second. On a busy host many of them say nothing.
    assert lost_ms < kept_ms <= lost_ms + 1000 / 2, "the window is measured"
    assert kept_ms > 100

    result, _ = cut(start("lazy"), RESIDENT, 1)
    assert result.rows[0]["outcome"] == "lost"
    assert "acknowledged before" not in str([finding.text for finding in result.findings])


@pytest.mark.long
def test_the_search_for_that_window_is_resumed_where_it_was(start):
    kept, made = [], []
    cut(start("soon", settle_s=1), RESIDENT, 0, on_judged=kept.extend)
    # On a busy host a cut may say nothing, and is made again.
    assert len(kept) >= CUTS + 2
    assert {one.row["stream"] for one in kept[1:]} == {"refine"}
    result, _ = cut(start("soon", settle_s=1), RESIDENT, 0, earlier=kept[:5], on_judged=made.extend)
    assert [row["id"] for row in result.rows[:5]] == [one.row["id"] for one in kept[:5]]
    judged = {one.row["id"] for one in kept[:5] if one.row["outcome"] in ("lost", "new")}
    assert judged
    assert not judged & {one.row["id"] for one in made}, "what was judged is not cut again"
    (finding,) = [one for one in result.findings if one.outcome is Outcome.LOST]
    assert finding.text.startswith("acknowledged before it was written: the key had acknowledged")
    lost_ms, kept_ms = (float(text) for text in re.findall(r"([0-9.]+) ms after the answer", finding.text))
    assert lost_ms < kept_ms <= lost_ms + 1000 / 2
    offsets = [row["planned"]["offset_us"] / 1000 for row in result.rows[1:]]
    assert min(offsets) <= lost_ms <= max(offsets), "its ends are cuts of both runs"


def test_a_counter_that_goes_back_over_a_clean_restart_is_named_once(start):
    """The campaigns go on without it, or nothing else could be found in such a firmware."""
    rig = start("unlucky-counter")
    home = go_home(rig)
    (breach,) = restart_breaches(rig, home)
    assert (breach.outcome, breach.severity) == (Outcome.ROLLED_BACK, "S1")
    assert "the signature counter went from" in breach.text
    watched = {item.name for item in home.watched(rig.key, rig.key.operations[REGISTER])}
    assert breach.item not in watched
    assert "fido2.non_resident_credential" in watched


def test_state_that_resets_at_every_start_is_detected_and_named(start):
    rig = start("volatile")
    assert not go_home(rig).lasting
    assert FORGETFUL in rig.info().transport
    with pytest.raises(RigError, match="resets at every start"):
        cut(rig, REGISTER, 1)


def test_state_that_is_kept_elsewhere_is_no_verdict_on_the_key(start, tmp_path):
    with pytest.raises(RigError, match="keeps its state elsewhere"):
        go_home(start("elsewhere", "--note", tmp_path))


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("never-ready", "was not ready within 1.5 s"),
        ("exit-at-start", "exited by itself with code 3 before it was ready"),
    ],
)
def test_what_never_starts_is_a_matter_of_the_rig(start, fault, word):
    with pytest.raises(RigError, match=word) as error:
        go_home(start(fault, "--note", "it's here; $HOME", ready_s=0.5, env={"A": "b c"}))
    by_hand = error.value.mend.partition("run it by hand: ")[2].partition("; if it only needs longer")[0]
    words = shlex.split(by_hand)
    assert words[:2] == ["env", "A=b c"]
    assert words[-2:] == ["--note", "it's here; $HOME"], "a shell reads it as it was"
    assert "larger `ready_s` (now 0.5; " in error.value.mend
    assert ("I do not feel well" in str(error.value)) == (fault == "exit-at-start")


def test_a_first_boot_that_took_too_long_leaves_no_half_made_key(start):
    """Nobody has cut anything: what the key refuses on files that its first boot had no time to make is no fault."""
    rig = start("half-made", ready_s=0.5)
    assert rig.firmware == "not told"
    assert list(rig.folder.path.iterdir()) == []
    with pytest.raises(RigError, match="never become ready"):
        go_home(rig)


def test_a_cut_is_repeated_from_its_label(start):
    rig = start("neither")
    result, campaign = cut(rig, OVER, 4)
    (finding,) = result.findings
    label = finding.first.split(":")[3]
    row, breaches = campaign.replay(label)
    assert row["id"] == finding.first
    assert row["outcome"] == "torn"
    assert breaches[0].item == "fido2.enrolment"
