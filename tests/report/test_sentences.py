"""A finding in one sentence: what was done, where it was cut, what the owner lost."""

from __future__ import annotations

import pytest

from harness.report.sentences import finding_sentence, marker_of, place_of

LOGIN = {"title": "log in", "operation": "fido2.get_assertion"}


@pytest.mark.parametrize(
    ("where", "place", "marker"),
    [
        ('53.0 ms after "keepalive 5" (flash op 19, torn)', '53.0 ms after "keepalive 5"', "keepalive-5"),
        ('3.2 ms after "request sent"; not at 1.0 ms', '3.2 ms after "request sent"', "request-sent"),
        ('between 1.0 and 2.5 ms after "x"; not', 'between 1.0 and 2.5 ms after "x"', "x"),
        ("0.3 ms after the start (flash op 1, before)", "0.3 ms after the start", None),
        ("", "", None),
    ],
)
def test_the_place(where, place, marker):
    for finding in ({"where": where}, {"narrowest": {"text": where}, "where": "other"} if where else {}):
        assert (place_of(finding), marker_of(finding)) == (place, marker)


@pytest.mark.parametrize(
    ("text", "outcome", "said"),
    [
        ('the AAGUID was "ec" and is "41"', "lost", "AAGUID lost"),
        ("the counter was raised from 3 to 8", "loosened", "counter weaker than before"),
        ("the counter went from 9 to 4", "rolled-back", "counter rolled back"),
        ("the PIN could not be read: timeout", "stuck", "PIN does not answer"),
        ("the list is old; it must be new", "torn", "list half old, half new"),
        ("the key had acknowledged the operation, and the list is still old", "lost", "list lost"),
        ('the key did not come back in 3 boots (rig "a")', "stuck", "the key did not come back in 3 boots"),
        ("something that nobody foresaw", "lost", "fido2.x lost"),
        (f"{'a long story ' * 20}was 1 and is 2", "lost", "fido2.x lost"),
    ],
)
def test_what_was_lost(text, outcome, said):
    assert finding_sentence({"item": "fido2.x", "text": text, "outcome": outcome}, LOGIN) == f"Log in: {said}"


def test_of_a_campaign_that_was_interrupted():
    said = finding_sentence({"outcome": "stuck"}, {"operation": "fido2.reset"})
    assert said == "fido2.reset: something does not answer"
