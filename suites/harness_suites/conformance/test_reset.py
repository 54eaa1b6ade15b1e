"""authenticatorReset: when it is allowed, what it forgets and what it keeps (CTAP 2.1, section 6.6)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pytest
from fido2 import cbor
from fido2.ctap import CtapError
from fido2.ctap1 import ApduError, Ctap1, RegistrationData
from fido2.ctap2 import Config, CredentialManagement, LargeBlobs
from fido2.ctap2.pin import ClientPin
from fido2.hid import CTAPHID

from harness.api import NOT_OFFERED
from harness_suites.conformance.device import (
    HASH,
    PIN,
    RP,
    Authenticator,
    not_offered,
    refused,
    refused_somehow,
    unless_refused,
)
from harness_suites.conformance.handmade import Asker
from harness_suites.conformance.hidframes import Wire
from harness_suites.conformance.versions import refused_as

ERR = CtapError.ERR
RESET = b"\x07"
EARLY_US, LATE_US = 6_000_000, 11_000_000
"""The reset must be requested within ten seconds of power-up (on a key without a display): EARLY_US after the key is up
is within them, LATE_US is not."""
LONG_TOUCH_US = 5_000_000
"""A long touch lasts at least five seconds (python-fido2's tests of keys that ask for one)."""
APPLICATION = hashlib.sha256(RP["id"].encode()).digest()
OTHER_PIN = "3141592605358979"


@dataclass
class FilledKey:
    """A key with a PIN and a credential of each kind, just plugged in.

    :ivar resident: None on a key without discoverable credentials.
    :ivar up_us: when the key had come up, on the rig's clock.
    """

    key: Authenticator
    resident: Any
    non_resident: Any
    u2f: RegistrationData | None
    up_us: int

    def wait_early(self) -> None:
        """Wait until shortly before the ten seconds end. Skip if this host was too slow for that."""
        late_us = self.key.rig.clock.now_us - self.up_us
        if late_us > EARLY_US:
            pytest.skip(
                f"this host came {late_us / 1e6:.1f} s after the key was up: too late for a request in time"
            )
        self.key.rig.clock.wait_us(EARLY_US - late_us)

    def is_intact(self) -> None:
        """Check that PIN and credentials are still there."""
        self.key.connect()
        assert self.key.info.options["clientPin"] is True
        self.key.client_pin(self.key.info.pin_uv_protocols[0]).get_pin_token(PIN)
        for made in filter(None, (self.resident, self.non_resident)):
            assert self.key.get(made).auth_data.is_user_present()


@pytest.fixture
def world(with_pin):
    resident = with_pin.make(options={"rk": True}) if with_pin.info.options.get("rk") else None
    non_resident = with_pin.make(rp=RP, user={"id": b"user-2", "name": "user-2"})
    u2f = None
    if "U2F_V2" in with_pin.info.versions:
        with with_pin.touch():
            u2f = Ctap1(with_pin.device).register(HASH, APPLICATION)
    with_pin.power_cycle()
    return FilledKey(with_pin, resident, non_resident, u2f, with_pin.rig.clock.now_us)


def _toggled(config: Config) -> bool:
    config.toggle_always_uv()
    return True


def reset(key):
    key.reset()
    key.pin = None
    key.connect()


@pytest.fixture
def forgotten(world):
    """A filled key after a reset."""
    reset(world.key)
    return world


# When


@pytest.mark.case("CTAP 2.1, 6.6", needs="clientPin")
def test_a_reset_is_answered_with_nothing_but_success(world):
    assert Asker(world.key).ask(RESET, touched=True) == (0, b"")


@pytest.mark.waits(30)
@pytest.mark.case("CTAP 2.1, 6.6 (USER_ACTION_TIMEOUT)", needs="clientPin", withheld=True)
def test_without_a_touch_a_reset_times_out_and_forgets_nothing(world):
    with refused_as(world.key, "reset that is not touched"):
        world.key.ctap.reset()
    world.is_intact()


@pytest.mark.waits(30)
@pytest.mark.case("CTAP 2.1, 6.6 (evidence of user interaction)", needs="clientPin", withheld=True)
def test_the_touch_of_another_request_is_none_for_a_reset(world):
    world.key.get(world.non_resident)
    with refused_as(world.key, "reset that is not touched"):
        world.key.ctap.reset()
    world.is_intact()


@pytest.mark.case("CTAP 2.1, 6.6 and 11.2.9.1.7", needs="clientPin", withheld=True)
def test_a_reset_says_that_it_waits_for_a_touch(world):
    wire = Wire(world.key)
    channel = wire.allocate()
    wire.send(channel, CTAPHID.CBOR, RESET)
    assert any((message := wire.message()).is_keepalive and message.data == b"\x02" for _ in range(20)), (
        "20 keepalives, and none says so"
    )
    wire.first(channel, CTAPHID.CANCEL)
    assert wire.answer(channel).data == bytes((ERR.KEEPALIVE_CANCEL,))


@pytest.mark.case("CTAP 2.1, 6.6 and 11.2.9.1.7", needs="clientPin", withheld=True)
def test_once_touched_a_reset_no_longer_asks_for_a_touch(world):
    """It is the longest work of many keys, and a touch of its second half would serve for what comes next."""
    wire = Wire(world.key)
    channel = wire.allocate()
    said = []
    wire.send(channel, CTAPHID.CBOR, RESET)
    with world.key.touch(delay_us=0):
        while (message := wire.message()).is_keepalive:
            said.append(message.data[0])
    assert message.data == b"\0"
    assert 2 in said, f"keepalives {said}"
    after = said[said.index(1, said.index(2)) :] if 1 in said[said.index(2) :] else []
    assert 2 not in after, f"keepalives {said}"


@pytest.mark.case("CTAP 2.1, 6.6 (NOT_ALLOWED)", needs="clientPin")
def test_ten_seconds_after_power_up_it_is_too_late(world):
    world.key.rig.clock.wait_us(LATE_US)
    with world.key.touch(), refused(ERR.NOT_ALLOWED):
        world.key.ctap.reset()
    world.is_intact()


@pytest.mark.case("CTAP 2.1, 6.6 (NOT_ALLOWED)", needs="clientPin")
def test_when_it_is_too_late_no_touch_is_asked_for(world):
    world.key.rig.clock.wait_us(LATE_US)
    # A request that waits for a touch would be cancelled by the asker.
    Asker(world.key).refused(RESET, ERR.NOT_ALLOWED)


@pytest.mark.case("CTAP 2.1, 6.6 (within 10 seconds)", needs="clientPin")
def test_within_ten_seconds_of_power_up_it_is_not_too_late(world):
    world.wait_early()
    reset(world.key)
    assert world.key.info.options["clientPin"] is False


@pytest.mark.case("CTAP 2.1, 6.6 (the request must have come within 10 seconds)", needs="clientPin")
def test_the_touch_may_come_after_the_ten_seconds(world):
    world.wait_early()
    with world.key.touch(delay_us=LATE_US - EARLY_US):
        world.key.ctap.reset()
    world.key.connect()
    assert world.key.info.options["clientPin"] is False


@pytest.mark.case("CTAP 2.1, 6.6 and 11.2.9.1.3", needs="clientPin")
@pytest.mark.parametrize("how", ["new channel", "INIT in the channel"])
def test_the_ten_seconds_do_not_start_again_with_a_channel(world, how):
    world.key.rig.clock.wait_us(LATE_US)
    if how == "new channel":
        world.key.connect()
    else:
        wire = Wire(world.key)
        wire.resynchronise(wire.allocate())
        world.key.connect()
    with world.key.touch(), refused(ERR.NOT_ALLOWED):
        world.key.ctap.reset()


@pytest.mark.case("CTAP 2.1, 6.6 (of powering up)", needs="clientPin")
def test_the_ten_seconds_start_again_with_power(world):
    world.key.rig.clock.wait_us(LATE_US)
    with world.key.touch(), refused(ERR.NOT_ALLOWED):
        world.key.ctap.reset()
    world.key.power_cycle()
    reset(world.key)
    assert world.key.info.options["clientPin"] is False


@pytest.mark.case("CTAP 2.1, 6.6 (of powering up)", needs="clientPin")
def test_nor_do_the_ten_seconds_start_again_with_a_reset(world):
    reset(world.key)
    world.key.rig.clock.wait_us(LATE_US)
    with world.key.touch(), refused(ERR.NOT_ALLOWED):
        world.key.ctap.reset()


@pytest.mark.case("CTAP 2.1, 6.6", needs="clientPin")
def test_a_second_reset_within_the_ten_seconds_is_done_too(world):
    reset(world.key)
    reset(world.key)
    made = world.key.make()
    assert world.key.get(made).auth_data.is_user_present()


# Broken off


@pytest.mark.case("CTAP 2.1, 11.2.9.1.5 and 6.6", needs="clientPin", withheld=True)
def test_a_cancelled_reset_forgets_nothing_and_can_be_asked_for_again(world):
    wire = Wire(world.key)
    channel = wire.allocate()
    wire.send(channel, CTAPHID.CBOR, RESET)
    assert wire.message().is_keepalive
    wire.first(channel, CTAPHID.CANCEL)
    message = wire.answer(channel)
    assert (message.command, message.data) == (CTAPHID.CBOR, bytes((ERR.KEEPALIVE_CANCEL,)))
    world.is_intact()
    reset(world.key)
    assert world.key.info.options["clientPin"] is False


@pytest.mark.case("CTAP 2.1, 6.6", needs="clientPin", withheld=True)
def test_a_reset_that_loses_its_power_before_the_touch_forgets_nothing(world):
    wire = Wire(world.key)
    channel = wire.allocate()
    wire.send(channel, CTAPHID.CBOR, RESET)
    assert wire.message().is_keepalive
    world.key.power_cycle()
    world.is_intact()


@pytest.mark.case("CTAP 2.1, 6.6 and 11.2.3", needs="clientPin")
def test_a_reset_in_one_channel_is_seen_in_another(world):
    wire = Wire(world.key)
    channel, other = wire.allocate(), wire.allocate()
    assert option_in(wire, other) is True
    with world.key.touch():
        assert wire.call(channel, CTAPHID.CBOR, RESET).data == b"\0"
    assert option_in(wire, other) is False
    assert option_in(wire, channel) is False


def option_in(wire, channel):
    """Return the option clientPin of getInfo, asked in a channel."""
    message = wire.call(channel, CTAPHID.CBOR, b"\x04")
    assert message.data[0] == 0
    return cbor.decode_from(message.data[1:])[0][4]["clientPin"]


# What is forgotten


@pytest.mark.case("CTAP 2.1, 6.6 (invalidates all generated credentials)", needs="clientPin")
@pytest.mark.parametrize("kind", ["resident", "non_resident"])
def test_a_credential_is_dead_after_a_reset(forgotten, kind):
    made = getattr(forgotten, kind)
    if made is None:
        not_offered("discoverable credentials")
    with refused(ERR.NO_CREDENTIALS):
        forgotten.key.get(made)


@pytest.mark.case("CTAP 2.1, 6.6 (erases all discoverable credentials)", needs=("clientPin", "rk"))
def test_no_discoverable_credential_is_left(forgotten):
    with refused(ERR.NO_CREDENTIALS):
        forgotten.key.get()


@pytest.mark.case("CTAP 2.1, 6.6", needs="clientPin")
def test_a_dead_credential_does_not_exclude_its_key(forgotten):
    ident = forgotten.non_resident.auth_data.credential_data.credential_id
    forgotten.key.make(exclude_list=[{"type": "public-key", "id": ident}])


@pytest.mark.case("CTAP 2.1, 6.6 (CTAP1/U2F too)", needs=("clientPin", "U2F_V2"))
def test_a_handle_of_u2f_is_dead_after_a_reset(forgotten):
    with pytest.raises(ApduError) as error:
        Ctap1(forgotten.key.device).authenticate(HASH, APPLICATION, forgotten.u2f.key_handle, check_only=True)
    assert error.value.code == 0x6A80


@pytest.mark.case("CTAP 2.1, 6.6 and 6.5", needs="clientPin")
def test_the_pin_is_gone_and_another_can_be_set(forgotten):
    client = forgotten.key.client_pin(forgotten.key.info.pin_uv_protocols[0])
    with refused(ERR.PIN_NOT_SET, ERR.PUAT_REQUIRED):
        client.get_pin_token(PIN)
    client.set_pin(OTHER_PIN)
    with refused(ERR.PIN_INVALID):
        client.get_pin_token(PIN)
    client.get_pin_token(OTHER_PIN)


@pytest.mark.case("CTAP 2.1, 6.6 and 6.5.2.2 (retries)", needs="clientPin")
@pytest.mark.parametrize("wrong", [1, 3])
def test_a_reset_gives_all_tries_back(world, wrong):
    key = world.key
    client = key.client_pin(key.info.pin_uv_protocols[0])
    full = client.get_pin_retries()[0]
    for number in range(wrong):
        with refused(ERR.PIN_INVALID, *([ERR.PIN_AUTH_BLOCKED] if number == 2 else [])):
            client.get_pin_token("0" * 8)
    assert client.get_pin_retries()[0] == full - wrong
    reset(key)
    key.client_pin(key.info.pin_uv_protocols[0]).set_pin(OTHER_PIN)
    client = key.client_pin(key.info.pin_uv_protocols[0])
    assert client.get_pin_retries()[0] == full
    client.get_pin_token(OTHER_PIN)


@pytest.mark.case("CTAP 2.1, 6.6 and 6.5.2.2 (PIN_BLOCKED: only a reset helps)", needs="clientPin")
def test_a_blocked_pin_is_healed_by_a_reset(world):
    key = world.key
    for _ in range(8):
        client = key.client_pin(key.info.pin_uv_protocols[0])
        if client.get_pin_retries()[0] == 0:
            break
        for _ in range(3):
            with refused(ERR.PIN_INVALID, ERR.PIN_AUTH_BLOCKED, ERR.PIN_BLOCKED):
                client.get_pin_token("0" * 8)
        key.power_cycle()
    with refused(ERR.PIN_BLOCKED):
        key.client_pin(key.info.pin_uv_protocols[0]).get_pin_token(PIN)
    reset(key)
    client = key.client_pin(key.info.pin_uv_protocols[0])
    client.set_pin(OTHER_PIN)
    client.get_pin_token(OTHER_PIN)


@pytest.mark.case("CTAP 2.1, 6.6 and 6.5.2.1", needs=("clientPin", "pinUvAuthToken"))
def test_a_token_from_before_is_worth_nothing(world):
    key = world.key
    authorisation = key.auth(HASH, ClientPin.PERMISSION.MAKE_CREDENTIAL, RP["id"])
    reset(key)
    # Without a PIN, step 11 of 6.1.2 ignores the token, or the key refuses it. It verifies no user.
    made = unless_refused(lambda: key.make(**authorisation), ERR.PIN_AUTH_INVALID, ERR.PIN_NOT_SET)
    assert made is None or not made.auth_data.is_user_verified()
    key.client_pin(key.info.pin_uv_protocols[0]).set_pin(PIN)
    with refused(ERR.PIN_AUTH_INVALID):
        key.make(**authorisation)


@pytest.mark.case("CTAP 2.1, 6.6 and 6.8", needs=("clientPin", "credMgmt", "pinUvAuthToken"))
def test_credential_management_finds_nothing_any_more(forgotten):
    key = forgotten.key
    key.client_pin(key.info.pin_uv_protocols[0]).set_pin(PIN)
    key.pin = PIN
    key.connect()
    management = CredentialManagement(key.ctap, *key.token(ClientPin.PERMISSION.CREDENTIAL_MGMT))
    assert management.get_metadata()[CredentialManagement.RESULT.EXISTING_CRED_COUNT] == 0


@pytest.mark.case("CTAP 2.1, 6.6 (the large-blob array to its initial value) and 6.10", needs="clientPin")
def test_the_large_blob_array_is_the_initial_one(world):
    key = world.key
    if not key.info.options.get("largeBlobs"):
        pytest.skip(f"{NOT_OFFERED}: largeBlobs is not true in getInfo")
    protocol, token = key.token(ClientPin.PERMISSION.LARGE_BLOB_WRITE)
    LargeBlobs(key.ctap, protocol, token).write_blob_array([{1: b"not a blob"}])
    key.power_cycle()
    reset(key)
    initial = bytes.fromhex("8076be8b528d0075f7aae98d6fa57a6d3c")
    assert key.ctap.large_blobs(0, get=1000)[1] == initial


@pytest.mark.case("CTAP 2.1, 6.6 and 7.2 (alwaysUv back to its default)", needs=("alwaysUv", "authnrCfg"))
def test_always_uv_is_what_it_was_when_delivered(world):
    key = world.key
    delivered, now = key.delivered["alwaysUv"], key.info.options["alwaysUv"]
    if now is delivered:
        config = Config(key.ctap, *key.token(ClientPin.PERMISSION.AUTHENTICATOR_CFG))
        if unless_refused(lambda: _toggled(config), ERR.OPERATION_DENIED) is None:
            not_offered("alwaysUv cannot be switched off")
    key.power_cycle()
    assert key.info.options["alwaysUv"] is not delivered
    reset(key)
    assert key.info.options["alwaysUv"] is delivered


@pytest.mark.case("CTAP 2.1, 6.4 (minPINLength: on reset) and 6.6", needs=("setMinPINLength", "authnrCfg"))
def test_the_minimum_pin_length_is_what_it_was_when_delivered(world):
    key = world.key
    delivered = key.info.min_pin_length
    Config(key.ctap, *key.token(ClientPin.PERMISSION.AUTHENTICATOR_CFG)).set_min_pin_length(
        delivered + 1, force_change_pin=True
    )
    key.power_cycle()
    assert key.info.min_pin_length == delivered + 1
    assert key.info.force_pin_change is True
    reset(key)
    assert key.info.min_pin_length == delivered
    assert key.info.force_pin_change is False
    key.client_pin(key.info.pin_uv_protocols[0]).set_pin(PIN[:delivered])


# What is kept


@pytest.mark.case("CTAP 2.1, 6.6 and WebAuthn 2, 6.5.1", needs="clientPin")
def test_the_aaguid_and_the_attestation_certificate_are_kept(forgotten):
    made = forgotten.key.make()
    assert made.auth_data.credential_data.aaguid == forgotten.non_resident.auth_data.credential_data.aaguid
    assert made.fmt == forgotten.non_resident.fmt
    assert made.att_stmt.get("x5c") == forgotten.non_resident.att_stmt.get("x5c")


@pytest.mark.case("CTAP 2.1, 6.6 and 6.4", needs="clientPin")
def test_getinfo_is_that_of_a_new_key(world):
    before = world.key.info
    reset(world.key)
    after = world.key.info
    assert after.options == {**world.key.delivered, "clientPin": False}
    for name in ("versions", "extensions", "aaguid", "max_msg_size", "pin_uv_protocols", "firmware_version"):
        assert getattr(after, name) == getattr(before, name), name


@pytest.mark.case("CTAP 2.1, 6.6 (and solo1 #189)", needs="clientPin")
@pytest.mark.parametrize("resident", [False, True], ids=["not discoverable", "discoverable"])
def test_a_credential_made_after_a_reset_survives_a_power_cycle(forgotten, resident):
    key = forgotten.key
    if resident and not key.info.options.get("rk"):
        pytest.skip(f"{NOT_OFFERED}: discoverable credentials")
    made = key.make(options={"rk": True} if resident else None)
    key.power_cycle()
    assert key.get(made).auth_data.is_user_present()
    with refused(ERR.NO_CREDENTIALS):
        key.get(forgotten.non_resident)


@pytest.mark.case("CTAP 2.1, 6.6", needs="clientPin")
def test_what_was_forgotten_stays_forgotten_after_a_power_cycle(forgotten):
    key = forgotten.key
    key.power_cycle()
    assert key.info.options["clientPin"] is False
    for made in filter(None, (forgotten.resident, forgotten.non_resident)):
        with refused(ERR.NO_CREDENTIALS):
            key.get(made)


# Keys that are reset in another way


def in_use(key):
    """Make a credential and cycle the power. The credential still asserts unless the key was reset."""
    made = key.make()
    key.power_cycle()
    return made


@pytest.mark.case("CTAP 2.2, 6.4 (longTouchForReset) and 6.6", any_state=True)
def test_a_short_touch_does_not_reset_a_key_that_wants_a_long_one(blank):
    if not blank.info.long_touch_for_reset:
        not_offered("longTouchForReset")
    if blank.rig.touch.press_us is None or blank.rig.touch.press_us >= LONG_TOUCH_US:
        not_offered(
            "a rig with a short touch: on this one a touch lasts until the key has answered; press_s ends it"
        )
    made = in_use(blank)
    with blank.touch(), refused_somehow(ERR.USER_ACTION_TIMEOUT):
        blank.ctap.reset()
    assert blank.get(made).auth_data.is_user_present()


@pytest.mark.case("CTAP 2.2, 6.4 (transportsForReset) and 6.6", any_state=True)
def test_a_key_is_not_reset_over_a_transport_that_it_does_not_name(blank):
    transports = blank.info.transports_for_reset
    if not transports or "usb" in transports:
        not_offered("transportsForReset without usb")
    made = in_use(blank)
    with blank.touch(), refused_somehow(ERR.NOT_ALLOWED):
        blank.ctap.reset()
    assert blank.get(made).auth_data.is_user_present()
