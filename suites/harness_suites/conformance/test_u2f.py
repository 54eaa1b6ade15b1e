"""CTAP1/U2F on a CTAP2 key: the messages, and the use of each protocol's credentials by the other.

"U2F raw" is FIDO U2F Raw Message Formats v1.2.
"""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256 as Es256Key
from fido2.cose import CoseKey
from fido2.ctap import STATUS, CtapError
from fido2.ctap1 import RegistrationData, SignatureData
from fido2.ctap2 import Config
from fido2.ctap2.pin import ClientPin
from fido2.hid import CTAPHID

from harness.api import NOT_OFFERED, deviates
from harness_suites.conformance.device import EDDSA, HASH, RP, not_offered, refused, unless_refused

CHALLENGE = hashlib.sha256(b"a challenge").digest()
APPLICATION = hashlib.sha256(RP["id"].encode()).digest()
OTHER = hashlib.sha256(b"other.keyharness.example").digest()

REGISTER, AUTHENTICATE, VERSION = 1, 2, 3
CHECK_ONLY, ENFORCE, DONT_ENFORCE = 0x07, 0x03, 0x08
OK, NOT_SATISFIED, NOT_ALLOWED, WRONG_DATA, WRONG_LENGTH = 0x9000, 0x6985, 0x6986, 0x6A80, 0x6700
INS_NOT_SUPPORTED, CLA_NOT_SUPPORTED = 0x6D00, 0x6E00
TOUCH_TRIES, RETRY_US = 100, 100_000
"""U2F does not wait for a touch: a client asks again until it has come."""


def apdu(instruction, p1=0, data=b"", cla=0):
    """Return an APDU of extended length with Le, as U2F over HID uses them."""
    body = b"\0" + len(data).to_bytes(2, "big") + data if data else b"\0"
    return bytes((cla, instruction, p1, 0)) + body + b"\0\0"


def send(key, message):
    """Send a U2F message; return data and status word."""
    response = key.device.call(CTAPHID.MSG, message)
    assert len(response) >= 2, f"a response of {len(response)} bytes"
    return response[:-2], int.from_bytes(response[-2:], "big")


def touched(key, message):
    """Send a U2F message again until the key is touched; return its data."""
    with key.touch():
        for _ in range(TOUCH_TRIES):
            data, word = send(key, message)
            if word != NOT_SATISFIED:
                break
            key.rig.clock.wait_us(RETRY_US)
    assert word == OK, f"{word:04x}"
    return data


def register(key, application=APPLICATION):
    return RegistrationData(touched(key, apdu(REGISTER, 0, CHALLENGE + application)))


def sign_request(handle, control=ENFORCE, application=APPLICATION):
    return apdu(AUTHENTICATE, control, CHALLENGE + application + bytes((len(handle),)) + handle)


def sign(key, handle, application=APPLICATION):
    return SignatureData(touched(key, sign_request(handle, application=application)))


def refuses(key, message, *words):
    """Check that the key answers with one of these status words and no data."""
    data, word = send(key, message)
    assert word in words, f"{word:04x} instead of {' or '.join(f'{one:04x}' for one in words)}"
    assert data == b""


def signs_through_u2f(key, made):
    """Skip unless a credential of CTAP2 is a U2F handle, too. Sections ask for the other direction only."""
    data, word = send(key, sign_request(credential_id(made), CHECK_ONLY))
    if (data, word) == (b"", WRONG_DATA):
        not_offered("credentials of CTAP2 through U2F")


def credential_id(made):
    return made.auth_data.credential_data.credential_id


def allow(handle):
    return [{"type": "public-key", "id": handle}]


# Version


@pytest.mark.case("U2F raw, 6.1", needs="U2F_V2")
def test_the_version_is_u2f_v2(blank):
    assert send(blank, apdu(VERSION)) == (b"U2F_V2", OK)


@pytest.mark.case("U2F raw, 6.1 and 3.3", needs="U2F_V2")
@pytest.mark.parametrize("data", [b"\1", bytes(64)], ids=["1 byte", "64 bytes"])
def test_version_takes_no_data(blank, data):
    refuses(blank, apdu(VERSION, 0, data), WRONG_LENGTH)


# Framing


@pytest.mark.case("U2F raw, 3.1.3 (extended length)", needs="U2F_V2")
def test_extended_length_is_understood_with_and_without_le(blank):
    made = register(blank)
    data = CHALLENGE + APPLICATION + bytes((len(made.key_handle),)) + made.key_handle
    head = bytes((0, AUTHENTICATE, CHECK_ONLY, 0)) + b"\0" + len(data).to_bytes(2, "big") + data
    refuses(blank, head + b"\0\0", NOT_SATISFIED)
    refuses(blank, head, NOT_SATISFIED)


@pytest.mark.case(
    "U2F raw, 3.1.2 (short length; over HID extended is what must be there)", needs="U2F_V2", withheld=True
)
@pytest.mark.parametrize("le", [b"", b"\0"], ids=["without Le", "with Le"])
def test_short_length_is_understood_or_refused_for_its_length(blank, le):
    data, word = send(blank, bytes((0, VERSION, 0, 0)) + le)
    assert (data, word) in ((b"U2F_V2", OK), (b"", WRONG_LENGTH))
    short = bytes((0, REGISTER, 0, 0, 64)) + CHALLENGE + APPLICATION + le
    refuses(blank, short, NOT_SATISFIED, WRONG_LENGTH)


@pytest.mark.case("U2F raw, 3.1.3 and 3.3", needs="U2F_V2")
@pytest.mark.parametrize("claimed", [63, 65, 80, 0xFFFF])
def test_an_lc_that_does_not_match_the_data_is_refused(blank, claimed):
    data = CHALLENGE + APPLICATION
    refuses(blank, bytes((0, REGISTER, 0, 0, 0)) + claimed.to_bytes(2, "big") + data, WRONG_LENGTH)


@pytest.mark.case("U2F raw, 3.1 and 3.3", needs="U2F_V2")
@pytest.mark.parametrize("size", [1, 2, 3])
def test_less_than_the_head_of_an_apdu_is_refused(blank, size):
    try:
        refuses(blank, apdu(VERSION)[:size], WRONG_LENGTH, WRONG_DATA)
    except CtapError as error:
        # By CTAPHID, for the length of the message (CTAP 2.1, 11.2.9.1.6).
        if error.code != CtapError.ERR.INVALID_LENGTH:
            raise
    assert send(blank, apdu(VERSION)) == (b"U2F_V2", OK)


@pytest.mark.case("U2F raw, 3.3 (INS_NOT_SUPPORTED)", needs="U2F_V2")
@pytest.mark.parametrize("instruction", [0x00, 0x04, 0x3F, 0xFF])
def test_an_instruction_that_does_not_exist_is_refused(blank, instruction):
    # 0x40 to 0xbf are the vendor's (U2F raw, 3.1.1).
    refuses(blank, apdu(instruction), INS_NOT_SUPPORTED)


@pytest.mark.case("U2F raw, 3.3 (CLA_NOT_SUPPORTED)", needs="U2F_V2")
@pytest.mark.parametrize("cla", [0x01, 0x80, 0xFF])
def test_another_class_is_refused(blank, cla):
    refuses(blank, apdu(VERSION, cla=cla), CLA_NOT_SUPPORTED)


# Registration


@pytest.mark.case("U2F raw, 4.3", needs="U2F_V2")
def test_a_registration_is_signed_by_the_certificate_that_comes_with_it(blank):
    made = register(blank)
    assert made.public_key[0] == 4
    assert made.key_handle
    made.verify(APPLICATION, CHALLENGE)


@pytest.mark.case("U2F raw, 4.3 (X.509 certificate, P-256)", needs="U2F_V2")
def test_the_attestation_certificate_is_of_p_256_and_the_same_each_time(blank):
    first, second = register(blank), register(blank)
    key = x509.load_der_x509_certificate(first.certificate).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    if first.certificate != second.certificate:
        deviates("another attestation certificate for each registration")


@pytest.mark.case("U2F raw, 4.2 (CONDITIONS_NOT_SATISFIED)", needs="U2F_V2", withheld=True)
def test_nothing_is_registered_without_a_touch(blank):
    refuses(blank, apdu(REGISTER, 0, CHALLENGE + APPLICATION), NOT_SATISFIED)


@pytest.mark.case("U2F raw, 4.2", needs="U2F_V2", withheld=True)
def test_one_touch_is_good_for_one_registration(blank):
    register(blank)
    refuses(blank, apdu(REGISTER, 0, CHALLENGE + APPLICATION), NOT_SATISFIED)


@pytest.mark.case("U2F raw, 4.1 and 3.3 (WRONG_LENGTH)", needs="U2F_V2")
@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_a_registration_of_a_wrong_length_is_refused(blank, size):
    with blank.touch():
        refuses(blank, apdu(REGISTER, 0, bytes(size)), WRONG_LENGTH)


@pytest.mark.case("U2F raw, 4.3", needs="U2F_V2")
def test_every_registration_makes_a_key_of_its_own(blank):
    first, second = register(blank), register(blank)
    assert first.public_key != second.public_key
    assert first.key_handle != second.key_handle


# Authentication


@pytest.mark.case("U2F raw, 5.4", needs="U2F_V2")
def test_a_signature_verifies_and_says_that_the_user_was_there(blank):
    made = register(blank)
    signed = sign(blank, made.key_handle)
    assert signed.user_presence == 1
    signed.verify(APPLICATION, CHALLENGE, made.public_key)


@pytest.mark.case("U2F raw, 5.1 and 5.2", needs="U2F_V2", withheld=True)
def test_nothing_is_signed_without_a_touch(blank):
    refuses(blank, sign_request(register(blank).key_handle), NOT_SATISFIED)


@pytest.mark.case("U2F raw, 5.4 (counter)", needs="U2F_V2")
def test_each_signature_counts_further(blank):
    made = register(blank)
    counters = [sign(blank, made.key_handle).counter for _ in range(4)]
    assert counters == sorted(set(counters))


@pytest.mark.case("U2F raw, 5.1 (check-only)", needs="U2F_V2")
def test_check_only_knows_a_handle_and_signs_nothing(blank):
    made = register(blank)
    with blank.touch():
        refuses(blank, sign_request(made.key_handle, CHECK_ONLY), NOT_SATISFIED)


@pytest.mark.case("U2F raw, 5.1 (check-only: no test of user presence)", needs="U2F_V2")
def test_check_only_asks_for_no_touch(blank):
    """A browser asks with each handle that a relying party lists: a touch is for the one that it chooses then."""
    made = register(blank)
    said: list[int] = []
    blank.device.call(CTAPHID.MSG, sign_request(made.key_handle, CHECK_ONLY), on_keepalive=said.append)
    assert STATUS.UPNEEDED not in said


@pytest.mark.case("U2F raw, 5.1 and 5.3 (bad key handle)", needs="U2F_V2")
@pytest.mark.parametrize("control", [CHECK_ONLY, ENFORCE, DONT_ENFORCE], ids=["check", "enforce", "dont"])
def test_a_handle_of_another_application_is_refused(blank, control):
    made = register(blank, OTHER)
    with blank.touch():
        refuses(blank, sign_request(made.key_handle, control), WRONG_DATA)


SPOILT = {
    "its first byte changed": lambda handle: bytes((handle[0] ^ 1,)) + handle[1:],
    "a byte in the middle changed": lambda handle: (
        handle[: len(handle) // 2]
        + bytes((handle[len(handle) // 2] ^ 0x80,))
        + handle[len(handle) // 2 + 1 :]
    ),
    "its last byte changed": lambda handle: handle[:-1] + bytes((handle[-1] ^ 1,)),
    "its last byte missing": lambda handle: handle[:-1],
    "a byte too many": lambda handle: (handle + b"\0")[:255] if len(handle) < 255 else handle[:-2],
    "zeros": lambda handle: bytes(len(handle)),
    "255 bytes": lambda handle: bytes(range(255)),
    "1 byte": lambda handle: handle[:1],
}


@pytest.mark.case("U2F raw, 5.3 (bad key handle)", needs="U2F_V2")
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_handle_that_is_not_of_this_key_is_refused(blank, spoil):
    handle = spoil(register(blank).key_handle)
    for control in (CHECK_ONLY, ENFORCE, DONT_ENFORCE):
        with blank.touch():
            refuses(blank, sign_request(handle, control), WRONG_DATA)


@pytest.mark.case("U2F raw, 5.1 (dont-enforce-user-presence-and-sign)", needs="U2F_V2")
def test_a_signature_without_a_touch_says_so(blank):
    made = register(blank)
    data, word = send(blank, sign_request(made.key_handle, DONT_ENFORCE))
    assert word == OK
    signed = SignatureData(data)
    assert signed.user_presence & 1 == 0
    signed.verify(APPLICATION, CHALLENGE, made.public_key)
    assert sign(blank, made.key_handle).counter > signed.counter


@pytest.mark.case("U2F raw, 5.1 (other control bytes are reserved)", needs="U2F_V2")
@pytest.mark.parametrize("control", [0x00, 0x01, 0x0B, 0xFF])
def test_a_reserved_control_byte_signs_nothing(blank, control):
    made = register(blank)
    # No status word is named for it: any but success, and no signature.
    data, word = send(blank, sign_request(made.key_handle, control))
    assert word != OK
    assert data == b""


@pytest.mark.case("U2F raw, 5.1 and 3.3 (WRONG_LENGTH)", needs="U2F_V2")
@pytest.mark.parametrize("size", [0, 32, 64])
def test_an_authentication_without_a_handle_is_refused(blank, size):
    refuses(blank, apdu(AUTHENTICATE, ENFORCE, bytes(size)), WRONG_LENGTH, WRONG_DATA)


@pytest.mark.case("U2F raw, 5.1 and 3.3", needs="U2F_V2")
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_handle_of_another_length_than_it_says_is_refused(blank, difference):
    handle = register(blank).key_handle
    length = len(handle) + difference
    if length > 255:
        pytest.skip("its handles are as long as can be said")
    # The request's length is wrong, or what is left of the handle is.
    request = apdu(AUTHENTICATE, ENFORCE, CHALLENGE + APPLICATION + bytes((length,)) + handle)
    with blank.touch():
        refuses(blank, request, WRONG_LENGTH, WRONG_DATA)


@pytest.mark.case("U2F raw, 2 and 5 (keys are durable)", needs="U2F_V2")
def test_a_handle_and_its_counter_survive_a_power_cycle(blank):
    made = register(blank)
    before = sign(blank, made.key_handle)
    blank.power_cycle()
    after = sign(blank, made.key_handle)
    after.verify(APPLICATION, CHALLENGE, made.public_key)
    assert after.counter > before.counter


# Both protocols


@pytest.mark.case("CTAP 2.1, 10.3", needs="U2F_V2")
def test_a_handle_of_u2f_asserts_through_ctap2(blank):
    made = register(blank)
    assertion = blank.get(allow_list=allow(made.key_handle))
    assert assertion.auth_data.is_user_present()
    assertion.verify(HASH, Es256Key.from_ctap1(made.public_key))


@pytest.mark.case("CTAP 2.1, 10.3 and 6.2.2 step 7", needs="U2F_V2")
def test_a_handle_of_u2f_is_none_of_another_rp_through_ctap2(blank):
    made = register(blank, OTHER)
    with refused(CtapError.ERR.NO_CREDENTIALS):
        blank.get(allow_list=allow(made.key_handle))


@pytest.mark.case("CTAP 2.1, 6.1.2 step 12", needs="U2F_V2")
def test_a_handle_of_u2f_excludes_its_key_through_ctap2(blank):
    made = register(blank)
    with refused(CtapError.ERR.CREDENTIAL_EXCLUDED):
        blank.make(exclude_list=allow(made.key_handle))


@pytest.mark.case("CTAP 2.1, 10.3", needs="U2F_V2")
def test_a_credential_of_ctap2_signs_through_u2f(blank):
    made = blank.make()
    signs_through_u2f(blank, made)
    refuses(blank, sign_request(credential_id(made), CHECK_ONLY), NOT_SATISFIED)
    signed = sign(blank, credential_id(made))
    public = CoseKey.parse(made.auth_data.credential_data.public_key)
    public.verify(APPLICATION + signed[:5] + CHALLENGE, signed.signature)


@pytest.mark.case("CTAP 2.1, 10.3", needs="U2F_V2")
def test_a_credential_of_ctap2_is_none_of_another_application_through_u2f(blank):
    made = blank.make(rp={"id": "other.keyharness.example"})
    refuses(blank, sign_request(credential_id(made), CHECK_ONLY), WRONG_DATA)


@pytest.mark.case("WebAuthn 2, 6.1.1 and U2F raw, 5.4", needs="U2F_V2")
def test_the_counter_rises_across_both_protocols(blank):
    made = blank.make()
    signs_through_u2f(blank, made)
    counters = []
    for _ in range(2):
        counters.append(sign(blank, credential_id(made)).counter)
        counters.append(blank.get(made).auth_data.counter)
    if any(counters):
        assert counters == sorted(set(counters))


@pytest.mark.case("U2F raw, 4.3 (keys are P-256)", needs="U2F_V2")
def test_a_credential_of_another_algorithm_is_none_for_u2f(blank):
    try:
        made = blank.make(key_params=[EDDSA])
    except CtapError as error:
        if error.code != CtapError.ERR.UNSUPPORTED_ALGORITHM:
            raise
        pytest.skip(f"{NOT_OFFERED}: the key has no EdDSA")
    with blank.touch():
        refuses(blank, sign_request(credential_id(made)), WRONG_DATA)


@pytest.mark.case("CTAP 2.1, 12.1 (userVerificationRequired)", needs=("U2F_V2", "credProtect", "clientPin"))
def test_a_credential_that_demands_verification_signs_nothing_through_u2f(with_pin):
    made = with_pin.make(extensions={"credProtect": 3})
    assert made.auth_data.extensions == {"credProtect": 3}
    for control in (ENFORCE, DONT_ENFORCE):
        with with_pin.touch():
            # The handle counts as unknown, or the command as not allowed for it.
            refuses(with_pin, sign_request(credential_id(made), control), WRONG_DATA, NOT_ALLOWED)


@pytest.mark.case("CTAP 2.1, 7.2 (without alwaysUv)", needs=("U2F_V2", "clientPin"))
def test_a_pin_changes_nothing_for_u2f(with_pin):
    made = register(with_pin)
    sign(with_pin, made.key_handle).verify(APPLICATION, CHALLENGE, made.public_key)


def toggle_always_uv(key):
    protocol, token = key.token(ClientPin.PERMISSION.AUTHENTICATOR_CFG)
    Config(key.ctap, protocol, token).toggle_always_uv()
    key.connect()


ALWAYS_UV = ("U2F_V2", "alwaysUv", "authnrCfg", "clientPin")


@pytest.fixture
def always_uv(with_pin):
    """A key with a PIN on which alwaysUv has been switched on, and a handle of U2F made before."""
    if with_pin.info.options["alwaysUv"]:
        pytest.skip("alwaysUv is on as delivered: what U2F is without it cannot be seen")
    if "uv" in with_pin.info.options:
        not_offered("U2F that is off: built-in user verification may protect it as well (7.2.4)")
    made = register(with_pin)
    toggle_always_uv(with_pin)
    return with_pin, made


@pytest.mark.case("CTAP 2.1, 7.2.4", needs=ALWAYS_UV)
def test_with_always_uv_u2f_is_no_longer_listed(always_uv):
    assert "U2F_V2" not in always_uv[0].info.versions


@pytest.mark.case("CTAP 2.1, 7.2.4 (SW_COMMAND_NOT_ALLOWED)", needs=ALWAYS_UV)
def test_with_always_uv_u2f_registers_nothing(always_uv):
    key, _ = always_uv
    with key.touch():
        refuses(key, apdu(REGISTER, 0, CHALLENGE + APPLICATION), NOT_ALLOWED, INS_NOT_SUPPORTED)


@pytest.mark.case("CTAP 2.1, 7.2.4 (SW_COMMAND_NOT_ALLOWED)", needs=ALWAYS_UV)
@pytest.mark.parametrize("control", [ENFORCE, DONT_ENFORCE], ids=["enforce", "dont"])
def test_with_always_uv_u2f_signs_nothing(always_uv, control):
    key, made = always_uv
    with key.touch():
        refuses(key, sign_request(made.key_handle, control), NOT_ALLOWED, INS_NOT_SUPPORTED)


@pytest.mark.case("CTAP 2.1, 7.2 and 7.2.4", needs=ALWAYS_UV)
def test_without_always_uv_u2f_is_back_and_its_handles_are_alive(always_uv):
    key, made = always_uv
    if unless_refused(lambda: [toggle_always_uv(key)], CtapError.ERR.OPERATION_DENIED) is None:
        not_offered("alwaysUv cannot be switched off")
    assert "U2F_V2" in key.info.versions
    sign(key, made.key_handle).verify(APPLICATION, CHALLENGE, made.public_key)
