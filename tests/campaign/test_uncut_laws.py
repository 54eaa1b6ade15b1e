"""Laws of an operation that nobody cuts: silence and wear, by themselves and in a campaign."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import CallerError
from harness.bench.registry import discover
from harness.campaign.uncut_laws import Written, longest_silence, silence_breach, wear_breach
from harness.campaign.wear_baseline import as_text, key_of, load
from harness.commands.wear import measure
from harness.model.outcome import Severity
from harness.model.tap import Mark
from harness.twin.flash_layers import Safe
from harness.twin.model import TwinOptions
from support.nitrokey import found, walked


def marks(*pairs):
    return [Mark(name, at_us) for name, at_us in pairs]


@given(st.lists(st.integers(1, 500_000), min_size=1, max_size=20))
def test_the_longest_gap_of_a_pending_request_is_found_and_no_time_between_requests(gaps):
    at_us, seen = 0, []
    for number, gap in enumerate(gaps):
        # A second passes between two requests.
        seen += marks((f"request-sent-{number}", at_us), (f"response-{number}", at_us + gap))
        at_us += gap + 1_000_000
    assert longest_silence(seen)[0] == max(gaps)


def test_a_keepalive_breaks_the_silence():
    seen = marks(("request-sent", 0), ("keepalive", 90_000), ("keepalive-2", 180_000), ("response", 290_000))
    assert longest_silence(seen) == (110_000, "response")
    assert silence_breach(seen, 100_000, 85_000, Severity.S2) is None
    breach = silence_breach(seen, 100_000, 5_000, Severity.S3)
    assert breach is not None
    assert breach.severity is Severity.S3
    assert "silent for 110 ms before response" in breach.text


@pytest.mark.parametrize(
    ("base", "now", "severity"),
    [
        ((4, 16_000), (4, 16_000), None),
        ((4, 16_000), (6, 31_000), None),
        ((4, 16_000), (9, 16_000), Severity.S3),
        ((4, 16_000), (4, 33_000), Severity.S3),
        ((4, 16_000), (40, 16_000), Severity.S2),
        ((0, 64), (0, 640), None),
        ((0, 0), (1, 3_852), Severity.S2),
        ((0, 0), (1, 0), Severity.S2),
        ((0, 0), (0, 4), Severity.S2),
        ((0, 0), (0, 0), None),
    ],
)
def test_twice_the_baseline_is_reported_and_ten_times_fails(base, now, severity):
    breach = wear_breach(Written(*now), Written(*base))
    assert (breach.severity if breach else None) == severity


@pytest.mark.parametrize(
    ("defect", "what"),
    [("silent-while-writing", ("device", "stuck")), ("state-written-often", ("flash wear", "lost"))],
)
def test_a_campaign_finds_it_in_the_uncut_run(defect, what):
    result = walked("fido2.client_pin.change", defect, cuts=4)
    assert what in found(result)
    assert all(":uncut:" in one.first for one in result.findings)
    assert not walked("fido2.client_pin.change", cuts=4).findings


@pytest.mark.parametrize(
    ("operation", "personality", "seed"),
    [("admin.worn_page", "reference-1.7", 23), ("admin.worn_pages", "reference", 10)],
)
def test_what_a_sound_key_writes_because_pages_fail_is_compared_with_no_baseline(
    operation, personality, seed
):
    """On these seeds it moves blocks of its file system off failing pages: 60 erases where other seeds need 3 and 8."""
    assert not walked(operation, cuts=2, personality=personality, seed=seed).findings


def test_one_erase_at_each_boot_is_found(monkeypatch):
    """A boot of a key that was switched off cleanly writes nothing; 10,000 of them are a page's life."""
    on_power_up = Safe.on_power_up

    def erasing(self):
        done = on_power_up(self)
        return done and (not self.records() or self.flash.erase(1 - self.newest(self.records())))

    monkeypatch.setattr(Safe, "on_power_up", erasing)
    result = walked("admin.power_up", cuts=2)
    assert ("flash wear", "lost") in found(result)
    assert {one.severity for one in result.findings} == {Severity.S2}


@pytest.mark.parametrize(
    "name",
    ["nitrokey3-mini", "nitrokey-hsm2", "openpgp", pytest.param("nitrokey-pro", marks=pytest.mark.long)],
)
def test_the_baseline_is_of_this_firmware(name):
    """Otherwise a change of the twin hides in it: `keyharness wear KEY --write` makes it anew."""
    plugins = discover()
    key, twin = plugins.keys[name], plugins.twins[name]
    options = TwinOptions(personality=twin.sound[0])
    known = load(key.wear_baseline)[key_of(twin, options, twin.personalities[twin.sound[0]])]
    assert measure(plugins, name, options, 1) == known


def test_a_baseline_reads_as_it_was_written_and_a_damaged_one_is_named(tmp_path):
    file = tmp_path / "baseline.json"
    known = {"a v1 safe": {"x.y": Written(1, 2), "x.z": Written(3, 4)}, "b v2 plain": {"x.y": Written(0, 0)}}
    file.write_text(as_text(known))
    assert json.loads(file.read_text())["schema"] == 1
    assert load(file) == known
    assert load(tmp_path / "none.json") == {}
    other = tmp_path / "other.json"
    other.write_text('{"schema": 1, "firmware": {"a": {"x.y": 3}}}')
    with pytest.raises(CallerError, match=r"keyharness wear --write"):
        load(other)


def test_the_command_shows_what_is_written_beside_the_baseline(cli):
    done = cli("wear", "nitrokey-hsm2", "--personality", "reference")
    assert done.returncode == 0, done.stderr
    assert "schsm.verify " in done.stdout
    assert "not in the file" not in done.stdout
    unknown = cli("wear", "nitrokey")
    assert unknown.returncode == 4
    assert "nitrokey3-mini" in unknown.stderr
