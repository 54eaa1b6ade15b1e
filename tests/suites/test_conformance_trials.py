"""Each case asks what the specification asks, no stricter: a key that is right passes, and one that is wrong fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from fido2 import cbor

from harness.api import HostLate
from support.trial_key import (
    Change,
    TrialKey,
    changed_members,
    info,
    options,
    other_code,
    versions,
)

MAKE, GET, GET_INFO, PIN, RESET, MANAGE, PREVIEW, CONFIG = 1, 2, 4, 6, 7, 0x0A, 0x41, 0x0D
WRONG_DATA, WRONG_LENGTH, NO_INS, NOT_ALLOWED = b"\x6a\x80", b"\x67\x00", b"\x6d\x00", b"\x69\x86"
FIDO_2_0 = versions("U2F_V2", "FIDO_2_0")


def members(request: bytes) -> dict[int, Any]:
    try:
        return dict(cbor.decode(request[1:])) if len(request) > 1 else {}
    except (ValueError, IndexError, KeyError, TypeError):
        return {}


def member(number: int, value: Any) -> Change:
    """Another value of a member of getInfo."""
    return info(lambda found: found.__setitem__(number, value))


def code(asked: Callable[[int, dict[int, Any]], object], status: int) -> Callable[[bytes], bytes | None]:
    """Answer requests that are `asked` for with a status, in place of the twin."""
    return lambda request: bytes((status,)) if asked(request[0], members(request)) else None


def key_of_2_0(*more: Change) -> dict[str, Any]:
    return {"changes": (FIDO_2_0, options(pinUvAuthToken=None), *more)}


def delivered_with_always_uv() -> dict[str, Any]:
    """On as delivered, and it cannot be switched off."""
    return {
        "changes": (options(alwaysUv=True, makeCredUvNotRqd=None),),
        "before": lambda request: (
            b"\x36"
            if request[0] in (MAKE, GET)
            and not {6, 8} & set(members(request)) - {6 if request[0] == MAKE else 0}
            else b"\x27"
            if request[0] == CONFIG
            else None
        ),
    }


def switched_on_for_ever() -> dict[str, Any]:
    on: list[bool] = []

    def before(request: bytes) -> bytes | None:
        if request[0] == RESET:
            on.clear()
        if request[0] == CONFIG and members(request).get(1) == 2:
            if on:
                return b"\x27"
            on.append(True)
        return None

    return {"before": before}


def blind_without_a_pin() -> dict[str, Any]:
    """Where no PIN is set, pinUvAuthParam is passed over (6.1.2 step 11)."""
    pin: list[bool] = []

    def rewrite(request: bytes) -> bytes:
        found = members(request)
        if request[0] == RESET:
            pin.clear()
        elif request[0] == PIN and found.get(2) == 3:
            pin.append(True)
        elif request[0] == MAKE and not pin:
            kept = {number: value for number, value in found.items() if number not in (8, 9)}
            return request[:1] + cbor.encode(kept)
        return request

    return {"rewrite": rewrite}


def full_after(count: int) -> dict[str, Any]:
    made: list[int] = []

    def before(request: bytes) -> bytes | None:
        if request[0] == MAKE and (members(request).get(7) or {}).get("rk"):
            made.append(1)
            return b"\x28" if len(made) > count else None
        return None

    return {"before": before}


def of_another_algorithm() -> dict[str, Any]:
    """A key of EC2 type under -48, which the client takes for ML-DSA."""

    def rewrite(request: bytes) -> bytes:
        found = members(request)
        if request[0] == MAKE and found.get(4) == [{"alg": -48, "type": "public-key"}]:
            return request[:1] + cbor.encode({**found, 4: [{"alg": -7, "type": "public-key"}]})
        return request

    def edit(asked: dict[int, Any], made: dict[int, Any]) -> None:
        if asked[4] == [{"alg": -48, "type": "public-key"}]:
            made[2] = made[2].replace(b"\xa5\x01\x02\x03\x26\x20\x01", b"\xa5\x01\x02\x03\x38\x2f\x20\x01")

    listed = [{"alg": -48, "type": "public-key"}]
    return {"changes": (member(0x0A, listed), changed_members(MAKE, edit)), "rewrite": rewrite}


def extension_ignored(name: str) -> dict[str, Any]:
    def rewrite(request: bytes) -> bytes:
        found = members(request)
        if request[0] == MAKE and name in (found.get(6) or {}) and found[6][name] is not True:
            left = {one: value for one, value in found[6].items() if one != name}
            return request[:1] + cbor.encode({**found, 6: left})
        return request

    return {"rewrite": rewrite}


def preview() -> dict[str, Any]:
    return {
        "changes": (options(credentialMgmtPreview=True),),
        "rewrite": lambda request: bytes((MANAGE,)) + request[1:] if request[0] == PREVIEW else request,
    }


def without_credential(asked: dict[int, Any], answer: dict[int, Any]) -> None:
    if len(asked.get(3) or ()) == 1:
        answer.pop(1)


def changed(**more: Any) -> dict[str, Any]:
    return more


def u2f(instruction: int, was: bytes, now: bytes) -> dict[str, Any]:
    return {"u2f": lambda request, answer: now if request[1] == instruction and answer == was else None}


def tries(change: Callable[[int], int]) -> dict[str, Any]:
    def edit(asked: dict[int, Any], answer: dict[int, Any]) -> None:
        if 3 in answer:
            answer[3] = change(answer[3])

    return {"changes": (changed_members(PIN, edit),)}


def only_protocol_two() -> dict[str, Any]:
    return {
        "changes": (member(6, [2]),),
        "before": code(lambda command, found: command == PIN and found.get(1) == 1, 0x02),
    }


def pin_changes(edit: Callable[[dict[int, Any]], object]) -> dict[str, Any]:
    return {"changes": (info(lambda found: edit(found) if found[4]["clientPin"] else None),)}


def of_codes(was: int, now: int, *commands: int) -> dict[str, Any]:
    return {"changes": (other_code(was, now, *commands),)}


Row = tuple[Mapping[str, Any], str, Mapping[str, Any], str]
ROWS: dict[str, Row] = {
    # Fixtures and gates
    "alwaysUv as delivered": (
        delivered_with_always_uv(),
        "test_basics::test_a_credential_is_made_and_attested",
        {},
        "not offered",
    ),
    "rk is false": (
        {
            "changes": (options(rk=False),),
            "before": code(lambda c, m: c == MAKE and (m.get(7) or {}).get("rk"), 0x2B),
        },
        "test_reset::test_a_reset_is_answered_with_nothing_but_success",
        {},
        "passed",
    ),
    "rk is false, and asked for": (
        {
            "changes": (options(rk=False),),
            "before": code(lambda c, m: c == MAKE and (m.get(7) or {}).get("rk"), 0x2B),
        },
        "test_get_assertion::test_the_response_names_the_credential",
        {"listed": False},
        "not offered",
    ),
    "credMgmt is false": (
        {"changes": (options(credMgmt=False),), "before": code(lambda c, m: c == MANAGE, 0x01)},
        "test_client_pin::test_managing_credentials_uses_up_nothing",
        {},
        "not offered",
    ),
    "no clientPin": (
        {"changes": (options(clientPin=None),), "before": code(lambda c, m: c == PIN, 0x01)},
        "test_basics::test_a_wrong_pin_costs_a_try_and_the_right_one_gives_it_back",
        {"protocol": 2},
        "not offered",
    ),
    "a minimum above the PIN": (
        {"changes": (member(0x0D, 40),), "before": code(lambda c, m: c == PIN and m.get(2) == 3, 0x37)},
        "test_basics::test_a_wrong_pin_costs_a_try_and_the_right_one_gives_it_back",
        {"protocol": 2},
        "not offered",
    ),
    "a minimum of 10": (
        {"changes": (member(0x0D, 10),)},
        "test_basics::test_a_wrong_pin_costs_a_try_and_the_right_one_gives_it_back",
        {"protocol": 2},
        "passed",
    ),
    "a long touch for a reset": (
        {"changes": (member(0x18, True),), "before": code(lambda c, m: c == RESET, 0x2F)},
        "test_basics::test_a_credential_is_made_and_attested",
        {},
        "not offered",
    ),
    "a long touch for a reset, and none is needed": (
        {"changes": (member(0x18, True),), "before": code(lambda c, m: c == RESET, 0x2F)},
        "test_get_info::test_every_member_is_of_its_type",
        {},
        "passed",
    ),
    "a reset over NFC only": (
        {"changes": (member(0x1A, ["nfc"]),), "before": code(lambda c, m: c == RESET, 0x30)},
        "test_ctaphid::test_the_protocol_version_is_2",
        {},
        "passed",
    ),
    "five tries": (
        tries(lambda left: max(left - 3, 0)),
        "test_client_pin::test_a_pin_that_was_set_is_in_force",
        {"version": 2},
        "passed",
    ),
    "nine tries": (
        tries(lambda left: left + 1),
        "test_client_pin::test_the_tries_are_told_without_naming_a_protocol",
        {},
        "failed",
    ),
    "no mc with a PIN": (
        {"changes": (options(noMcGaPermissionsWithClientPin=True),)},
        "test_make_credential::test_a_pin_is_verification",
        {"protocol": 2},
        "not offered",
    ),
    "tokens of CTAP 2.0": (
        key_of_2_0(),
        "test_client_pin::test_tokens_have_their_protocols_length_and_no_two_are_the_same",
        {"version": 2},
        "not offered",
    ),
    "only protocol two": (
        only_protocol_two(),
        "test_malformed::test_what_a_key_does_not_know_in_client_pin_is_ignored",
        {"surplus": {0x5A: 1}},
        "passed",
    ),
    "only protocol two, a member missing": (
        only_protocol_two(),
        "test_malformed::test_a_request_without_a_required_member_is_refused",
        {"row": (PIN, {1: 1, 2: 1}, 2)},
        "passed",
    ),
    # Versions
    "hmac-secret of 2.0": (
        key_of_2_0(other_code(0x02, 0xE0, GET)),
        "test_hmac_secret::test_salts_of_another_length_are_refused",
        {"number": 2, "size": 16},
        "passed",
    ),
    "hmac-secret of 2.1": (
        of_codes(0x02, 0xE0, GET),
        "test_hmac_secret::test_salts_of_another_length_are_refused",
        {"number": 2, "size": 16},
        "failed",
    ),
    "hmac-secret of 2.0, served": (
        key_of_2_0(other_code(0x33, 0x00, GET)),
        "test_hmac_secret::test_half_a_salt_auth_of_protocol_two_is_refused",
        {},
        "failed",
    ),
    "clientPIN of 2.0": (
        key_of_2_0(other_code(0x02, 0x33, PIN)),
        "test_client_pin::test_a_protocol_that_getinfo_does_not_list_is_refused",
        {"subcommand": 2, "number": 3},
        "passed",
    ),
    "clientPIN of 2.1": (
        of_codes(0x02, 0x33, PIN),
        "test_client_pin::test_a_protocol_that_getinfo_does_not_list_is_refused",
        {"subcommand": 2, "number": 3},
        "failed",
    ),
    "uv of 2.0": (
        key_of_2_0(other_code(0x2C, 0x2B, MAKE)),
        "test_get_info::test_built_in_verification_that_is_not_there_cannot_be_asked_for",
        {},
        "passed",
    ),
    "uv of 2.1": (
        of_codes(0x2C, 0x2B, MAKE),
        "test_get_info::test_built_in_verification_that_is_not_there_cannot_be_asked_for",
        {},
        "failed",
    ),
    "algorithms of 2.0": (
        key_of_2_0(),
        "test_make_credential::test_a_broken_element_is_an_error_wherever_it_stands",
        {"wrong": {"alg": -8}, "place": "alone"},
        "not offered",
    ),
    "reset of 2.0": (
        key_of_2_0(other_code(0x2F, 0x27, RESET)),
        "test_reset::test_without_a_touch_a_reset_times_out_and_forgets_nothing",
        {},
        "passed",
    ),
    "reset of 2.1": (
        of_codes(0x2F, 0x27, RESET),
        "test_reset::test_without_a_touch_a_reset_times_out_and_forgets_nothing",
        {},
        "failed",
    ),
    "2.3 implies 2.1": (
        {"changes": (versions("FIDO_2_3"), other_code(0x02, 0x33, PIN))},
        "test_client_pin::test_a_protocol_that_getinfo_does_not_list_is_refused",
        {"subcommand": 2, "number": 3},
        "failed",
    ),
    "a credential left out in 2.0": (
        key_of_2_0(changed_members(GET, without_credential)),
        "test_basics::test_an_assertion_verifies_under_the_public_key_of_its_credential",
        {},
        "passed",
    ),
    "a credential left out in 2.1": (
        {"changes": (changed_members(GET, without_credential),)},
        "test_basics::test_an_assertion_verifies_under_the_public_key_of_its_credential",
        {},
        "failed",
    ),
    "the preview of credMgmt": (
        preview(),
        "test_credential_management::test_the_preview_command_counts_and_lists",
        {},
        "passed",
    ),
    # Expectations
    "a token without a PIN is passed over": (
        blind_without_a_pin(),
        "test_reset::test_a_token_from_before_is_worth_nothing",
        {},
        "passed",
    ),
    "no list of RPs": (
        {"changes": (member(0x10, 0),)},
        "test_config::test_an_rp_on_the_list_is_told_the_minimum_pin_length",
        {},
        "not offered",
    ),
    "alwaysUv for ever, config": (
        switched_on_for_ever(),
        "test_config::test_alwaysuv_is_switched_on_and_off_again",
        {"version": 2},
        "not offered",
    ),
    "alwaysUv for ever, getInfo": (
        switched_on_for_ever(),
        "test_get_info::test_always_uv_shows_in_the_options_that_follow_from_it",
        {},
        "not offered",
    ),
    "alwaysUv for ever, U2F": (
        switched_on_for_ever(),
        "test_u2f::test_without_always_uv_u2f_is_back_and_its_handles_are_alive",
        {},
        "not offered",
    ),
    "makeCredUvNotRqd absent": (
        {"changes": (options(alwaysUv=True, makeCredUvNotRqd=None),)},
        "test_get_info::test_always_uv_and_credentials_without_verification_exclude_each_other",
        {},
        "passed",
    ),
    "makeCredUvNotRqd with alwaysUv": (
        {"changes": (options(alwaysUv=True, makeCredUvNotRqd=True),)},
        "test_get_info::test_always_uv_and_credentials_without_verification_exclude_each_other",
        {},
        "failed",
    ),
    "CTAP2 and U2F apart": (
        u2f(2, b"\x69\x85", WRONG_DATA),
        "test_u2f::test_a_credential_of_ctap2_signs_through_u2f",
        {},
        "not offered",
    ),
    "CTAP2 and U2F apart, counter": (
        u2f(2, b"\x69\x85", WRONG_DATA),
        "test_u2f::test_the_counter_rises_across_both_protocols",
        {},
        "not offered",
    ),
    "epAtt false": (
        {"changes": (changed_members(MAKE, lambda asked, made: made.__setitem__(4, False)),)},
        "test_make_credential::test_the_response_has_a_format_authenticator_data_and_a_statement_and_nothing_unasked",
        {},
        "passed",
    ),
    "epAtt true": (
        {"changes": (changed_members(MAKE, lambda asked, made: made.__setitem__(4, True)),)},
        "test_make_credential::test_the_response_has_a_format_authenticator_data_and_a_statement_and_nothing_unasked",
        {},
        "failed",
    ),
    "no attestation": (
        {"changes": (changed_members(MAKE, lambda asked, made: made.update({1: "none", 3: {}})),)},
        "test_basics::test_a_credential_is_made_and_attested",
        {},
        "passed",
    ),
    "an attestation that is not listed": (
        {"changes": (changed_members(MAKE, lambda asked, made: made.__setitem__(1, "apple")),)},
        "test_basics::test_a_credential_is_made_and_attested",
        {},
        "failed",
    ),
    "an algorithm that the client cannot check": (
        of_another_algorithm(),
        "test_make_credential::test_every_algorithm_of_get_info_makes_a_credential_that_asserts",
        {},
        "passed",
    ),
    "an algorithm that the client cannot check, getInfo": (
        of_another_algorithm(),
        "test_get_info::test_every_algorithm_that_is_listed_works",
        {},
        "passed",
    ),
    "no token without a PIN": (
        of_codes(0x35, 0x36, PIN),
        "test_reset::test_the_pin_is_gone_and_another_can_be_set",
        {},
        "passed",
    ),
    "U2F without a handle": (
        u2f(2, WRONG_LENGTH, WRONG_DATA),
        "test_u2f::test_an_authentication_without_a_handle_is_refused",
        {"size": 64},
        "passed",
    ),
    "U2F, a reserved control byte": (
        u2f(2, WRONG_DATA, NO_INS),
        "test_u2f::test_a_reserved_control_byte_signs_nothing",
        {"control": 0},
        "passed",
    ),
    "U2F, a reserved control byte served": (
        u2f(2, WRONG_DATA, b"\x90\x00"),
        "test_u2f::test_a_reserved_control_byte_signs_nothing",
        {"control": 0},
        "failed",
    ),
    "U2F off under alwaysUv": (
        u2f(2, NOT_ALLOWED, NO_INS),
        "test_u2f::test_with_always_uv_u2f_signs_nothing",
        {"control": 3},
        "passed",
    ),
    "untouched": (
        of_codes(0x27, 0x2F),
        "test_make_credential::test_without_a_touch_it_is_denied_and_nothing_is_made",
        {},
        "passed",
    ),
    "untouched, assertion": (
        of_codes(0x27, 0x2F),
        "test_get_assertion::test_a_pin_is_no_touch",
        {},
        "passed",
    ),
    "untouched, any other code": (
        of_codes(0x27, 0x02),
        "test_get_assertion::test_a_pin_is_no_touch",
        {},
        "failed",
    ),
    "no bytes of an id": (
        of_codes(0x2E, 0x02, GET),
        "test_get_assertion::test_a_changed_id_is_nobodys",
        {"change": lambda one: b"", "resident": False},
        "deviation",
    ),
    "another id": (
        of_codes(0x2E, 0x02, GET),
        "test_get_assertion::test_a_changed_id_is_nobodys",
        {"change": lambda one: bytes(len(one)), "resident": False},
        "failed",
    ),
    "no longer ids": (
        {
            "changes": (member(8, 120),),
            "before": code(lambda c, m: c == GET and any(len(one["id"]) > 120 for one in m.get(3, ())), 0x03),
        },
        "test_get_assertion::test_a_changed_id_is_nobodys",
        {"change": lambda one: one + bytes(121), "resident": True},
        "not offered",
    ),
    "alwaysUv as delivered, an assertion": (
        delivered_with_always_uv(),
        "test_cred_protect::test_a_hidden_credential_is_not_betrayed_by_a_request_for_touch",
        {},
        "not offered",
    ),
    "alwaysUv as delivered, CTAPHID": (
        delivered_with_always_uv(),
        "test_ctaphid::test_a_keepalive_is_one_byte_that_says_processing_or_touch_needed",
        {},
        "not offered",
    ),
    "alwaysUv as delivered, toggled": (
        {
            "changes": (options(alwaysUv=True, makeCredUvNotRqd=None), other_code(0x00, 0x27, CONFIG)),
        },
        "test_config::test_a_subcommand_is_there_if_getinfo_has_its_option_and_not_else",
        {"subcommand": 2},
        "passed",
    ),
    # Recommendations
    "CBOR that is not canonical, served": (
        {
            "before": lambda request: (
                b"\0" + cbor.encode({3: 8}) if request == b"\x06\xa2\x02\x01\x01\x02" else None
            )
        },
        "test_malformed::test_cbor_that_is_not_canonical_is_refused_as_recommended",
        {"data": b"\xa2\x02\x01\x01\x17"},
        "deviation",
    ),
    "another code for broken CBOR": (
        of_codes(0x12, 0x7F),
        "test_malformed::test_a_request_that_ends_too_early_is_refused",
        {"data": b"\xa2"},
        "deviation",
    ),
    "broken CBOR served": (
        of_codes(0x12, 0x00),
        "test_malformed::test_a_request_that_ends_too_early_is_refused",
        {"data": b"\xa2"},
        "failed",
    ),
    "another code for a wrong type": (
        of_codes(0x11, 0x02, MAKE),
        "test_make_credential::test_a_member_of_the_wrong_type_is_refused",
        {"changes": {1: "text"}},
        "deviation",
    ),
    "a wrong type served": (
        {"before": code(lambda c, m: c == MAKE and m.get(7) == {"rk": 1}, 0x00)},
        "test_make_credential::test_a_member_of_the_wrong_type_is_refused",
        {"changes": {7: {"rk": 1}}},
        "failed",
    ),
    "a PIN changes getInfo": (
        pin_changes(lambda found: found.__setitem__(0x0E, 99)),
        "test_get_info::test_with_a_pin_the_option_is_true_and_nothing_else_has_changed",
        {},
        "deviation",
    ),
    "a PIN changes the AAGUID": (
        pin_changes(lambda found: found.__setitem__(3, bytes(16))),
        "test_get_info::test_with_a_pin_the_option_is_true_and_nothing_else_has_changed",
        {},
        "failed",
    ),
    "an estimate that is off": (
        {
            "changes": (
                changed_members(
                    MANAGE, lambda asked, found: found.__setitem__(2, 50) if 2 in found else None
                ),
            )
        },
        "test_credential_management::test_each_credential_is_counted_and_takes_room",
        {},
        "passed",
    ),
    "a user without names in a listing": (
        {
            "changes": (
                changed_members(MANAGE, lambda asked, found: found[6].pop("name") if 6 in found else None),
            )
        },
        "test_credential_management::test_a_token_for_one_rp_renames_and_deletes_its_credentials",
        {},
        "failed",
    ),
    "no tries in an answer about tries": (
        {"changes": (changed_members(PIN, lambda asked, found: found.pop(3, None)),)},
        "test_client_pin::test_a_pin_that_was_set_is_in_force",
        {"version": 2},
        "failed",
    ),
    # Doubtful
    "no room for ten": (
        full_after(3),
        "test_discoverable::test_ten_accounts_of_an_rp_are_all_found",
        {},
        "not offered",
    ),
    "no room for ten RPs": (
        full_after(3),
        "test_discoverable::test_ten_rps_are_kept_apart",
        {},
        "not offered",
    ),
    "an input of a wrong type ignored": (
        extension_ignored("hmac-secret"),
        "test_hmac_secret::test_an_input_of_the_wrong_type_at_creation_is_refused",
        {"value": "true"},
        "passed",
    ),
    "a level of a wrong type ignored": (
        extension_ignored("credProtect"),
        "test_cred_protect::test_a_level_of_the_wrong_type_is_refused",
        {"value": b"\3"},
        "passed",
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_case_is_right_about_a_key(monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    of_key, case, parameters, expected = row
    of_key = dict(of_key)
    key = TrialKey(monkeypatch, *of_key.pop("changes", ()), **of_key)
    assert key.asked(case, **parameters) == expected, key.said


@pytest.mark.parametrize(
    ("case", "parameters"),
    [
        ("test_ctaphid::test_cancel_ends_a_wait_for_a_touch_and_is_not_answered_itself", {}),
        ("test_reset::test_without_a_touch_a_reset_times_out_and_forgets_nothing", {}),
        ("test_u2f::test_nothing_is_registered_without_a_touch", {}),
        ("test_get_assertion::test_without_a_touch_it_is_denied", {"resident": False}),
    ],
)
def test_a_rig_that_cannot_withhold_a_touch_is_not_asked_for_it(
    monkeypatch: pytest.MonkeyPatch, case: str, parameters: dict[str, Any]
) -> None:
    key = TrialKey(monkeypatch, touch=(True, False))
    assert key.asked(case, **parameters) == "not offered"
    assert "withhold a touch" in key.said
    assert key.asked("test_basics::test_a_credential_is_made_and_attested") == "passed"


def test_a_rig_without_a_finger_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    key = TrialKey(monkeypatch, touch=(False, True))
    assert key.asked("test_basics::test_a_credential_is_made_and_attested") == "not offered"
    assert "touches its key" in key.said


@pytest.mark.parametrize("late_s", [0, 20])
@pytest.mark.parametrize("times", [1, 3])
def test_a_reset_that_a_slow_host_asks_too_late_is_not_the_keys_fault(
    monkeypatch: pytest.MonkeyPatch, late_s: int, times: int
) -> None:
    """One late reset is repeated after a power cycle; where all are late, the host is blamed."""
    refusals = [b"\x30"] * times
    key = TrialKey(
        monkeypatch, before=lambda request: refusals.pop() if request[0] == RESET and refusals else None
    )
    powered = property(lambda rig: rig.clock.now_us - late_s * 1_000_000)
    monkeypatch.setattr(type(key.rig), "powered_us", powered)
    case = "test_basics::test_a_credential_is_made_and_attested"
    if not late_s:
        assert key.asked(case) == "failed"
    elif times < 3:
        assert key.asked(case) == "passed", key.said
    else:
        with pytest.raises(HostLate, match="too late"):
            key.asked(case)
