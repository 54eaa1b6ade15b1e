"""authenticatorConfig and what it changes: alwaysUv, minimum PIN length, enterprise attestation.

CTAP 2.1, sections 6.11, 7.1 (enterprise attestation), 7.2 (alwaysUv), 7.4 (minimum PIN length) and 12.4 (the
minPinLength extension).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from fido2 import cbor
from fido2.ctap1 import ApduError, Ctap1

from harness_suites.conformance.device import (
    HASH,
    PIN,
    RP,
    Authenticator,
    not_offered,
    refused,
    unless_refused,
)
from harness_suites.conformance.pinuv import (
    CHANGE,
    CONFIG,
    ERR,
    OTHER_PIN,
    OTHER_RP,
    SET,
    TOKENS,
    Exchange,
    Members,
    P,
    configure,
    flipped,
    fresh_info,
    get_token,
    protocol_called,
    require_permissions,
    tries,
    use_acfg,
    use_ga,
    use_mc,
)
from harness_suites.conformance.versions import refused_as

ENTERPRISE, TOGGLE, SET_MIN, VENDOR = 0x01, 0x02, 0x03, 0xFF
NEW_MIN, RP_IDS, FORCE = 0x01, 0x02, 0x03
"""Members of setMinPINLength's subCommandParams (6.11.4)."""

CONFIGURES = (*TOKENS, "authnrCfg")
ALWAYS = (*CONFIGURES, "alwaysUv")
LENGTHS = (*CONFIGURES, "setMinPINLength")
TELLS = (*LENGTHS, "minPinLength")
BOTH = pytest.mark.parametrize("version", [1, 2], ids=["protocol-1", "protocol-2"])

CONDITIONS_NOT_SATISFIED = 0x6985
U2F_IS_OFF = (0x6986, 0x6D00)
"""SW_COMMAND_NOT_ALLOWED, or an instruction that is not there: CTAP1 is disabled (7.2.4)."""


def change(authenticator: Authenticator, subcommand: int, parameters: dict[int, Any] | None = None) -> None:
    """Send a subcommand, with a token if a PIN is set."""
    info = fresh_info(authenticator)
    if not info.options["clientPin"]:
        members: dict[int, Any] = {1: subcommand}
        authenticator.ctap.send_cbor(CONFIG, members if parameters is None else {**members, 2: parameters})
        return
    require_permissions(authenticator, P.AUTHENTICATOR_CFG)
    version = info.pin_uv_protocols[0]
    protocol, token = get_token(authenticator, P.AUTHENTICATOR_CFG, version=version)
    configure(authenticator, protocol, token, subcommand, parameters)


def always_uv(authenticator: Authenticator, wanted: bool = True) -> None:
    """Switch alwaysUv on or off; skip if the key does not switch it off (6.11.2)."""
    if fresh_info(authenticator).options["alwaysUv"] is wanted:
        return
    if wanted:
        change(authenticator, TOGGLE)
    elif not _toggled(authenticator):
        not_offered("alwaysUv cannot be switched off")
    assert fresh_info(authenticator).options["alwaysUv"] is wanted


def _toggled(authenticator: Authenticator) -> bool:
    """Toggle alwaysUv; False if the key refuses with OPERATION_DENIED, as it may."""

    def toggle() -> bool:
        change(authenticator, TOGGLE)
        return True

    return unless_refused(toggle, ERR.OPERATION_DENIED) is not None


def reset_now(authenticator: Authenticator) -> None:
    """Cycle the power, reset the key, and open a channel to it."""
    authenticator.power_cycle()
    authenticator.reset()
    authenticator.connect()


def raised_by_one(authenticator: Authenticator) -> int:
    """Return a minimum PIN length above the one in force that PIN still satisfies."""
    length = int(authenticator.info.min_pin_length) + 1
    if length > len(PIN):
        not_offered(f"minPINLength is {length - 1} already")
    return length


# What may be asked, and by whom


@pytest.mark.case("CTAP 2.1, 6.11; 8.2 (0x01)")
def test_a_key_that_does_not_offer_authenticatorconfig_does_not_know_it(blank):
    if blank.info.options.get("authnrCfg"):
        not_offered("this key has authenticatorConfig, and is asked in the other cases")
    with refused(ERR.INVALID_COMMAND):
        blank.ctap.send_cbor(CONFIG, {1: TOGGLE})


@pytest.mark.case("CTAP 2.1, 6.11 step 1", needs="authnrCfg")
def test_a_request_without_a_subcommand_is_refused(blank):
    with refused(ERR.MISSING_PARAMETER):
        blank.ctap.send_cbor(CONFIG, {})


@pytest.mark.case("CTAP 2.1, 6.11 step 2", needs=CONFIGURES)
@pytest.mark.parametrize("subcommand", [0x00, 0x7F], ids=hex)
def test_a_subcommand_that_is_not_there_is_refused(with_pin, subcommand):
    require_permissions(with_pin, P.AUTHENTICATOR_CFG)
    with refused(ERR.INVALID_PARAMETER):
        configure(with_pin, *get_token(with_pin, P.AUTHENTICATOR_CFG), subcommand)


OFFERED_BY = {ENTERPRISE: "ep", TOGGLE: "alwaysUv", SET_MIN: "setMinPINLength"}
NAMES = {
    ENTERPRISE: "enableEnterpriseAttestation",
    TOGGLE: "toggleAlwaysUv",
    SET_MIN: "setMinPINLength",
}


@pytest.mark.case("CTAP 2.1, 6.11 step 2; 6.11.1, 6.11.2, 6.11.4 ('only implemented if')", needs=CONFIGURES)
@pytest.mark.parametrize("subcommand", OFFERED_BY, ids=NAMES.get)
def test_a_subcommand_is_there_if_getinfo_has_its_option_and_not_else(with_pin, subcommand):
    require_permissions(with_pin, P.AUTHENTICATOR_CFG)
    parameters: Members | None = {} if subcommand == SET_MIN else None
    token = get_token(with_pin, P.AUTHENTICATOR_CFG)
    if OFFERED_BY[subcommand] in with_pin.info.options:
        # alwaysUv may be on as delivered, and stay on (6.11.2): OPERATION_DENIED.
        unless_refused(lambda: configure(with_pin, *token, subcommand, parameters), ERR.OPERATION_DENIED)
    else:
        with refused(ERR.INVALID_PARAMETER):
            configure(with_pin, *token, subcommand, parameters)


def settings(authenticator: Authenticator) -> tuple[object, ...]:
    """Return the settings of authenticatorConfig, as getInfo shows them."""
    info = fresh_info(authenticator)
    shown = [info.options.get(name) for name in ("alwaysUv", "ep", "makeCredUvNotRqd")]
    return (*shown, info.min_pin_length, info.force_pin_change)


REQUESTS: dict[str, tuple[int, dict[int, Any] | None]] = {
    "toggleAlwaysUv": (TOGGLE, None),
    "raise-minPINLength": (SET_MIN, {NEW_MIN: len(PIN)}),
    "forceChangePin": (SET_MIN, {FORCE: True}),
    "minPinLengthRPIDs": (SET_MIN, {RP_IDS: [RP["id"]]}),
    "enableEnterpriseAttestation": (ENTERPRISE, None),
    "vendorPrototype": (VENDOR, {1: 0}),
}


def request_called(authenticator: Authenticator, name: str) -> dict[int, Any]:
    subcommand, parameters = REQUESTS[name]
    if subcommand == VENDOR:
        commands = authenticator.info.vendor_prototype_config_commands
        if not commands:
            not_offered("getInfo does not list vendorPrototypeConfigCommands")
        # One that is not there: a key that looks at it without a token does no harm.
        return {1: VENDOR, 2: {1: max(commands) + 1}}
    if OFFERED_BY[subcommand] not in authenticator.info.options:
        not_offered(f"getInfo does not list {OFFERED_BY[subcommand]}")
    return {1: subcommand} if parameters is None else {1: subcommand, 2: parameters}


@pytest.mark.case("CTAP 2.1, 6.11 step 4.1", needs=CONFIGURES)
@pytest.mark.parametrize("name", REQUESTS)
def test_where_a_pin_is_set_nothing_is_changed_without_a_token(with_pin, name):
    before = settings(with_pin)
    with refused(ERR.PUAT_REQUIRED):
        with_pin.ctap.send_cbor(CONFIG, request_called(with_pin, name))
    assert settings(with_pin) == before


@pytest.mark.case("CTAP 2.1, 6.11 step 4.2", needs=LENGTHS)
def test_a_pinuvauthparam_needs_its_protocol(with_pin):
    require_permissions(with_pin, P.AUTHENTICATOR_CFG)
    protocol, token = get_token(with_pin, P.AUTHENTICATOR_CFG)
    parameter = protocol.authenticate(token, b"\xff" * 32 + b"\x0d\x03" + cbor.encode({FORCE: True}))
    with refused(ERR.MISSING_PARAMETER):
        with_pin.ctap.send_cbor(CONFIG, {1: SET_MIN, 2: {FORCE: True}, 4: parameter})
    assert fresh_info(with_pin).force_pin_change is False


@pytest.mark.case("CTAP 2.1, 6.11 step 4.3", needs=LENGTHS)
@pytest.mark.parametrize("number", [0, 3])
def test_a_protocol_that_getinfo_does_not_list_is_refused(with_pin, number):
    require_permissions(with_pin, P.AUTHENTICATOR_CFG)
    protocol, token = get_token(with_pin, P.AUTHENTICATOR_CFG)
    parameter = protocol.authenticate(token, b"\xff" * 32 + b"\x0d\x03" + cbor.encode({}))
    with refused(ERR.INVALID_PARAMETER):
        with_pin.ctap.send_cbor(CONFIG, {1: SET_MIN, 2: {}, 3: number, 4: parameter})


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "without-the-prefix": lambda wanted: b"\x0d\x03" + wanted,
    "with-31-bytes-of-prefix": lambda wanted: b"\xff" * 31 + b"\x0d\x03" + wanted,
    "with-zeros-as-prefix": lambda wanted: bytes(32) + b"\x0d\x03" + wanted,
    "for-another-command": lambda wanted: b"\xff" * 32 + b"\x0c\x03" + wanted,
    "for-another-subcommand": lambda wanted: b"\xff" * 32 + b"\x0d\x02" + wanted,
    "without-the-parameters": lambda wanted: b"\xff" * 32 + b"\x0d\x03",
    "for-other-parameters": lambda wanted: b"\xff" * 32 + b"\x0d\x03" + flipped(wanted),
}


@pytest.mark.case("CTAP 2.1, 6.11 step 4.4 (32*ff || 0d || subCommand || subCommandParams)", needs=LENGTHS)
@pytest.mark.parametrize("kind", FORGED)
@BOTH
def test_a_request_that_is_authorised_for_something_else_changes_nothing(with_pin, version, kind):
    require_permissions(with_pin, P.AUTHENTICATOR_CFG)
    protocol, token = get_token(with_pin, P.AUTHENTICATOR_CFG, version=version)
    wanted = {NEW_MIN: len(PIN), FORCE: True}
    parameter = protocol.authenticate(token, FORGED[kind](cbor.encode(wanted)))
    before = settings(with_pin)
    with refused(ERR.PIN_AUTH_INVALID):
        with_pin.ctap.send_cbor(CONFIG, {1: SET_MIN, 2: wanted, 3: version, 4: parameter})
    assert settings(with_pin) == before


@pytest.mark.case("CTAP 2.1, 6.11 step 4.5 (acfg permission)", needs=LENGTHS)
@pytest.mark.parametrize("permission", [P.MAKE_CREDENTIAL, P.CREDENTIAL_MGMT], ids=["mc", "cm"])
def test_a_token_without_the_acfg_permission_changes_nothing(with_pin, permission):
    require_permissions(with_pin, permission | P.AUTHENTICATOR_CFG)
    rp_id = RP["id"] if permission == P.MAKE_CREDENTIAL else None
    with refused(ERR.PIN_AUTH_INVALID):
        configure(with_pin, *get_token(with_pin, permission, rp_id), SET_MIN, {FORCE: True})
    assert fresh_info(with_pin).force_pin_change is False


@pytest.mark.case("CTAP 2.1, 6.5.5.7 (acfg: RP ID ignored)", needs=LENGTHS)
def test_a_token_that_names_an_rp_changes_settings_all_the_same(with_pin):
    require_permissions(with_pin, P.AUTHENTICATOR_CFG)
    length = raised_by_one(with_pin)
    configure(with_pin, *get_token(with_pin, P.AUTHENTICATOR_CFG, RP["id"]), SET_MIN, {NEW_MIN: length})
    assert fresh_info(with_pin).min_pin_length == length


@pytest.mark.case("CTAP 2.1, 6.11", needs=LENGTHS)
def test_one_token_is_good_for_several_changes(with_pin):
    require_permissions(with_pin, P.AUTHENTICATOR_CFG)
    length = raised_by_one(with_pin)
    protocol, token = get_token(with_pin, P.AUTHENTICATOR_CFG)
    use_acfg(with_pin, protocol, token)
    configure(with_pin, protocol, token, SET_MIN, {NEW_MIN: length})
    use_acfg(with_pin, protocol, token)
    assert fresh_info(with_pin).min_pin_length == length


@pytest.mark.case("CTAP 2.1, 6.11 step 4 (not protected)", needs=LENGTHS)
def test_a_key_without_a_pin_takes_settings_from_anybody(blank):
    if blank.info.options.get("alwaysUv"):
        not_offered("alwaysUv is on")
    length = raised_by_one(blank)
    blank.ctap.send_cbor(CONFIG, {1: SET_MIN, 2: {NEW_MIN: length}})
    assert fresh_info(blank).min_pin_length == length


# alwaysUv


@pytest.mark.case("CTAP 2.1, 6.11.2; 7.2.2", needs=ALWAYS)
@BOTH
def test_alwaysuv_is_switched_on_and_off_again(with_pin, version):
    protocol_called(with_pin, version)
    require_permissions(with_pin, P.AUTHENTICATOR_CFG)
    always_uv(with_pin, False)
    before = fresh_info(with_pin).options
    configure(with_pin, *get_token(with_pin, P.AUTHENTICATOR_CFG, version=version), TOGGLE)
    on = fresh_info(with_pin).options
    assert on["alwaysUv"] is True
    assert not on.get("makeCredUvNotRqd"), "alwaysUv disables makeCredUvNotRqd (6.11.2 step 1)"
    token = get_token(with_pin, P.AUTHENTICATOR_CFG, version=version)
    if unless_refused(lambda: configure(with_pin, *token, TOGGLE), ERR.OPERATION_DENIED) is None:
        not_offered("alwaysUv cannot be switched off")
    off = fresh_info(with_pin).options
    assert off["alwaysUv"] is False
    assert off.get("makeCredUvNotRqd") == before.get("makeCredUvNotRqd")


@pytest.mark.case("CTAP 2.1, 6.11 step 3; 6.11.2", needs=ALWAYS)
def test_a_key_without_a_pin_can_be_freed_of_alwaysuv(blank):
    always_uv(blank, True)
    always_uv(blank, False)


@pytest.mark.case("CTAP 2.1, 7.2", needs=ALWAYS)
@pytest.mark.parametrize("wanted", [True, False], ids=["on", "off"])
def test_alwaysuv_survives_a_power_cycle(with_pin, wanted):
    always_uv(with_pin, not wanted)
    always_uv(with_pin, wanted)
    with_pin.power_cycle()
    assert with_pin.info.options["alwaysUv"] is wanted


@pytest.mark.case("CTAP 2.1, 6.6; 7.2.3", needs=ALWAYS)
def test_a_reset_takes_alwaysuv_back_to_what_it_was(blank):
    delivered = blank.delivered["alwaysUv"]
    always_uv(blank, not delivered)
    reset_now(blank)
    assert blank.info.options["alwaysUv"] is delivered


@pytest.mark.case("CTAP 2.1, 6.11 step 4 (alwaysUv is true)", needs=(*ALWAYS, "setMinPINLength"))
def test_with_alwaysuv_a_key_without_a_pin_takes_no_other_setting(blank):
    always_uv(blank)
    before = settings(blank)
    with refused(ERR.PUAT_REQUIRED):
        blank.ctap.send_cbor(CONFIG, {1: SET_MIN, 2: {NEW_MIN: len(PIN)}})
    assert settings(blank) == before


RESIDENT = pytest.mark.parametrize("options", [None, {"rk": True}], ids=["not-discoverable", "discoverable"])


@pytest.mark.case("CTAP 2.1, 6.1.2 step 6.2", needs=ALWAYS)
@RESIDENT
def test_with_alwaysuv_a_key_without_a_pin_makes_no_credential(blank, options):
    always_uv(blank)
    with refused(ERR.PUAT_REQUIRED):
        blank.make(options=options)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 6.4", needs=ALWAYS)
@RESIDENT
def test_with_alwaysuv_no_credential_is_made_without_a_token(with_pin, options):
    always_uv(with_pin)
    with refused(ERR.PUAT_REQUIRED):
        with_pin.make(options=options, pin_uv_param=None)


@pytest.mark.case("CTAP 2.1, 6.1.2 steps 6 and 11.1", needs=ALWAYS)
@RESIDENT
def test_with_alwaysuv_a_credential_is_made_with_a_token(with_pin, options):
    require_permissions(with_pin, P.MAKE_CREDENTIAL)
    always_uv(with_pin)
    made = use_mc(with_pin, *get_token(with_pin, P.MAKE_CREDENTIAL, RP["id"]), options=options)
    assert made.auth_data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 5", needs=ALWAYS)
@pytest.mark.parametrize("options", [None, {"up": True}], ids=["up-absent", "up-true"])
@pytest.mark.parametrize("listed", [True, False], ids=["allow-list", "discoverable"])
def test_with_alwaysuv_no_assertion_is_made_without_a_token(with_pin, listed, options):
    made = with_pin.make(options={"rk": True})
    always_uv(with_pin)
    with refused(ERR.PUAT_REQUIRED):
        with_pin.get(made if listed else None, options=options)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 5", needs=ALWAYS)
def test_with_alwaysuv_a_key_without_a_pin_makes_no_assertion(blank):
    always_uv(blank, False)
    made = blank.make()
    always_uv(blank)
    with refused(ERR.PUAT_REQUIRED):
        blank.get(made)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 5 (only if 'up' is true)", needs=ALWAYS)
def test_with_alwaysuv_a_platform_can_still_ask_silently_for_a_credential(with_pin):
    made = with_pin.make()
    always_uv(with_pin)
    silent = with_pin.get(made, options={"up": False})
    assert not silent.auth_data.is_user_verified()
    assert not silent.auth_data.is_user_present()


@pytest.mark.case("CTAP 2.1, 6.2.2 steps 5 and 6.1", needs=ALWAYS)
def test_with_alwaysuv_an_assertion_is_made_with_a_token(with_pin):
    require_permissions(with_pin, P.GET_ASSERTION)
    made = with_pin.make()
    always_uv(with_pin)
    assertion = use_ga(with_pin, *get_token(with_pin, P.GET_ASSERTION, RP["id"]), made)
    assert assertion.auth_data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.1.2 step 6; 7.2", needs=ALWAYS)
def test_without_alwaysuv_everything_is_as_before(with_pin):
    always_uv(with_pin, False)
    made = with_pin.make()
    always_uv(with_pin, True)
    always_uv(with_pin, False)
    assert not with_pin.get(made).auth_data.is_user_verified()
    if fresh_info(with_pin).options.get("makeCredUvNotRqd"):
        assert not with_pin.make(pin_uv_param=None).auth_data.is_user_verified()


def u2f(authenticator: Authenticator, ask: Callable[[Ctap1], Any]) -> Any:
    """Send a U2F request again until it is touched."""
    with authenticator.touch():
        for _ in range(40):
            try:
                return ask(Ctap1(authenticator.device))
            except ApduError as error:
                if error.code != CONDITIONS_NOT_SATISFIED:
                    raise
            authenticator.rig.clock.wait_us(250_000)
    raise AssertionError("the key asks for a touch and does not take it")


APPLICATION = hashlib.sha256(RP["id"].encode()).digest()


def u2f_registration(authenticator: Authenticator) -> Any:
    return u2f(authenticator, lambda ctap: ctap.register(HASH, APPLICATION))


def u2f_authentication(authenticator: Authenticator, handle: bytes) -> Any:
    return u2f(authenticator, lambda ctap: ctap.authenticate(HASH, APPLICATION, handle))


def require_u2f(authenticator: Authenticator) -> None:
    """Skip if the key has no U2F, or may keep it while alwaysUv is on (7.2.4)."""
    if "U2F_V2" not in authenticator.info.versions:
        not_offered("getInfo does not list U2F_V2")
    if "uv" in authenticator.info.options:
        not_offered("built-in user verification may protect U2F as well")


@pytest.mark.case("CTAP 2.1, 7.2.4", needs=ALWAYS)
def test_with_alwaysuv_u2f_is_no_longer_announced(with_pin):
    always_uv(with_pin, False)
    require_u2f(with_pin)
    always_uv(with_pin)
    assert "U2F_V2" not in fresh_info(with_pin).versions
    always_uv(with_pin, False)
    assert "U2F_V2" in fresh_info(with_pin).versions


@pytest.mark.case("CTAP 2.1, 7.2.4", needs=ALWAYS)
def test_with_alwaysuv_u2f_makes_no_credential(with_pin):
    always_uv(with_pin, False)
    require_u2f(with_pin)
    always_uv(with_pin)
    with pytest.raises(ApduError) as refusal:
        u2f_registration(with_pin)
    assert refusal.value.code in U2F_IS_OFF
    always_uv(with_pin, False)
    u2f_registration(with_pin).verify(APPLICATION, HASH)


@pytest.mark.case("CTAP 2.1, 7.2.4", needs=ALWAYS)
def test_with_alwaysuv_u2f_does_not_authenticate(with_pin):
    always_uv(with_pin, False)
    require_u2f(with_pin)
    registered = u2f_registration(with_pin)
    always_uv(with_pin)
    with pytest.raises(ApduError) as refusal:
        u2f_authentication(with_pin, registered.key_handle)
    assert refusal.value.code in U2F_IS_OFF
    always_uv(with_pin, False)
    u2f_authentication(with_pin, registered.key_handle).verify(APPLICATION, HASH, registered.public_key)


# The minimum PIN length


@pytest.mark.case("CTAP 2.1, 6.11.4; 6.4 (minPINLength)", needs=LENGTHS)
@BOTH
def test_the_minimum_pin_length_is_raised(with_pin, version):
    protocol_called(with_pin, version)
    require_permissions(with_pin, P.AUTHENTICATOR_CFG)
    length = raised_by_one(with_pin)
    token = get_token(with_pin, P.AUTHENTICATOR_CFG, version=version)
    configure(with_pin, *token, SET_MIN, {NEW_MIN: length})
    info = fresh_info(with_pin)
    assert info.min_pin_length == length
    assert info.force_pin_change is False, "the PIN in force is long enough"


@pytest.mark.case("CTAP 2.1, 6.11.4 step 3", needs=LENGTHS)
@pytest.mark.parametrize("less", [1, 2, "all"], ids=["by-one", "by-two", "to-zero"])
def test_the_minimum_pin_length_is_never_lowered(with_pin, less):
    length = raised_by_one(with_pin)
    change(with_pin, SET_MIN, {NEW_MIN: length})
    with refused(ERR.PIN_POLICY_VIOLATION):
        change(with_pin, SET_MIN, {NEW_MIN: 0 if less == "all" else length - less})
    assert fresh_info(with_pin).min_pin_length == length


@pytest.mark.case("CTAP 2.1, 6.11.4 step 3", needs=LENGTHS)
def test_a_request_that_would_lower_the_minimum_changes_nothing_else(with_pin):
    before = settings(with_pin)
    with refused(ERR.PIN_POLICY_VIOLATION):
        change(with_pin, SET_MIN, {NEW_MIN: with_pin.info.min_pin_length - 1, FORCE: True})
    assert settings(with_pin) == before


@pytest.mark.case("CTAP 2.1, 6.11.4 steps 1 and 3", needs=LENGTHS)
@pytest.mark.parametrize("given", ["the-same-length", "no-length"])
def test_the_minimum_pin_length_stays_if_it_is_the_same_or_absent(with_pin, given):
    before = settings(with_pin)
    same = {NEW_MIN: with_pin.info.min_pin_length}
    change(with_pin, SET_MIN, same if given == "the-same-length" else {})
    assert settings(with_pin) == before


@pytest.mark.case("CTAP 2.1, 7.4.3", needs=LENGTHS)
def test_the_minimum_pin_length_survives_a_power_cycle(with_pin):
    length = raised_by_one(with_pin)
    change(with_pin, SET_MIN, {NEW_MIN: length})
    with_pin.power_cycle()
    assert with_pin.info.min_pin_length == length


@pytest.mark.case("CTAP 2.1, 6.6; 7.4.3", needs=LENGTHS)
def test_a_reset_takes_the_minimum_pin_length_back_and_forces_nobody(with_pin):
    delivered = with_pin.info.min_pin_length
    change(with_pin, SET_MIN, {NEW_MIN: len(PIN) + 1})
    reset_now(with_pin)
    assert with_pin.info.min_pin_length == delivered
    assert with_pin.info.force_pin_change is False
    Exchange(with_pin, with_pin.info.pin_uv_protocols[0]).send(SET, new_pin=PIN[:delivered])


@pytest.mark.case("CTAP 2.1, 6.5.5.5 step 9; 6.11.4", needs=LENGTHS)
def test_a_first_pin_must_have_the_raised_length(blank):
    if blank.info.options.get("alwaysUv"):
        not_offered("alwaysUv is on")
    length = raised_by_one(blank)
    change(blank, SET_MIN, {NEW_MIN: length})
    version = blank.info.pin_uv_protocols[0]
    with refused(ERR.PIN_POLICY_VIOLATION):
        Exchange(blank, version).send(SET, new_pin=PIN[: length - 1])
    Exchange(blank, version).send(SET, new_pin=PIN[:length])
    assert get_token(blank, version=version, pin=PIN[:length])[1]


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 12; 6.11.4", needs=LENGTHS)
def test_a_changed_pin_must_have_the_raised_length(with_pin):
    length = raised_by_one(with_pin)
    change(with_pin, SET_MIN, {NEW_MIN: length})
    version = with_pin.info.pin_uv_protocols[0]
    with refused(ERR.PIN_POLICY_VIOLATION):
        Exchange(with_pin, version).send(CHANGE, new_pin=OTHER_PIN[: length - 1])
    Exchange(with_pin, version).send(CHANGE, new_pin=OTHER_PIN[:length])
    assert get_token(with_pin, version=version, pin=OTHER_PIN[:length])[1]


# Forcing a new PIN


FORCING: dict[str, Members] = {
    "forceChangePin": {FORCE: True},
    "minimum-above-the-pin": {NEW_MIN: len(PIN) + 1},
    "both": {NEW_MIN: len(PIN) + 1, FORCE: True},
    "minimum-above-the-pin-and-forceChangePin-false": {NEW_MIN: len(PIN) + 1, FORCE: False},
}
LONG_PIN = OTHER_PIN + "5"


@pytest.mark.case("CTAP 2.1, 6.11.4 steps 4 to 6; 6.4 (forcePINChange)", needs=LENGTHS)
@pytest.mark.parametrize("kind", FORCING)
def test_a_pin_that_must_be_changed_gives_no_token_until_it_was(with_pin, kind):
    change(with_pin, SET_MIN, FORCING[kind])
    assert fresh_info(with_pin).force_pin_change is True
    version = with_pin.info.pin_uv_protocols[0]
    with refused(ERR.PIN_INVALID):
        # 6.5.5.7.1 step 11.
        get_token(with_pin, version=version)
    with refused_as(with_pin, "token with permissions while the PIN must be changed"):
        get_token(with_pin, P.AUTHENTICATOR_CFG, version=version)
    Exchange(with_pin, version).send(CHANGE, new_pin=LONG_PIN)
    assert fresh_info(with_pin).force_pin_change is False
    assert get_token(with_pin, version=version, pin=LONG_PIN)[1]


@pytest.mark.case("CTAP 2.1, 6.11.4", needs=LENGTHS)
def test_forcechangepin_false_forces_nothing(with_pin):
    change(with_pin, SET_MIN, {FORCE: False})
    assert fresh_info(with_pin).force_pin_change is False
    assert get_token(with_pin, version=with_pin.info.pin_uv_protocols[0])[1]


@pytest.mark.case("CTAP 2.1, 7.4.3", needs=LENGTHS)
def test_a_forced_change_survives_a_power_cycle(with_pin):
    change(with_pin, SET_MIN, {FORCE: True})
    with_pin.power_cycle()
    assert with_pin.info.force_pin_change is True
    with refused(ERR.PIN_INVALID):
        get_token(with_pin, version=with_pin.info.pin_uv_protocols[0])


@pytest.mark.case("CTAP 2.1, 6.11.4 step 7 (resetPinUvAuthToken)", needs=LENGTHS)
@pytest.mark.parametrize("kind", FORCING)
@BOTH
def test_a_forced_change_ends_the_token_that_forced_it(with_pin, version, kind):
    require_permissions(with_pin, P.AUTHENTICATOR_CFG)
    protocol, token = get_token(with_pin, P.AUTHENTICATOR_CFG, version=version)
    configure(with_pin, protocol, token, SET_MIN, FORCING[kind])
    with refused(ERR.PIN_AUTH_INVALID):
        use_acfg(with_pin, protocol, token)


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 13", needs=LENGTHS)
def test_a_pin_that_must_be_changed_is_not_changed_to_itself(with_pin):
    change(with_pin, SET_MIN, {FORCE: True})
    version = with_pin.info.pin_uv_protocols[0]
    with refused(ERR.PIN_POLICY_VIOLATION):
        Exchange(with_pin, version).send(CHANGE, new_pin=PIN)
    assert fresh_info(with_pin).force_pin_change is True
    assert tries(with_pin) == with_pin.tries_max, "the old PIN was right (6.5.5.6 step 8)"


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 12", needs=LENGTHS)
def test_a_pin_that_must_be_changed_is_not_changed_to_one_that_is_too_short(with_pin):
    change(with_pin, SET_MIN, {NEW_MIN: len(PIN) + 1})
    version = with_pin.info.pin_uv_protocols[0]
    with refused(ERR.PIN_POLICY_VIOLATION):
        Exchange(with_pin, version).send(CHANGE, new_pin=OTHER_PIN)
    assert fresh_info(with_pin).force_pin_change is True


@pytest.mark.case("CTAP 2.1, 6.11.4 step 4; 6.5.1 (code points)", needs=LENGTHS)
@pytest.mark.parametrize(("more", "forced"), [(0, False), (1, True)], ids=["as-long", "longer"])
def test_a_pin_is_measured_in_code_points_when_the_minimum_is_raised(with_pin, more, forced):
    length = raised_by_one(with_pin)
    pin = ("\U0001f98a\U0001f511\U0001f40c\U0001f33b" * 4)[:length]
    if len(pin.encode()) > 63:
        not_offered(f"minPINLength is {length - 1}")
    version = with_pin.info.pin_uv_protocols[0]
    Exchange(with_pin, version).send(CHANGE, new_pin=pin)
    require_permissions(with_pin, P.AUTHENTICATOR_CFG)
    token = get_token(with_pin, P.AUTHENTICATOR_CFG, version=version, pin=pin)
    configure(with_pin, *token, SET_MIN, {NEW_MIN: length + more})
    assert fresh_info(with_pin).force_pin_change is forced


@pytest.mark.case("CTAP 2.1, 6.11.4 (forceChangePin without a PIN)", needs=LENGTHS)
def test_there_is_no_pin_to_force_a_change_of_on_a_blank_key(blank):
    if blank.info.options.get("alwaysUv"):
        not_offered("alwaysUv is on")
    before = settings(blank)
    with refused(ERR.PIN_NOT_SET):
        change(blank, SET_MIN, {NEW_MIN: len(PIN), FORCE: True})
    assert settings(blank) == before


# The minPinLength extension


def list_rps(authenticator: Authenticator, rp_ids: list[str]) -> None:
    """Set the list of RPs that may learn the length. Skip if it has no room (maxRPIDsForSetMinPINLength may be 0)."""
    if authenticator.info.max_rpids_for_min_pin < 1:
        not_offered("a list of RPs: maxRPIDsForSetMinPINLength is 0")
    change(authenticator, SET_MIN, {RP_IDS: rp_ids})


def told(authenticator: Authenticator, rp: dict[str, Any] = RP, wish: bool | None = True) -> int | None:
    """Return the minimum PIN length that the key tells this RP; None if it tells none."""
    extensions = None if wish is None else {"minPinLength": wish}
    outputs = authenticator.make(rp=rp, extensions=extensions).auth_data.extensions or {}
    return outputs.get("minPinLength")


@pytest.mark.case("CTAP 2.1, 12.4; 6.11.4 (minPinLengthRPIDs)", needs=TELLS)
def test_an_rp_on_the_list_is_told_the_minimum_pin_length(with_pin):
    assert told(with_pin) is None
    list_rps(with_pin, [RP["id"]])
    assert told(with_pin) == with_pin.info.min_pin_length


@pytest.mark.case("CTAP 2.1, 12.4", needs=TELLS)
def test_an_rp_on_the_list_is_told_the_length_that_is_in_force(with_pin):
    length = raised_by_one(with_pin)
    list_rps(with_pin, [RP["id"]])
    change(with_pin, SET_MIN, {NEW_MIN: length})
    assert told(with_pin) == length


@pytest.mark.case("CTAP 2.1, 12.4", needs=TELLS)
@pytest.mark.parametrize("wish", [None, False], ids=["absent", "false"])
def test_an_rp_that_does_not_ask_is_told_nothing(with_pin, wish):
    list_rps(with_pin, [RP["id"]])
    answer = unless_refused(lambda: (told(with_pin, wish=wish),), ERR.INVALID_OPTION, ERR.INVALID_PARAMETER)
    # 12.4 defines only true as an input, so a key may treat false as it likes.
    assert answer == (None,) or (wish is False and answer is None)


@pytest.mark.case("CTAP 2.1, 12.4", needs=TELLS)
@pytest.mark.parametrize(
    "listed",
    [
        OTHER_RP["id"],
        RP["id"].partition(".")[2],
        f"www.{RP['id']}",
        RP["id"][:-1],
        RP["id"] + "\0",
        RP["id"].upper(),
    ],
    ids=["another", "parent-domain", "subdomain", "prefix", "longer", "upper-case"],
)
def test_an_rp_that_is_not_on_the_list_is_told_nothing(with_pin, listed):
    list_rps(with_pin, [listed])
    assert told(with_pin) is None


@pytest.mark.case("CTAP 2.1, 6.11.4 (minPinLengthRPIDs: replaces the list)", needs=TELLS)
@pytest.mark.parametrize("listed", [[OTHER_RP["id"]], []], ids=["another", "empty"])
def test_a_new_list_takes_the_place_of_the_old_one(with_pin, listed):
    list_rps(with_pin, [RP["id"]])
    list_rps(with_pin, listed)
    assert told(with_pin) is None
    assert told(with_pin, OTHER_RP) == (with_pin.info.min_pin_length if listed else None)


@pytest.mark.case("CTAP 2.1, 6.11.4", needs=TELLS)
def test_a_request_without_a_list_leaves_the_list(with_pin):
    list_rps(with_pin, [RP["id"]])
    change(with_pin, SET_MIN, {})
    assert told(with_pin) == with_pin.info.min_pin_length


@pytest.mark.case("CTAP 2.1, 7.4.3", needs=TELLS)
def test_the_list_survives_a_power_cycle(with_pin):
    """As long as it may be, and with a raised minimum."""
    length = raised_by_one(with_pin)
    others = [f"rp-{number}.keyharness.example" for number in range(1, with_pin.info.max_rpids_for_min_pin)]
    list_rps(with_pin, [*others, RP["id"]])
    change(with_pin, SET_MIN, {NEW_MIN: length})
    with_pin.power_cycle()
    assert with_pin.info.min_pin_length == length
    assert told(with_pin) == length
    assert all(told(with_pin, {"id": one, "name": one}) == length for one in others[-1:])


@pytest.mark.case("CTAP 2.1, 6.6; 7.4.3", needs=TELLS)
def test_a_reset_empties_the_list(with_pin):
    list_rps(with_pin, [RP["id"]])
    reset_now(with_pin)
    with_pin.pin = None
    always_uv(with_pin, False)
    assert told(with_pin) is None


@pytest.mark.case("CTAP 2.1, 6.4 (maxRPIDsForSetMinPINLength); 6.11.4", needs=TELLS)
def test_as_many_rps_are_listed_as_getinfo_says(with_pin):
    count = with_pin.info.max_rpids_for_min_pin
    rps = [{"id": f"rp-{number}.keyharness.example", "name": "Listed"} for number in range(count)]
    list_rps(with_pin, [rp["id"] for rp in rps])
    assert [told(with_pin, rp) for rp in rps] == [with_pin.info.min_pin_length] * count


@pytest.mark.case("CTAP 2.1, 6.4 (maxRPIDsForSetMinPINLength); 6.11.4", needs=TELLS)
def test_a_list_with_one_rp_too_many_is_refused_and_the_old_one_stays(with_pin):
    list_rps(with_pin, [RP["id"]])
    count = with_pin.info.max_rpids_for_min_pin + 1
    with refused(ERR.KEY_STORE_FULL):
        list_rps(with_pin, [f"rp-{number}.keyharness.example" for number in range(count)])
    assert told(with_pin) == with_pin.info.min_pin_length


@pytest.mark.case("CTAP 2.1, 6.11.4 step 2", needs=LENGTHS)
def test_a_key_without_the_extension_takes_no_list(with_pin):
    if with_pin.has("minPinLength"):
        not_offered("this key has the minPinLength extension, and is asked in the other cases")
    with refused(ERR.INVALID_PARAMETER):
        change(with_pin, SET_MIN, {RP_IDS: [RP["id"]]})


# Enterprise attestation


@pytest.mark.case("CTAP 2.1, 6.11.1; 7.1", needs=(*CONFIGURES, "ep"))
def test_enterprise_attestation_is_enabled_once_and_for_all(with_pin):
    for _ in range(2):
        change(with_pin, ENTERPRISE)
        assert fresh_info(with_pin).options["ep"] is True
    with_pin.power_cycle()
    assert with_pin.info.options["ep"] is True


@pytest.mark.case("CTAP 2.1, 6.6; 7.1", needs=(*CONFIGURES, "ep"))
def test_a_reset_disables_enterprise_attestation(with_pin):
    change(with_pin, ENTERPRISE)
    reset_now(with_pin)
    assert with_pin.info.options["ep"] is False


@pytest.mark.case("CTAP 2.1, 6.1.2 step 9", needs=(*CONFIGURES, "ep"))
def test_enterprise_attestation_is_refused_until_it_is_enabled_and_has_two_kinds(with_pin):
    if with_pin.info.options["ep"]:
        not_offered("enterprise attestation is enabled as delivered")
    with refused(ERR.INVALID_PARAMETER):
        with_pin.make(enterprise_attestation=1)
    change(with_pin, ENTERPRISE)
    with refused(ERR.INVALID_OPTION):
        with_pin.make(enterprise_attestation=3)
    assert with_pin.make(enterprise_attestation=1).auth_data.credential_data


@pytest.mark.case("CTAP 2.1, 7.1.1 (vendor-facilitated: only for listed RPs)", needs=(*CONFIGURES, "ep"))
def test_an_rp_that_the_vendor_did_not_list_gets_an_ordinary_attestation(with_pin):
    if not with_pin.info.options["ep"]:
        change(with_pin, ENTERPRISE)
    ordinary = with_pin.make()
    made = with_pin.make(enterprise_attestation=1)
    assert made.ep_att is not True
    assert made.fmt == ordinary.fmt
    assert made.att_stmt.get("x5c") == ordinary.att_stmt.get("x5c"), "a certificate that names the device"


@pytest.mark.case("CTAP 2.1, 6.2.2 step 5 and 7.2", needs=ALWAYS)
def test_with_alwaysuv_a_handle_of_u2f_makes_no_assertion_without_a_token(with_pin):
    always_uv(with_pin, False)
    require_u2f(with_pin)
    handle = u2f_registration(with_pin).key_handle
    always_uv(with_pin)
    with refused(ERR.PUAT_REQUIRED):
        with_pin.get(allow_list=[{"type": "public-key", "id": handle}])
