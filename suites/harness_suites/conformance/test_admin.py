"""The admin application of a Nitrokey 3: vendor commands by hand, and the vendor's SDK on top of them.

What is asked is what admin-app 70086d9 and the firmware's CHANGELOG document. The
ConfigStatus values READ_FAILED, WRITE_FAILED, SERIALIZATION_FAILED and DATA_TOO_LONG tell of a broken store
and of replies beyond the buffer: nothing that a host sends leads to them, so no case asks for them.

UPDATE is only ever sent without an argument: its destructive form erases the first page of an LPC55.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from fido2 import cbor
from fido2.ctap import STATUS, CtapError
from fido2.hid import CAPABILITY, CTAPHID
from nitrokey.nk3 import NK3
from nitrokey.nkpk import NKPK
from nitrokey.trussed import ConnectionError as SdkConnectionError
from nitrokey.trussed import CtapErrorCode, DeviceError, TimeoutException, Version
from nitrokey.trussed._connection.ctaphid import CtapHidConnection
from nitrokey.trussed.admin_app import BootMode, ConfigFieldType

from harness.api import NOT_OFFERED, CallerError, KeyGone, Refused, RigError, glass_box
from harness_cards.client import OK, CardClient
from harness_openpgp.client import OpenPgp
from harness_openpgp.home import verified_admin
from harness_suites.conformance.device import PIN, Authenticator, refused

ERR = CtapError.ERR
UPDATE, REBOOT, RNG, VERSION, UUID, LOCKED, ADMIN = 0x51, 0x53, 0x60, 0x61, 0x62, 0x63, 0x72
GET_STATUS, GET_CONFIG, SET_CONFIG, FACTORY_RESET, RESET_APP, LIST_FIELDS = 0x80, 0x82, 0x83, 0x84, 0x85, 0x86

CONFIG_OK, NOT_DESERIALIZED, INVALID_KEY, INVALID_VALUE, NOT_CONFIRMED = 0, 3, 5, 6, 8
RESET_DONE, RESET_NOT_CONFIRMED, RESET_NOT_ALLOWED, RESET_NOT_PARSED = 0, 1, 2, 3
SKIP_TOUCH = "fido.disable_skip_up_timeout"
"""A setting of every version that has settings: changed without touch, reboot or loss."""

ADMIN_AID = bytes.fromhex("A00000084700000001")
CHIP_BLOCKS = 512
"""Blocks of 4 KiB in the external flash of 2 MiB (GD25Q16C), of which the file system has fewer."""
PATIENCE_US = 15_000_000
"""How long the admin application waits for a touch."""
SLACK_US = 3_000_000
SDK_CLASSES = {0x42B2: NK3, 0x42F3: NKPK}


def call(key: Authenticator, command: int, data: bytes = b"") -> bytes:
    """Send a vendor command."""
    return key.device.call(command, data)


def admin(key: Authenticator, command: int, data: bytes = b"") -> bytes:
    """Send a command in the namespace of the admin application."""
    return call(key, ADMIN, bytes((command,)) + data)


def require_admin(key: Authenticator) -> None:
    """Skip unless this is a Nitrokey whose admin application has its namespace."""
    descriptor = key.device.descriptor
    if descriptor.vid != 0x20A0 or descriptor.pid not in SDK_CLASSES:
        pytest.skip(f"{NOT_OFFERED}: {descriptor.vid:04x}:{descriptor.pid:04x} is no Nitrokey 3 or Passkey")
    try:
        admin(key, GET_STATUS)
    except CtapError as error:
        if error.code != ERR.INVALID_COMMAND:
            raise
        pytest.skip(f"{NOT_OFFERED}: no admin application")


@pytest.fixture
def nitrokey(blank):
    """A Nitrokey after a reset."""
    require_admin(blank)
    return blank


@pytest.fixture
def lived_in(with_pin):
    """A Nitrokey with a PIN and a discoverable credential: `made`."""
    require_admin(with_pin)
    with_pin.made = with_pin.make(options={"rk": True})
    return with_pin


@pytest.fixture
def sdk(nitrokey):
    return open_sdk(nitrokey)


def open_sdk(key):
    """The SDK on the key's own channel: a second reader of the same device would see the other's packets."""
    return SDK_CLASSES[key.device.descriptor.pid](CtapHidConnection(key.device))


def is_intact(key):
    """Check that everything that `lived_in` put on the key is still there."""
    key.connect()
    assert key.info.options["clientPin"] is True
    key.client_pin().get_pin_token(PIN)
    assert key.get(key.made).auth_data.is_user_present()


def is_gone(key):
    """Wait until the connection is dead: the key has left the bus."""
    try:
        for _ in range(50):
            key.device.ping(b"still there?")
            key.rig.clock.wait_us(100_000)
    except (OSError, KeyGone):
        return True
    return False


def comes_back(key):
    """Check that the key reboots by itself, and that its application answers again."""
    assert is_gone(key), "the key never left the bus"
    key.rig.wait_until_up()
    key.connect()


# Version


@pytest.mark.case("admin-app, VERSION (0x61)")
def test_the_version_as_text_is_what_the_sdk_reads(nitrokey, sdk):
    text = call(nitrokey, VERSION, b"\1").decode()
    assert Version.from_str(text) == sdk.admin.version()


@pytest.mark.case("admin-app, VERSION (major << 22 | minor << 6 | patch)")
def test_the_version_as_an_integer_is_that_of_the_text(nitrokey):
    number = call(nitrokey, VERSION)
    assert len(number) == 4
    text = call(nitrokey, VERSION, b"\1").decode()
    major, minor, patch = map(int, text.partition("+")[0].partition("-")[0].split("."))
    assert int.from_bytes(number, "big") == major << 22 | minor << 6 | patch


@pytest.mark.case("admin-app, VERSION (text for an argument of 1 only)")
@pytest.mark.parametrize("argument", [b"\0", b"\2", b"\xff", b"\0\1"], ids=lambda one: one.hex())
def test_any_other_argument_gives_the_integer(nitrokey, argument):
    assert call(nitrokey, VERSION, argument) == call(nitrokey, VERSION)


@pytest.mark.case("admin-app, VERSION")
def test_what_follows_the_argument_does_not_matter(nitrokey):
    text = call(nitrokey, VERSION, b"\1")
    assert call(nitrokey, VERSION, b"\1" + bytes(500)) == text


@pytest.mark.case("admin-app, ADMIN (0x72): old commands too")
@pytest.mark.parametrize(
    "command, data", [(VERSION, b""), (VERSION, b"\1"), (UUID, b""), (LOCKED, b"")], ids=lambda one: str(one)
)
def test_an_old_command_says_the_same_in_the_namespace(nitrokey, command, data):
    assert admin(nitrokey, command, data) == call(nitrokey, command, data)


# UUID, lock, random numbers, wink


@pytest.mark.case("admin-app, UUID (0x62)")
def test_the_uuid_is_16_bytes_and_what_the_sdk_reads(nitrokey, sdk):
    uuid = call(nitrokey, UUID)
    # Version 1.0.0 answers nothing, and the SDK says None.
    if not uuid:
        assert sdk.uuid() is None
    else:
        assert len(uuid) == 16
        assert any(uuid)
        assert int(sdk.uuid()) == int.from_bytes(uuid, "big")


@pytest.mark.case("admin-app, UUID and VERSION")
def test_uuid_and_version_survive_power_cycle_and_reset(nitrokey):
    before = call(nitrokey, UUID), call(nitrokey, VERSION, b"\1")
    nitrokey.power_cycle()
    nitrokey.reset()
    assert (call(nitrokey, UUID), call(nitrokey, VERSION, b"\1")) == before


@pytest.mark.case("admin-app, LOCKED (0x63)")
def test_locked_is_one_byte_and_what_the_sdk_reads(nitrokey, sdk):
    locked = call(nitrokey, LOCKED)
    assert locked in (b"\0", b"\1")
    assert sdk.admin.is_locked() is (locked == b"\1")


@pytest.mark.case("admin-app, RNG (0x60): 57 bytes")
def test_random_numbers_are_57_bytes_and_never_the_same(nitrokey, sdk):
    numbers = [call(nitrokey, RNG) for _ in range(3)] + [sdk.admin.rng()]
    assert {len(one) for one in numbers} == {57}
    assert len(set(numbers)) == 4
    assert all(len(set(one)) > 20 for one in numbers)


@pytest.mark.case("admin-app, RNG")
def test_random_numbers_are_others_after_a_power_cycle(nitrokey):
    before = call(nitrokey, RNG)
    nitrokey.power_cycle()
    assert call(nitrokey, RNG) != before


@pytest.mark.case("admin-app, WINK (0x08) and CTAP 2.1, 11.2.9.2.1")
def test_the_key_winks(nitrokey, sdk):
    assert CAPABILITY.WINK in CAPABILITY(nitrokey.device.capabilities)
    assert call(nitrokey, CTAPHID.WINK) == b""
    sdk.wink()


# Status


@pytest.mark.case("admin-app, STATUS (0x80)")
def test_the_status_is_as_long_as_a_version_has_it(nitrokey):
    # One byte at first, then with free blocks and variant, later with model and revision.
    assert len(admin(nitrokey, GET_STATUS)) in (1, 4, 5, 7)


@pytest.mark.case("admin-app, STATUS; invariant E1")
def test_nothing_failed_in_this_boot_nor_in_the_next(nitrokey):
    assert admin(nitrokey, GET_STATUS)[0] == 0
    nitrokey.power_cycle()
    assert admin(nitrokey, GET_STATUS)[0] == 0


@pytest.mark.case("admin-app, STATUS and the SDK's Status")
def test_the_sdk_reads_what_the_status_says(nitrokey, sdk):
    reply, status = admin(nitrokey, GET_STATUS), sdk.admin.status()
    assert int(status.init_status) == reply[0]
    assert str(status.init_status) == "ok"
    if len(reply) >= 4:
        assert status.ifs_blocks == reply[1]
        assert status.efs_blocks == int.from_bytes(reply[2:4], "big")
    if len(reply) >= 5:
        assert status.variant is not None, f"variant {reply[4]} is unknown to the SDK"
        assert status.variant.value == reply[4]


@pytest.mark.case("nitropy nk3 test (at least 5 blocks inside, 10 outside)")
def test_there_is_room_in_both_file_systems(nitrokey, sdk):
    status = sdk.admin.status()
    if status.ifs_blocks is None:
        pytest.skip(f"{NOT_OFFERED}: this version does not say how much is free")
    assert status.ifs_blocks >= 5
    assert 10 <= status.efs_blocks <= CHIP_BLOCKS
    inside = glass_box(nitrokey.rig)
    if inside is not None:
        # What a byte and two bytes can tell of the blocks that are free in a simulated key.
        free = inside.free_blocks()
        told = (status.ifs_blocks, status.efs_blocks)
        assert told == (min(free["internal"], 0xFF), min(free["external"], 0xFFFF)), f"{told} of {free}"


@pytest.mark.case("invariant E2: no leak")
def test_a_reset_gives_the_room_back_that_credentials_took(nitrokey, sdk):
    if sdk.admin.status().ifs_blocks is None:
        pytest.skip(f"{NOT_OFFERED}: this version does not say how much is free")
    before = sdk.admin.status().ifs_blocks
    for number in range(5):
        nitrokey.make(user={"id": bytes((number,)), "name": str(number)}, options={"rk": True})
    nitrokey.power_cycle()
    nitrokey.reset()
    # The reply has room for 255; a directory block more or less is no leak.
    assert open_sdk(nitrokey).admin.status().ifs_blocks >= before - 2


@pytest.mark.case("admin-app, STATUS")
def test_what_follows_the_command_does_not_matter(nitrokey):
    assert admin(nitrokey, GET_STATUS, bytes(100)) == admin(nitrokey, GET_STATUS)


# The namespace


@pytest.mark.case("admin-app, ADMIN without a command")
def test_the_namespace_alone_is_refused(nitrokey):
    with refused(ERR.INVALID_LENGTH):
        call(nitrokey, ADMIN)


@pytest.mark.case("admin-app, UnsupportedCommand")
@pytest.mark.parametrize("command", [0x00, 0x50, 0x52, 0x7F, 0x87, 0xA0, 0xFF], ids=lambda one: f"{one:#04x}")
def test_an_unknown_command_is_refused(nitrokey, command):
    with refused(ERR.INVALID_COMMAND):
        admin(nitrokey, command)
    assert admin(nitrokey, GET_STATUS)[0] == 0


# Configuration


def get(key, name):
    """Return status and value of a setting."""
    reply = admin(key, GET_CONFIG, name if isinstance(name, bytes) else name.encode())
    return reply[0], reply[1:]


def put(key, request):
    """Send SET_CONFIG and return its status."""
    reply = admin(key, SET_CONFIG, request if isinstance(request, bytes) else cbor.encode(request))
    assert len(reply) == 1
    return reply[0]


def setting(name, value):
    return {"key": name, "value": value}


def fields(key):
    """Return the settings of the key; skip if it cannot list them (before 1.8.0)."""
    try:
        return cbor.decode(admin(key, LIST_FIELDS))
    except CtapError as error:
        if error.code != ERR.INVALID_COMMAND:
            raise
        pytest.skip(f"{NOT_OFFERED}: this version does not list its settings")


def touched_field(key):
    """Return the name of a setting that needs a touch."""
    names = [field["n"] for field in fields(key) if field["c"]]
    if not names:
        pytest.skip(f"{NOT_OFFERED}: no setting needs a touch")
    return names[0]


@pytest.mark.case("admin-app, LIST_AVAILABLE_FIELDS (0x86)")
def test_settings_are_listed_with_what_changing_them_takes(nitrokey):
    listed = fields(nitrokey)
    for field in listed:
        assert set(field) >= {"n", "c", "r", "d", "t"}
        assert type(field["n"]) is str
        assert [type(field[name]) for name in "crdt"] == [bool, bool, bool, int]
        assert field["c"] or not field["d"], f"{field['n']} deletes data and asks for no touch"
    names = [field["n"] for field in listed]
    assert len(set(names)) == len(names)
    assert SKIP_TOUCH in names


@pytest.mark.case("admin-app, LIST_AVAILABLE_FIELDS and the SDK")
def test_the_sdk_lists_the_same_settings(nitrokey, sdk):
    # Without the command the SDK invents those of 1.7.0.
    listed = [
        (one["n"], one["c"], one["r"], one["d"], ConfigFieldType.from_int(one["t"]))
        for one in fields(nitrokey)
    ]
    assert listed == [
        (one.name, one.requires_touch_confirmation, one.requires_reboot, one.destructive, one.ty)
        for one in sdk.admin.list_available_fields()
    ]


@pytest.mark.case("admin-app, GET_CONFIG (0x82)")
def test_every_setting_that_is_listed_can_be_read(nitrokey, sdk):
    for field in sdk.admin.list_available_fields():
        status, value = get(nitrokey, field.name)
        assert status == CONFIG_OK
        assert field.ty.is_valid(value.decode())
        assert sdk.admin.get_config(field.name) == value.decode()
        assert sdk.admin.has_config(field.name)


UNKNOWN_KEYS = {
    "nothing": b"",
    "another": b"fido.keyharness",
    "an application": b"fido",
    "with a blank": SKIP_TOUCH.encode() + b" ",
    "no UTF-8": b"\xff\xfe",
    "long": b"x" * 1000,
}


@pytest.mark.case("admin-app, GET_CONFIG: InvalidKey")
@pytest.mark.parametrize("name", UNKNOWN_KEYS.values(), ids=UNKNOWN_KEYS)
def test_a_setting_that_does_not_exist_cannot_be_read(nitrokey, name):
    assert get(nitrokey, name) == (INVALID_KEY, b"")


@pytest.mark.case("the SDK's ConfigStatus.INVALID_KEY")
def test_the_sdk_says_that_a_setting_does_not_exist(sdk):
    assert not sdk.admin.has_config("fido.keyharness")
    with pytest.raises(Exception, match="INVALID_KEY"):
        sdk.admin.get_config("fido.keyharness")
    with pytest.raises(Exception, match="INVALID_KEY"):
        sdk.admin.set_config("fido.keyharness", "true")


@pytest.fixture
def skip_touch(nitrokey):
    """Give the value of the setting that can be changed without harm, and restore it afterwards."""
    status, value = get(nitrokey, SKIP_TOUCH)
    if status == INVALID_KEY:
        pytest.skip(f"{NOT_OFFERED}: no setting {SKIP_TOUCH}")
    yield value.decode()
    nitrokey.connect()
    put(nitrokey, setting(SKIP_TOUCH, value.decode()))


@pytest.mark.case("admin-app, SET_CONFIG (0x83)")
def test_a_setting_is_changed_and_survives_a_power_cycle(nitrokey, skip_touch):
    other = {"true": "false", "false": "true"}[skip_touch]
    for value in (other, skip_touch, other):
        assert put(nitrokey, setting(SKIP_TOUCH, value)) == CONFIG_OK
        assert get(nitrokey, SKIP_TOUCH) == (CONFIG_OK, value.encode())
    nitrokey.power_cycle()
    assert get(nitrokey, SKIP_TOUCH) == (CONFIG_OK, other.encode())


@pytest.mark.case("the SDK's set_config")
def test_the_sdk_changes_a_setting(sdk, skip_touch):
    other = {"true": "false", "false": "true"}[skip_touch]
    sdk.admin.set_config(SKIP_TOUCH, other)
    assert sdk.admin.get_config(SKIP_TOUCH) == other


@pytest.mark.case("admin-app, SET_CONFIG")
@pytest.mark.parametrize("neighbour", ["true", "false"])
def test_a_setting_that_is_changed_leaves_the_others_alone(nitrokey, skip_touch, neighbour):
    others = [field["n"] for field in fields(nitrokey) if field["n"] != SKIP_TOUCH]
    free = [field["n"] for field in fields(nitrokey) if not field["c"] and not field["d"]]
    before = {name: get(nitrokey, name) for name in others}
    # A setting that was never on cannot be seen to be switched off.
    switched = [name for name in free if name in before]
    for name in switched:
        assert put(nitrokey, setting(name, neighbour)) == CONFIG_OK
    wanted = {**before, **dict.fromkeys(switched, (CONFIG_OK, neighbour.encode()))}
    try:
        for value in ({"true": "false", "false": "true"}[skip_touch], skip_touch):
            assert put(nitrokey, setting(SKIP_TOUCH, value)) == CONFIG_OK
            assert {name: get(nitrokey, name) for name in others} == wanted
    finally:
        for name in switched:
            put(nitrokey, setting(name, before[name][1].decode()))


@pytest.mark.case("admin-app, SET_CONFIG: InvalidValue")
@pytest.mark.parametrize(
    "value", ["", "1", "TRUE", "true ", "maybe", "t" * 500], ids=lambda one: one[:8] or "''"
)
def test_a_value_that_is_none_is_refused_and_changes_nothing(nitrokey, skip_touch, value):
    assert put(nitrokey, setting(SKIP_TOUCH, value)) == INVALID_VALUE
    assert get(nitrokey, SKIP_TOUCH) == (CONFIG_OK, skip_touch.encode())


@pytest.mark.case("the SDK's ConfigStatus.INVALID_VALUE")
def test_the_sdk_says_that_a_value_is_none(sdk, skip_touch):
    with pytest.raises(Exception, match="INVALID_VALUE"):
        sdk.admin.set_config(SKIP_TOUCH, "maybe")


@pytest.mark.case("admin-app, SET_CONFIG: InvalidKey")
@pytest.mark.parametrize(
    "name", ["", "fido", "fido.", "fido.keyharness", "x" * 300], ids=lambda one: one[:8] or "''"
)
def test_a_setting_that_does_not_exist_cannot_be_changed(nitrokey, name):
    assert put(nitrokey, setting(name, "true")) == INVALID_KEY


BROKEN = {
    "nothing": b"",
    "no CBOR": b"\xff",
    "cut short": cbor.encode(setting(SKIP_TOUCH, "true"))[:-2],
    "an array": cbor.encode(["true"]),
    "a text": cbor.encode("true"),
    "no key": cbor.encode({"value": "true"}),
    "no value": cbor.encode({"key": SKIP_TOUCH}),
    "a truth for a text": cbor.encode({"key": SKIP_TOUCH, "value": True}),
    "a number for a text": cbor.encode({"key": 1, "value": "true"}),
}


@pytest.mark.case("admin-app, SET_CONFIG: DeserializationFailed")
@pytest.mark.parametrize("request_", BROKEN.values(), ids=BROKEN)
def test_a_request_that_is_none_is_refused_and_changes_nothing(nitrokey, skip_touch, request_):
    assert put(nitrokey, request_) == NOT_DESERIALIZED
    assert get(nitrokey, SKIP_TOUCH) == (CONFIG_OK, skip_touch.encode())


@pytest.mark.case("admin-app, SET_CONFIG: NotConfirmed", withheld=True)
def test_a_setting_that_needs_a_touch_is_not_changed_without_one(nitrokey):
    name = touched_field(nitrokey)
    before = get(nitrokey, name)
    start_us = nitrokey.rig.clock.now_us
    assert put(nitrokey, setting(name, "true" if before[1] == b"false" else "false")) == NOT_CONFIRMED
    assert abs(nitrokey.rig.clock.now_us - start_us - PATIENCE_US) < SLACK_US
    assert get(nitrokey, name) == before


@pytest.mark.case("the SDK's ConfigStatus, which has no NotConfirmed", withheld=True)
def test_the_sdk_calls_a_missing_touch_an_unknown_error(nitrokey, sdk):
    name = touched_field(nitrokey)
    value = sdk.admin.get_config(name)
    with pytest.raises(Exception, match=r"unknown error 8|NOT_CONFIRMED"):
        sdk.admin.set_config(name, value)


@pytest.mark.case("admin-app, SET_CONFIG with a touch")
def test_a_setting_that_needs_a_touch_is_changed_with_one(nitrokey):
    # Destructive where the field says so: the keys of this suite are expendable.
    name = touched_field(nitrokey)
    before = get(nitrokey, name)[1].decode()
    for value in ({"true": "false", "false": "true"}[before], before):
        with nitrokey.touch():
            assert put(nitrokey, setting(name, value)) == CONFIG_OK
        assert get(nitrokey, name) == (CONFIG_OK, value.encode())


@pytest.mark.case("admin-app, SET_CONFIG; invariant F1")
def test_settings_do_nothing_to_fido(lived_in):
    status, value = get(lived_in, SKIP_TOUCH)
    if status == INVALID_KEY:
        pytest.skip(f"{NOT_OFFERED}: no setting {SKIP_TOUCH}")
    for new in ("true", "false", value.decode()):
        assert put(lived_in, setting(SKIP_TOUCH, new)) == CONFIG_OK
    is_intact(lived_in)


# Factory reset


@pytest.fixture
def resettable(lived_in):
    """A key that has the commands of factory reset: one of an unknown application is refused at once."""
    try:
        admin(lived_in, RESET_APP, b"keyharness")
    except CtapError as error:
        if error.code != ERR.INVALID_COMMAND:
            raise
        pytest.skip(f"{NOT_OFFERED}: no factory reset")
    return lived_in


@pytest.mark.case("admin-app, FACTORY_RESET (0x84): not confirmed", withheld=True)
def test_without_a_touch_a_factory_reset_forgets_nothing(resettable):
    start_us = resettable.rig.clock.now_us
    assert admin(resettable, FACTORY_RESET) == bytes((RESET_NOT_CONFIRMED,))
    assert abs(resettable.rig.clock.now_us - start_us - PATIENCE_US) < SLACK_US
    is_intact(resettable)


@pytest.mark.case("the SDK's FactoryResetStatus.NOT_CONFIRMED", withheld=True)
def test_the_sdk_says_that_a_factory_reset_was_not_confirmed(resettable):
    with pytest.raises(Exception, match="not confirmed with touch"):
        open_sdk(resettable).admin.factory_reset()
    is_intact(resettable)


@pytest.mark.case("admin-app, FACTORY_RESET and CTAP 2.1, 11.2.9.1.7")
def test_a_factory_reset_says_that_it_waits_for_a_touch(resettable):
    said: list[STATUS] = []
    resettable.device.call(ADMIN, bytes((FACTORY_RESET,)), on_keepalive=said.append)
    assert STATUS.UPNEEDED in said


def factory_reset(key):
    """Send the command with a touch. The key reboots instead of answering."""
    with pytest.raises(OSError), key.touch():
        admin(key, FACTORY_RESET)
    key.pin = None
    comes_back(key)


@pytest.mark.case("admin-app, FACTORY_RESET")
def test_a_factory_reset_forgets_pin_and_credentials(resettable):
    factory_reset(resettable)
    assert resettable.info.options["clientPin"] is False
    with refused(ERR.NO_CREDENTIALS):
        resettable.get(resettable.made)


@pytest.mark.case("admin-app, FACTORY_RESET")
def test_a_factory_reset_forgets_the_settings(resettable, request):
    if get(resettable, SKIP_TOUCH)[0] != CONFIG_OK:
        pytest.skip(f"{NOT_OFFERED}: no setting {SKIP_TOUCH}")
    assert put(resettable, setting(SKIP_TOUCH, "true")) == CONFIG_OK
    factory_reset(resettable)
    assert get(resettable, SKIP_TOUCH) == (CONFIG_OK, b"false")


LOGIN, LOGIN_DATA = 0x5E, b"keyharness"


@pytest.mark.case("admin-app, FACTORY_RESET and UPDATE as APDUs: not confirmed", withheld=True)
@pytest.mark.parametrize(
    "command", [FACTORY_RESET, RESET_APP, UPDATE], ids=["factory-reset", "reset-openpgp", "update"]
)
def test_without_a_touch_nothing_is_reset_over_the_card_interface(resettable, command):
    """The same commands come as APDUs, from any program that may use a smart card."""
    with_login_data(resettable)
    try:
        reader = CardClient(resettable.rig)
        _, selected = reader.exchange(0xA4, 0x04, 0x00, ADMIN_AID)
    except (Refused, RigError) as error:
        pytest.skip(f"{NOT_OFFERED}: no card interface ({error})")
    if selected != OK:
        pytest.skip(f"{NOT_OFFERED}: the admin application is not on the card interface")
    try:
        answer, status = reader.exchange(command, data=b"opcard" if command == RESET_APP else b"")
    except (OSError, KeyGone):
        raise AssertionError("without a touch the key left the bus") from None
    assert status != OK or answer == bytes((RESET_NOT_CONFIRMED,)), f"answered {answer.hex()} {status:04x}"
    is_intact(resettable)
    assert opcard(resettable).get(LOGIN) == LOGIN_DATA, "login data of the OpenPGP card"


def opcard(key) -> OpenPgp:
    """The OpenPGP card of the key, as it left the factory or as it was left."""
    try:
        return OpenPgp(key.rig)
    except (Refused, RigError) as error:
        pytest.skip(f"{NOT_OFFERED}: no OpenPGP card can be asked ({error})")


def with_login_data(key):
    """Write an object to the OpenPGP card; skip a card whose PW3 is neither ours nor the one of the factory."""
    card = opcard(key)
    if key.rig.vault is None:
        pytest.skip(f"{NOT_OFFERED}: the state of this card cannot be copied, and the case writes to it")
    try:
        verified_admin(key.rig, card)
    except CallerError as error:
        pytest.skip(f"{NOT_OFFERED}: {error.found}")
    card.put(LOGIN, LOGIN_DATA)
    assert card.get(LOGIN) == LOGIN_DATA


@pytest.mark.case("admin-app, FACTORY_RESET: every application, OpenPGP too")
def test_a_factory_reset_forgets_what_is_on_the_openpgp_card(resettable):
    with_login_data(resettable)
    factory_reset(resettable)
    assert opcard(resettable).get(LOGIN) == b"", "login data of the OpenPGP card"
    resettable.power_cycle()
    assert opcard(resettable).get(LOGIN) == b"", "login data of the OpenPGP card, after a power cycle"


@pytest.mark.case("CTAP 2.1, 6.6: a reset is of FIDO2 alone")
def test_a_reset_of_fido_leaves_the_openpgp_card_alone(nitrokey):
    nitrokey.power_cycle()
    with_login_data(nitrokey)
    nitrokey.reset()
    nitrokey.power_cycle()
    assert opcard(nitrokey).get(LOGIN) == LOGIN_DATA, "login data of the OpenPGP card"


@pytest.mark.case("admin-app, opcard.disabled (with a reboot)")
def test_an_openpgp_card_that_is_switched_off_does_not_answer_and_loses_nothing(resettable):
    if get(resettable, "opcard.disabled")[0] != CONFIG_OK:
        pytest.skip(f"{NOT_OFFERED}: no setting opcard.disabled")
    with_login_data(resettable)
    assert put(resettable, setting("opcard.disabled", "true")) == CONFIG_OK
    resettable.power_cycle()
    with pytest.raises(Refused):
        OpenPgp(resettable.rig)
    assert put(resettable, setting("opcard.disabled", "false")) == CONFIG_OK
    resettable.power_cycle()
    assert opcard(resettable).get(LOGIN) == LOGIN_DATA, "login data of the OpenPGP card"


@pytest.mark.case("admin-app, FACTORY_RESET; invariants F5, F6, U8")
def test_a_factory_reset_keeps_identity_firmware_and_attestation(resettable):
    before = [
        call(resettable, command, data) for command, data in ((UUID, b""), (VERSION, b"\1"), (LOCKED, b""))
    ]
    factory_reset(resettable)
    assert [
        call(resettable, command, data) for command, data in ((UUID, b""), (VERSION, b"\1"), (LOCKED, b""))
    ] == before
    assert admin(resettable, GET_STATUS)[0] == 0
    made = resettable.make()
    assert made.auth_data.credential_data.aaguid == resettable.made.auth_data.credential_data.aaguid
    assert made.att_stmt.get("x5c") == resettable.made.att_stmt.get("x5c")


@pytest.mark.case("the SDK's factory_reset, which takes the reboot for a lost connection over CTAPHID")
def test_the_sdk_resets_a_key(resettable):
    # nitrokey 0.5.0 waits for an OSError there, which its transport has already turned into another error.
    with resettable.touch(), suppress(SdkConnectionError):
        assert open_sdk(resettable).admin.factory_reset()
    resettable.pin = None
    comes_back(resettable)
    assert resettable.info.options["clientPin"] is False


# Factory reset of one application


@pytest.mark.case("admin-app, FACTORY_RESET_APP (0x85): not allowed")
@pytest.mark.parametrize(
    "name", [b"keyharness", b"", b"admin", b"FIDO", b"fido "], ids=lambda one: repr(one)[2:-1]
)
def test_what_is_no_application_cannot_be_reset(resettable, name):
    # An empty name may also be no path to the firmware.
    with resettable.touch():
        reply = admin(resettable, RESET_APP, name)
    assert reply in [bytes((RESET_NOT_ALLOWED,)), *([] if name else [bytes((RESET_NOT_PARSED,))])]
    is_intact(resettable)


@pytest.mark.case("admin-app, FACTORY_RESET_APP: failed to parse")
@pytest.mark.parametrize("name", [b"\xff", b"op\xc3\x28card"], ids=lambda one: one.hex())
def test_a_name_that_is_no_text_cannot_be_reset(resettable, name):
    assert admin(resettable, RESET_APP, name) == bytes((RESET_NOT_PARSED,))


@pytest.mark.case("admin-app, FACTORY_RESET_APP: an answer without a touch")
def test_an_application_that_cannot_be_reset_asks_for_no_touch(resettable):
    start_us = resettable.rig.clock.now_us
    admin(resettable, RESET_APP, b"keyharness")
    assert resettable.rig.clock.now_us - start_us < PATIENCE_US / 3


def require_opcard(key):
    if get(key, "opcard.disabled")[0] != CONFIG_OK and get(key, "opcard.use_se050_backend")[0] != CONFIG_OK:
        pytest.skip(f"{NOT_OFFERED}: no OpenPGP card")


@pytest.mark.case("admin-app, FACTORY_RESET_APP: not confirmed", withheld=True)
def test_without_a_touch_no_application_is_reset(resettable):
    require_opcard(resettable)
    start_us = resettable.rig.clock.now_us
    assert admin(resettable, RESET_APP, b"opcard") == bytes((RESET_NOT_CONFIRMED,))
    assert abs(resettable.rig.clock.now_us - start_us - PATIENCE_US) < SLACK_US


@pytest.mark.case("admin-app, FACTORY_RESET_APP")
def test_the_reset_of_one_application_leaves_the_others_alone(resettable):
    require_opcard(resettable)
    with resettable.touch():
        assert admin(resettable, RESET_APP, b"opcard") == bytes((RESET_DONE,))
    is_intact(resettable)
    resettable.power_cycle()
    is_intact(resettable)


@pytest.mark.case("admin-app, FACTORY_RESET_APP: the settings of this application alone")
def test_the_reset_of_one_application_leaves_the_settings_of_the_others(resettable):
    require_opcard(resettable)
    status, was = get(resettable, SKIP_TOUCH)
    if status != CONFIG_OK:
        pytest.skip(f"{NOT_OFFERED}: no setting {SKIP_TOUCH}")
    assert put(resettable, setting(SKIP_TOUCH, "true")) == CONFIG_OK
    with resettable.touch():
        assert admin(resettable, RESET_APP, b"opcard") == bytes((RESET_DONE,))
    resettable.power_cycle()
    assert get(resettable, SKIP_TOUCH) == (CONFIG_OK, b"true")
    put(resettable, setting(SKIP_TOUCH, was.decode()))


@pytest.mark.case("admin-app, FACTORY_RESET_APP: FIDO2 has a reset of its own, so this is not allowed")
def test_fido_is_not_reset_this_way_and_asks_for_no_touch(resettable):
    start_us = resettable.rig.clock.now_us
    assert admin(resettable, RESET_APP, b"fido") == bytes((RESET_NOT_ALLOWED,))
    assert resettable.rig.clock.now_us - start_us < PATIENCE_US / 3
    with resettable.touch():
        assert admin(resettable, RESET_APP, b"fido") == bytes((RESET_NOT_ALLOWED,))
    is_intact(resettable)
    resettable.power_cycle()
    is_intact(resettable)


@pytest.mark.case("the SDK's FactoryResetStatus.APP_NOT_ALLOWED")
def test_the_sdk_says_that_an_application_cannot_be_reset(resettable):
    with pytest.raises(Exception, match="does not support factory reset"):
        open_sdk(resettable).admin.factory_reset_app("keyharness")


# Reboot and update


@pytest.mark.case("admin-app, REBOOT (0x53)")
@pytest.mark.parametrize("how", ["directly", "in the namespace", "by the SDK"])
def test_a_reboot_needs_no_touch_and_loses_nothing(lived_in, how):
    if how == "by the SDK":
        assert open_sdk(lived_in).admin.reboot(BootMode.FIRMWARE)
    else:
        with pytest.raises(OSError):
            call(lived_in, REBOOT) if how == "directly" else admin(lived_in, REBOOT)
    comes_back(lived_in)
    assert admin(lived_in, GET_STATUS)[0] == 0
    is_intact(lived_in)


@pytest.mark.case("admin-app, UPDATE (0x51): not confirmed is INVALID_LENGTH")
@pytest.mark.parametrize("namespace", [False, True], ids=["directly", "in the namespace"])
def test_without_a_touch_a_key_stays_in_its_application(lived_in, namespace):
    start_us = lived_in.rig.clock.now_us
    with refused(ERR.INVALID_LENGTH):
        admin(lived_in, UPDATE) if namespace else call(lived_in, UPDATE)
    assert abs(lived_in.rig.clock.now_us - start_us - PATIENCE_US) < SLACK_US
    is_intact(lived_in)


@pytest.mark.case("the SDK's TimeoutException", withheld=True)
def test_the_sdk_says_that_an_update_was_not_confirmed(lived_in):
    with pytest.raises(TimeoutException):
        open_sdk(lived_in).admin.reboot(BootMode.BOOTROM)
    is_intact(lived_in)


@pytest.mark.case("admin-app, UPDATE")
@pytest.mark.parametrize("by_sdk", [False, True], ids=["by hand", "by the SDK"])
def test_with_a_touch_a_key_leaves_for_its_bootloader_and_a_power_cycle_brings_it_back(lived_in, by_sdk):
    with lived_in.touch():
        if by_sdk:
            assert open_sdk(lived_in).admin.reboot(BootMode.BOOTROM)
        else:
            with pytest.raises(OSError):
                call(lived_in, UPDATE)
    assert is_gone(lived_in), "the application is still there"
    lived_in.power_cycle()
    assert admin(lived_in, GET_STATUS)[0] == 0
    is_intact(lived_in)


@pytest.mark.case("the SDK's DeviceError")
def test_the_sdk_names_the_error_of_a_command_that_is_too_short(nitrokey, sdk):
    with pytest.raises(DeviceError) as error:
        sdk.connection._call(ADMIN, b"")
    assert error.value.code == CtapErrorCode(ERR.INVALID_LENGTH)
