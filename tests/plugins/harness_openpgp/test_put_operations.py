"""Each data object that can be put is put and cut; what a firmware forgets on the way is a finding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.campaign.home import Home, go_home, go_to_home
from harness.campaign.paired_writes import drifts
from harness.campaign.walk import Campaign
from harness.model.outcome import Outcome
from harness_openpgp.twin import data
from harness_openpgp.twin.state import STATE, Card
from support.openpgp import openpgp_card
from support.terms import terms

SMALL = ("name", "language", "sex", "authority", "fingerprint", "date")
"""What the one record of everything small holds."""
FILES = ("url", "private_1", "private_2", "private_3", "private_4", "aes_key")


@pytest.fixture(scope="module")
def fresh():
    rig = openpgp_card()
    return rig, go_home(rig)


def findings(rig, home, operation, cuts=None):
    result = Campaign(rig, rig.key.operations[f"openpgp.put_{operation}"], home, terms(cuts)).run()
    return {(found.item, found.outcome) for found in result.findings}


@pytest.mark.parametrize("operation", SMALL)
def test_a_record_that_is_written_in_place_loses_everything_small(monkeypatch, fresh, operation):
    def in_place(card, state):
        card.files.write_in_place(STATE, state.sealed())
        card.read_anew()

    monkeypatch.setattr(Card, "save", in_place)
    assert ("openpgp.state", Outcome.LOST) in findings(*fresh, operation, 12)


@pytest.mark.parametrize("operation", FILES)
def test_a_file_that_is_removed_before_it_is_written_is_torn(monkeypatch, fresh, operation):
    def in_two(card, files, *, pieces=""):
        if len(files) == 1 and STATE not in files:
            card.in_pieces(dict.fromkeys(files))
        commit(card, files, pieces=pieces)

    commit = Card.commit
    monkeypatch.setattr(Card, "commit", in_two)
    item = "openpgp.data" if operation in ("url", "private_2") else "openpgp.object"
    assert (item, Outcome.TORN) in findings(*fresh, operation, 12)


def test_a_copy_of_the_boot_that_is_written_back_is_found_after_other_writes(monkeypatch):
    """The language is written with all else as it was when it was first written in this boot."""
    copies = {}
    put = data._put_small

    def with_old_copy(card, tag, content):
        copy = copies.setdefault(id(card), card.state)
        if tag == 0x5F2D:
            card.save(replace(copy, language=content))
        else:
            put(card, tag, content)

    rig = openpgp_card()
    home = go_to_home(rig, go_home(rig), "same-boot")
    assert isinstance(home, Home)
    monkeypatch.setattr(data, "_put_small", with_old_copy)
    assert "openpgp.data" in {item for item, _ in findings(rig, home, "language", 4)}


def test_a_certificate_that_leaves_a_file_each_time_is_found_by_its_slope(monkeypatch, fresh):
    put = data._put_file

    def leaving(card, tag, content):
        if tag == data.CERTIFICATE:
            card.files.write(f"old-{len(card.files.names())}", content)
        put(card, tag, content)

    monkeypatch.setattr(data, "_put_file", leaving)
    assert {drift.pair for drift in drifts(*fresh, 160) if drift.text} == {"openpgp.certificate"}


def test_a_sound_card_gives_all_room_back(fresh):
    found = drifts(*fresh, 100)
    assert len(found) == 5
    assert [drift.text for drift in found if drift.text] == []
