"""The requirements that came last: a key that keeps them passes, and one that breaks them fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fido2 import cbor

from support.trial_key import TrialKey, changed_members, info, options, other_code

MAKE, GET, PIN, RESET, SELECT, BIO, MANAGE, CONFIG = 1, 2, 6, 7, 0x0B, 0x09, 0x0A, 0x0D
UV_RETRIES, UV_TOKEN = 7, 6
Before = Callable[[bytes], bytes | None]


def members(request: bytes) -> dict[int, Any]:
    return dict(cbor.decode(request[1:])) if len(request) > 1 else {}


def when(asked: Callable[[int, dict[int, Any]], object], answer: bytes) -> Before:
    return lambda request: answer if asked(request[0], members(request)) else None


def first(*befores: Before) -> Before:
    return lambda request: next((found for one in befores if (found := one(request)) is not None), None)


def built_in_uv(counts: bool = True, blocks: bool = True) -> dict[str, Any]:
    """A key with three tries of a finger that is enrolled, and not the rig's."""
    left = [3]

    def before(request: bytes) -> bytes | None:
        found = members(request) if request[0] == PIN else {}
        subcommand = found.get(2)
        if subcommand == UV_RETRIES:
            return b"\0" + cbor.encode({5: left[0]})
        if subcommand == UV_TOKEN:
            if not left[0]:
                return b"\x3c" if blocks else b"\x3f"
            left[0] -= counts
            return b"\x3f"
        if subcommand == 9:
            left[0] = 3
        return None

    return {"changes": (options(uv=True, bioEnroll=True),), "before": before}


def persistent(deletes: int = 0x33, lives_for_ever: bool = False) -> dict[str, Any]:
    """pcmr on top of the twin's cm: `deletes` is the status of a change by such a token."""
    given: list[bool] = []

    def rewrite(request: bytes) -> bytes:
        found = members(request) if request[0] == PIN else {}
        if found.get(9) == 0x40:
            given.append(True)
            return request[:1] + cbor.encode({**found, 9: 4})
        return request

    def before(request: bytes) -> bytes | None:
        if request[0] != MANAGE or not given:
            return None
        subcommand = members(request)[1]
        if subcommand in (6, 7) and deletes:
            return bytes((deletes,))
        return b"\0" + cbor.encode({1: 0, 2: 9}) if lives_for_ever else None

    return {"changes": (options(perCredMgmtRO=True),), "rewrite": rewrite, "before": before}


def enterprise(attests: bool = False) -> dict[str, Any]:
    """Enterprise attestation that is switched on by 0x01, and given to any RP if `attests`."""
    on: list[bool] = []

    def before(request: bytes) -> bytes | None:
        found = members(request) if request[0] == CONFIG else {}
        if found.get(1) != 1:
            return None
        if 4 not in found:
            return b"\x36"
        on.append(True)
        return b"\0"

    def rewrite(request: bytes) -> bytes:
        if request[0] != MAKE:
            return request
        return request[:1] + cbor.encode({n: value for n, value in members(request).items() if n != 0x0A})

    def edit(asked: dict[int, Any], made: dict[int, Any]) -> None:
        if asked.get(0x0A) and attests:
            made[4] = True

    def of_info(found: dict[int, Any]) -> None:
        found[4] = {**found[4], "ep": bool(on)}

    return {"changes": (info(of_info), changed_members(MAKE, edit)), "before": before, "rewrite": rewrite}


def vendor_commands(status: int) -> dict[str, Any]:
    return {
        "changes": (info(lambda found: found.__setitem__(0x15, [1])),),
        "before": when(lambda c, m: c == CONFIG and m.get(1) == 0xFF, bytes((status,))),
    }


def reset_over(transport: str, done: bool) -> dict[str, Any]:
    kept = {} if done else {"before": when(lambda c, m: c == RESET, b"\x30")}
    return {"changes": (info(lambda found: found.__setitem__(0x1A, [transport])),), **kept}


def long_touch(done: bool) -> dict[str, Any]:
    kept = {} if done else {"before": when(lambda c, m: c == RESET, b"\x2f")}
    return {"changes": (info(lambda found: found.__setitem__(0x18, True)),), **kept}


Row = tuple[dict[str, Any], str, dict[str, Any], str]
NEXT = "test_get_assertion::test_there_is_no_next_assertion_after_what_ends_the_token_of_the_first"
LISTING = "test_credential_management::test_a_listing_ends_with_what_ends_its_token"
UNAUTHORISED = "test_config::test_where_a_pin_is_set_nothing_is_changed_without_a_token"
UNLISTED = "test_config::test_an_rp_that_the_vendor_did_not_list_gets_an_ordinary_attestation"
HASH_SIZE = "test_a_client_data_hash_of_another_length_is_refused"
GONE = "test_discoverable::test_a_credential_that_is_gone_"


def goes_on() -> dict[str, Any]:
    """getNextAssertion and the like are answered whatever came before."""

    def change(request: bytes, response: bytes) -> bytes | None:
        return b"\0" + cbor.encode({}) if request[0] in (8, MANAGE) and response == b"\x30" else None

    return {"changes": (change,)}


ROWS: dict[str, Row] = {
    "uv tries": (
        built_in_uv(),
        "test_builtin_uv::test_the_tries_of_built_in_verification_are_told_and_cost_nothing",
        {},
        "passed",
    ),
    "uv is blocked": (
        built_in_uv(),
        "test_builtin_uv::test_a_stranger_is_counted_down_and_blocked_and_the_pin_helps",
        {},
        "passed",
    ),
    "uv is never blocked": (
        built_in_uv(blocks=False),
        "test_builtin_uv::test_a_stranger_is_counted_down_and_blocked_and_the_pin_helps",
        {},
        "failed",
    ),
    "no uv": (
        {},
        "test_builtin_uv::test_a_stranger_is_counted_down_and_blocked_and_the_pin_helps",
        {},
        "not offered",
    ),
    "enrolments": (
        {"changes": (options(bioEnroll=False),), "before": when(lambda c, m: c == BIO, b"\x36")},
        "test_builtin_uv::test_enrolments_are_not_listed_without_a_token",
        {},
        "passed",
    ),
    "enrolments for anybody": (
        {"changes": (options(bioEnroll=False),), "before": when(lambda c, m: c == BIO, b"\x2c")},
        "test_builtin_uv::test_enrolments_are_not_listed_without_a_token",
        {},
        "failed",
    ),
    "enrolments for another permission": (
        {"changes": (options(bioEnroll=False),), "before": when(lambda c, m: c == BIO, b"\x2c")},
        "test_builtin_uv::test_enrolments_are_not_listed_with_a_token_for_something_else",
        {},
        "failed",
    ),
    "pcmr lists": (
        persistent(),
        "test_persistent_token::test_a_persistent_token_lists_credentials",
        {},
        "passed",
    ),
    "pcmr changes nothing": (
        persistent(),
        "test_persistent_token::test_a_persistent_token_changes_no_credential",
        {"subcommand": 6},
        "passed",
    ),
    "pcmr deletes": (
        persistent(deletes=0),
        "test_persistent_token::test_a_persistent_token_changes_no_credential",
        {"subcommand": 6},
        "failed",
    ),
    "pcmr lives on": (
        persistent(lives_for_ever=True),
        "test_persistent_token::test_a_persistent_token_outlives_power_cycles",
        {},
        "passed",
    ),
    "pcmr dies with the power": (
        persistent(),
        "test_persistent_token::test_a_persistent_token_outlives_power_cycles",
        {},
        "failed",
    ),
    "pcmr dies with the PIN": (
        persistent(),
        "test_persistent_token::test_a_persistent_token_dies_when_the_pin_is_changed",
        {},
        "passed",
    ),
    "pcmr outlives the PIN": (
        persistent(lives_for_ever=True),
        "test_persistent_token::test_a_persistent_token_dies_when_the_pin_is_changed",
        {},
        "failed",
    ),
    "pcmr dies with a reset": (
        persistent(),
        "test_persistent_token::test_a_persistent_token_dies_with_a_reset",
        {},
        "passed",
    ),
    "pcmr outlives a reset": (
        persistent(lives_for_ever=True),
        "test_persistent_token::test_a_persistent_token_dies_with_a_reset",
        {},
        "failed",
    ),
    "pcmr and an ordinary token": (
        persistent(),
        "test_persistent_token::test_an_ordinary_token_leaves_the_persistent_one",
        {},
        "failed",
    ),
    "ep without a token": (enterprise(), UNAUTHORISED, {"name": "enableEnterpriseAttestation"}, "passed"),
    "ep for anybody": (
        {**enterprise(), "before": when(lambda c, m: c == CONFIG and m.get(1) == 1, b"\0")},
        UNAUTHORISED,
        {"name": "enableEnterpriseAttestation"},
        "failed",
    ),
    "vendor commands": (vendor_commands(0x36), UNAUTHORISED, {"name": "vendorPrototype"}, "passed"),
    "vendor commands for anybody": (vendor_commands(0), UNAUTHORISED, {"name": "vendorPrototype"}, "failed"),
    "an unlisted RP": (enterprise(), UNLISTED, {}, "passed"),
    "an unlisted RP, attested": (enterprise(attests=True), UNLISTED, {}, "failed"),
    **{
        f"next after {what}": ({}, NEXT, {"what": what}, "passed")
        for what in ("a-changed-pin", "a-new-token", "a-reset")
    },
    "next after anything": (goes_on(), NEXT, {"what": "a-new-token"}, "failed"),
    **{
        f"listing after {what}": ({}, LISTING, {"what": what, "listing": "RP"}, "passed")
        for what in ("a-changed-pin", "a-new-token", "a-reset")
    },
    "listing after anything": (goes_on(), LISTING, {"what": "a-reset", "listing": "credential"}, "failed"),
    "a short touch": (
        long_touch(done=False),
        "test_reset::test_a_short_touch_does_not_reset_a_key_that_wants_a_long_one",
        {},
        "passed",
    ),
    "a short touch that resets": (
        long_touch(done=True),
        "test_reset::test_a_short_touch_does_not_reset_a_key_that_wants_a_long_one",
        {},
        "failed",
    ),
    "a reset over NFC": (
        reset_over("nfc", done=False),
        "test_reset::test_a_key_is_not_reset_over_a_transport_that_it_does_not_name",
        {},
        "passed",
    ),
    "a reset over USB": (
        reset_over("nfc", done=True),
        "test_reset::test_a_key_is_not_reset_over_a_transport_that_it_does_not_name",
        {},
        "failed",
    ),
    "a handle under alwaysUv": (
        {},
        "test_config::test_with_alwaysuv_a_handle_of_u2f_makes_no_assertion_without_a_token",
        {},
        "passed",
    ),
    "a handle under alwaysUv, served": (
        {"changes": (other_code(0x36, 0x2E, GET),)},
        "test_config::test_with_alwaysuv_a_handle_of_u2f_makes_no_assertion_without_a_token",
        {},
        "failed",
    ),
    "hash in makeCredential": ({}, f"test_make_credential::{HASH_SIZE}", {"size": 31}, "passed"),
    "hash in getAssertion": ({}, f"test_get_assertion::{HASH_SIZE}", {"size": 64}, "passed"),
    "any hash": (
        {"changes": (other_code(0x02, 0, MAKE),)},
        f"test_make_credential::{HASH_SIZE}",
        {"size": 0},
        "failed",
    ),
    "another code for a hash": (
        {"changes": (other_code(0x02, 0x7F, MAKE),)},
        f"test_make_credential::{HASH_SIZE}",
        {"size": 0},
        "deviation",
    ),
    "selection": ({}, "test_selection::test_a_selection_asks_for_a_touch", {}, "passed"),
    "selection without a touch": (
        {"before": when(lambda c, m: c == SELECT, b"\0")},
        "test_selection::test_a_selection_that_is_not_touched_times_out",
        {},
        "failed",
    ),
    "selection cancelled": (
        {},
        "test_selection::test_a_selection_that_is_cancelled_ends_and_can_be_made_again",
        {},
        "passed",
    ),
    "selection serves itself": (
        {},
        "test_selection::test_the_touch_of_a_selection_serves_no_other_request",
        {"following": "getAssertion"},
        "passed",
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_case_is_right_about_a_key(monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    of_key, case, parameters, expected = row
    of_key = dict(of_key)
    key = TrialKey(monkeypatch, *of_key.pop("changes", ()), **of_key)
    assert key.asked(case, **parameters) == expected, key.said


@pytest.mark.parametrize("case", ["excludes_nothing", "signs_nothing_through_u2f"])
@pytest.mark.parametrize("how", ["_replaced", "_deleted"])
def test_a_credential_that_is_gone_is_gone_everywhere(
    monkeypatch: pytest.MonkeyPatch, case: str, how: str
) -> None:
    from harness_suites.conformance import test_discoverable

    makes_gone = getattr(test_discoverable, how)
    assert TrialKey(monkeypatch).asked(GONE + case, how=makes_gone) == "passed"
    # A key that still knows it: nothing was deleted, or the old one stays beside the new one.
    keeps = TrialKey(monkeypatch)
    assert (
        keeps.asked(GONE + case, how=lambda authenticator: authenticator.make(options={"rk": True}))
        == "failed"
    )
