"""The hmac-secret extension: CTAP 2.1, section 12.5; hmac-secret-mc: CTAP 2.2, section 12.8.

The value of a secret is not known outside the key. So the cases compare secrets over salts, credentials,
protocols, user verification and time.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from fido2.ctap2.pin import ClientPin, PinProtocolV1, PinProtocolV2

from harness_suites.conformance.ceremonies import (
    ABSENT,
    ERR,
    GA,
    INCOMPLETE,
    MC,
    OTHER_RP,
    Presence,
    account,
    changed,
    check,
    descriptor,
    either_kind,
    ident,
    make_either,
    make_resident,
    require_protocol,
)
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
from harness_suites.conformance.versions import refused_as

SALTS = [hashlib.sha256(b"salt %d" % number).digest() for number in range(3)]
ASKED = {"hmac-secret": True}

protocols = pytest.mark.parametrize("number", [1, 2], ids=["protocol-1", "protocol-2"])
amounts = pytest.mark.parametrize("amount", [1, 2], ids=["one-salt", "two-salts"])


class SecretExchange:
    """A secret shared with the key, and the extension's input and output under it.

    :ivar answer: the last output as it came, still encrypted.
    """

    def __init__(self, authenticator: Authenticator, number: int = 2):
        require_protocol(authenticator, number)
        self.authenticator = authenticator
        self.protocol = PinProtocolV1() if number == 1 else PinProtocolV2()
        response = authenticator.ctap.client_pin(number, ClientPin.CMD.GET_KEY_AGREEMENT)
        self.key, self.shared = self.protocol.encapsulate(response[ClientPin.RESULT.KEY_AGREEMENT])
        self.answer = b""

    def input(self, *salts: bytes) -> dict[int, Any]:
        return self.encrypted_input(self.protocol.encrypt(self.shared, b"".join(salts)))

    def encrypted_input(self, salts: bytes) -> dict[int, Any]:
        """Return an input with right authentication, whether or not the salts decrypt."""
        authentication = self.protocol.authenticate(self.shared, salts)
        return {1: self.key, 2: salts, 3: authentication, 4: self.protocol.VERSION}

    def secrets(self, output: bytes) -> list[bytes]:
        """Decrypt an output: 32 bytes for each salt."""
        self.answer = output
        text = self.protocol.decrypt(self.shared, output)
        assert len(text) in (32, 64)
        return [text[at : at + 32] for at in range(0, len(text), 32)]

    def ask(self, made: Any, *salts: bytes, rp_id: str = RP["id"], **more: Any) -> list[bytes]:
        """Ask for the secrets of a credential for these salts."""
        assertion = self.authenticator.get(
            made, rp_id=rp_id, extensions={"hmac-secret": self.input(*salts)}, **more
        )
        check(assertion, made)
        return self.secrets(assertion.auth_data.extensions["hmac-secret"])


def secret(
    authenticator: Authenticator, made: Any, *, number: int = 2, uv: bool = False, rp_id: str = RP["id"]
) -> bytes:
    """Ask for the secret of a credential for the first salt, under a new shared secret."""
    authorised = authenticator.auth(HASH, GA, rp_id) if uv else {}
    (found,) = SecretExchange(authenticator, number).ask(made, SALTS[0], rp_id=rp_id, **authorised)
    return found


def _request(authenticator: Authenticator, made: Any, value: Any, **more: Any) -> Any:
    return authenticator.get(made, extensions={"hmac-secret": value}, **more)


# Creation


@pytest.mark.case("CTAP 2.1, 12.5: makeCredential", needs="hmac-secret")
@either_kind
def test_the_extension_is_confirmed_at_creation(blank, resident):
    data = make_either(blank, resident, extensions=ASKED).auth_data
    assert data.has_extension_data()
    assert data.extensions == {"hmac-secret": True}


@pytest.mark.case("CTAP 2.1, 6.1.2 step 15.3", needs="hmac-secret")
@pytest.mark.parametrize("extensions", [None, {}, {"hmac-secret": False}], ids=["none", "empty", "false"])
def test_the_extension_is_not_confirmed_unasked(blank, extensions):
    outputs = blank.make(extensions=extensions).auth_data.extensions or {}
    assert outputs.get("hmac-secret") is not True


@pytest.mark.case("CTAP 2.1, 12.5: makeCredential", needs="hmac-secret")
@pytest.mark.parametrize("value", ["true", 1, b"\1", {}], ids=["text", "integer", "bytes", "map"])
def test_an_input_of_the_wrong_type_at_creation_is_refused(blank, value):
    made = unless_refused(lambda: blank.make(extensions={"hmac-secret": value}))
    # Ignoring it is no less right, as long as nothing is confirmed.
    assert made is None or "hmac-secret" not in (made.auth_data.extensions or {})


# Assertion


@pytest.mark.case("CTAP 2.1, 12.5: getAssertion", needs="hmac-secret")
@protocols
@amounts
@either_kind
def test_the_same_salts_always_give_the_same_secrets(blank, resident, number, amount):
    made = make_either(blank, resident, extensions=ASKED)
    first, second = (SecretExchange(blank, number).ask(made, *SALTS[:amount]) for _ in range(2))
    assert first == second
    assert len(set(first)) == amount
    assert all(len(one) == 32 and any(one) for one in first)


@pytest.mark.case("CTAP 2.1, 6.5.6 and 6.5.7: encrypt", needs="hmac-secret")
@protocols
@amounts
def test_the_output_is_as_long_as_the_protocol_makes_it(blank, number, amount):
    session = SecretExchange(blank, number)
    session.ask(blank.make(extensions=ASKED), *SALTS[:amount])
    assert len(session.answer) == 32 * amount + (16 if number == 2 else 0)


@pytest.mark.case("CTAP 2.1, 6.5.7: encrypt has a random initialization vector", needs="hmac-secret")
def test_with_protocol_two_the_same_secret_is_sent_differently_each_time(blank):
    made = blank.make(extensions=ASKED)
    session = SecretExchange(blank, 2)
    first, sent = session.ask(made, SALTS[0]), session.answer
    assert session.ask(made, SALTS[0]) == first
    assert session.answer != sent


@pytest.mark.case("CTAP 2.1, 12.5: output1 and output2", needs="hmac-secret")
@protocols
def test_each_of_two_salts_gives_what_it_gives_alone(blank, number):
    made = blank.make(extensions=ASKED)
    session = SecretExchange(blank, number)
    together = session.ask(made, SALTS[0], SALTS[1])
    assert together == session.ask(made, SALTS[0]) + session.ask(made, SALTS[1])
    assert session.ask(made, SALTS[1], SALTS[0]) == together[::-1]
    assert session.ask(made, SALTS[0], SALTS[0]) == [together[0]] * 2


@pytest.mark.case("CTAP 2.1, 12.5: the protocol carries the secret and is no part of it", needs="hmac-secret")
def test_both_protocols_give_the_same_secret(blank):
    made = blank.make(extensions=ASKED)
    require_protocol(blank, 1, 2)
    assert secret(blank, made, number=1) == secret(blank, made, number=2)


@pytest.mark.case("CTAP 2.1, 12.5: pinUvAuthProtocol is optional and then 1", needs="hmac-secret")
def test_without_a_protocol_it_is_protocol_one(blank):
    made = blank.make(extensions=ASKED)
    session = SecretExchange(blank, 1)
    value = changed(session.input(SALTS[0]), {4: ABSENT})
    output = _request(blank, made, value).auth_data.extensions["hmac-secret"]
    assert session.secrets(output) == session.ask(made, SALTS[0])


@pytest.mark.case("CTAP 2.1, 12.5: HMAC-SHA-256 over the salt", needs="hmac-secret")
def test_other_salts_give_other_secrets(blank):
    made = blank.make(extensions=ASKED)
    flipped = bytes([SALTS[0][0] ^ 1]) + SALTS[0][1:]
    salts = [*SALTS, flipped, bytes(32), b"\xff" * 32]
    session = SecretExchange(blank)
    assert len({session.ask(made, salt)[0] for salt in salts}) == len(salts)


@pytest.mark.case("CTAP 2.1, 12.5: CredRandom is of the credential", needs="hmac-secret")
@either_kind
def test_other_credentials_have_other_secrets(blank, resident):
    made = [make_either(blank, resident, user=account(n), extensions=ASKED) for n in range(3)]
    other = make_either(blank, resident, user=account(0), rp=OTHER_RP, extensions=ASKED)
    secrets = {secret(blank, one) for one in made} | {secret(blank, other, rp_id=OTHER_RP["id"])}
    assert len(secrets) == 4


@pytest.mark.case("CTAP 2.1, 12.5: CredRandom is of the credential", needs=("hmac-secret", "rk"))
def test_the_next_credential_of_an_account_has_another_secret(blank):
    first = secret(blank, make_resident(blank, extensions=ASKED))
    assert secret(blank, make_resident(blank, extensions=ASKED)) != first


@pytest.mark.case("CTAP 2.1, 12.5: CredRandom is kept with the credential", needs="hmac-secret")
@either_kind
def test_the_secret_outlives_power_cycles(blank, resident):
    made = make_either(blank, resident, extensions=ASKED)
    before = secret(blank, made)
    for _ in range(2):
        blank.power_cycle()
        assert secret(blank, made) == before


@pytest.mark.case("CTAP 2.1, 12.5: getAssertion", needs="hmac-secret")
def test_without_the_extension_an_assertion_has_no_secret(blank):
    assert not blank.get(blank.make(extensions=ASKED)).auth_data.extensions


@pytest.mark.case("CTAP 2.1, 12.5: getAssertion", needs="hmac-secret")
def test_a_credential_made_without_the_extension_asserts_with_it(blank):
    """A key should make CredRandom for every credential. A key that did not has no output."""
    made = blank.make()
    session = SecretExchange(blank)
    assertion = _request(blank, made, session.input(SALTS[0]))
    check(assertion, made)
    outputs = assertion.auth_data.extensions or {}
    if "hmac-secret" in outputs:
        assert session.secrets(outputs["hmac-secret"]) == session.ask(made, SALTS[0])


# User verification


@pytest.mark.case(
    "CTAP 2.1, 12.5: CredRandomWithUV and CredRandomWithoutUV", needs=("hmac-secret", "clientPin", "FIDO_2_1")
)
@protocols
@either_kind
def test_the_secret_with_verification_is_another(with_pin, resident, number):
    made = make_either(with_pin, resident, extensions=ASKED)
    without, verified = (secret(with_pin, made, number=number, uv=uv) for uv in (False, True))
    assert without != verified
    with_pin.power_cycle()
    assert secret(with_pin, made, number=number, uv=True) == verified
    assert secret(with_pin, made, number=number) == without


@pytest.mark.case("CTAP 2.1, 12.5: CredRandomWithUV", needs=("hmac-secret", "clientPin"))
def test_two_salts_with_verification(with_pin):
    made = with_pin.make(extensions=ASKED)
    both = SecretExchange(with_pin).ask(made, *SALTS[:2], **with_pin.auth(HASH, GA, RP["id"]))
    assert both[0] == secret(with_pin, made, uv=True)
    assert both[0] != both[1]


@pytest.mark.case("CTAP 2.1, 12.5: CredRandomWithoutUV", needs=("hmac-secret", "clientPin"))
def test_setting_a_pin_leaves_the_secret_without_verification(blank):
    made = blank.make(extensions=ASKED)
    before = secret(blank, made)
    blank.client_pin().set_pin(PIN)
    assert secret(blank, made) == before


@pytest.mark.case("CTAP 2.1, 12.5: CredRandomWithUV", needs=("hmac-secret", "clientPin"))
def test_changing_the_pin_leaves_the_secret_with_verification(with_pin):
    made = with_pin.make(extensions=ASKED)
    before = secret(with_pin, made, uv=True)
    with_pin.client_pin().change_pin(PIN, PIN[::-1])
    with_pin.pin = PIN[::-1]
    assert secret(with_pin, made, uv=True) == before


@pytest.mark.case('CTAP 2.1, 12.5: "up" false is CTAP2_ERR_UNSUPPORTED_OPTION', needs="hmac-secret")
def test_a_secret_is_not_given_silently(blank):
    made = blank.make(extensions=ASKED)
    with refused(ERR.UNSUPPORTED_OPTION):
        _request(blank, made, SecretExchange(blank).input(SALTS[0]), options={"up": False})


@pytest.mark.case(
    "CTAP 2.1, 12.5: the authenticator waits for user consent", needs="hmac-secret", withheld=True
)
def test_a_secret_needs_a_touch(blank):
    made = blank.make(extensions=ASKED)
    presence = Presence()
    _request(blank, made, SecretExchange(blank).input(SALTS[0]), **presence.watched)
    assert presence.asked


# What is not a proper request


@pytest.mark.case("CTAP 2.1, 12.5: if the result is not 32 or 64 bytes long", needs="hmac-secret")
@protocols
@pytest.mark.parametrize("size", [0, 16, 48, 80, 96, 128])
def test_salts_of_another_length_are_refused(blank, number, size):
    made = blank.make(extensions=ASKED)
    with refused_as(blank, "hmac-secret salts that do not fit"):
        _request(blank, made, SecretExchange(blank, number).input(bytes(size)))


@pytest.mark.case("CTAP 2.1, 12.5: if the decryption fails", needs="hmac-secret")
@protocols
@pytest.mark.parametrize("size", [1, 31, 33, 47, 63, 65])
def test_salts_that_cannot_be_decrypted_are_refused(blank, number, size):
    """Not a multiple of the cipher's block size; with protocol two also shorter than an initialization vector."""
    made = blank.make(extensions=ASKED)
    with refused_as(blank, "hmac-secret salts that do not fit"):
        _request(blank, made, SecretExchange(blank, number).encrypted_input(bytes(size)))


@pytest.mark.case("CTAP 2.1, 12.5: if the verification fails", needs="hmac-secret")
@protocols
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda tag: bytes([tag[0] ^ 1]) + tag[1:], id="first-bit"),
        pytest.param(lambda tag: tag[:-1] + bytes([tag[-1] ^ 0x80]), id="last-bit"),
        pytest.param(lambda tag: bytes(len(tag)), id="zeros"),
        pytest.param(lambda tag: tag[:8], id="8-bytes"),
        pytest.param(lambda tag: b"", id="empty"),
        pytest.param(lambda tag: tag + b"\0", id="longer"),
    ],
)
def test_a_wrong_salt_auth_is_refused(blank, number, change):
    made = blank.make(extensions=ASKED)
    value = SecretExchange(blank, number).input(SALTS[0])
    with refused_as(blank, "hmac-secret authentication that is wrong"):
        _request(blank, made, {**value, 3: change(value[3])})


@pytest.mark.case("CTAP 2.1, 6.5.7: verify takes the whole HMAC", needs="hmac-secret")
def test_half_a_salt_auth_of_protocol_two_is_refused(blank):
    made = blank.make(extensions=ASKED)
    value = SecretExchange(blank, 2).input(SALTS[0])
    with refused_as(blank, "hmac-secret authentication that is wrong"):
        _request(blank, made, {**value, 3: value[3][:16]})


@pytest.mark.case("CTAP 2.1, 12.5: verify(shared secret, saltEnc, saltAuth)", needs="hmac-secret")
@protocols
def test_a_salt_auth_of_other_salts_or_another_shared_secret_is_refused(blank, number):
    made = blank.make(extensions=ASKED)
    session, other = SecretExchange(blank, number), SecretExchange(blank, number)
    value = session.input(SALTS[0])
    for tag in (session.input(SALTS[1])[3], other.protocol.authenticate(other.shared, value[2])):
        with refused_as(blank, "hmac-secret authentication that is wrong"):
            _request(blank, made, {**value, 3: tag})


@pytest.mark.case("CTAP 2.1, 12.5", needs=("hmac-secret", "clientPin"))
def test_a_wrong_salt_auth_costs_no_pin_try(with_pin):
    made = with_pin.make(extensions=ASKED)
    before = with_pin.client_pin().get_pin_retries()
    value = SecretExchange(with_pin).input(SALTS[0])
    with refused_as(with_pin, "hmac-secret authentication that is wrong"):
        _request(with_pin, made, {**value, 3: bytes(32)})
    assert with_pin.client_pin().get_pin_retries() == before


@pytest.mark.case("CTAP 2.1, 12.5: getAssertion input", needs="hmac-secret")
@pytest.mark.parametrize("member", [1, 2, 3], ids=["keyAgreement", "saltEnc", "saltAuth"])
def test_an_input_that_lacks_a_member_is_refused(blank, member):
    made = blank.make(extensions=ASKED)
    with refused_somehow(*INCOMPLETE):
        _request(blank, made, changed(SecretExchange(blank).input(SALTS[0]), {member: ABSENT}))


@pytest.mark.case("CTAP 2.1, 12.5: getAssertion input is a map", needs="hmac-secret")
@pytest.mark.parametrize("value", [True, SALTS[0], [SALTS[0]]], ids=["boolean", "bytes", "array"])
def test_an_input_of_the_wrong_type_is_refused(blank, value):
    made = blank.make(extensions=ASKED)
    assertion = unless_refused(lambda: _request(blank, made, value))
    assert assertion is None or "hmac-secret" not in (assertion.auth_data.extensions or {})


@pytest.mark.case("CTAP 2.1, 12.5 and 6.5.4: decapsulate", needs="hmac-secret")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda key: {-3: bytes(31) + b"\1"}, id="off-the-curve"),
        pytest.param(lambda key: {-2: bytes(32), -3: bytes(32)}, id="zeros"),
        pytest.param(lambda key: {-2: key[-2][:31]}, id="short-x"),
        pytest.param(lambda key: {-3: ABSENT}, id="without-y"),
        pytest.param(lambda key: {-1: 2}, id="another-curve"),
        pytest.param(lambda key: {1: 1}, id="another-type"),
    ],
)
def test_a_key_that_is_no_point_on_the_curve_is_refused(blank, change):
    made = blank.make(extensions=ASKED)
    value = SecretExchange(blank).input(SALTS[0])
    with refused_somehow():
        _request(blank, made, {**value, 1: changed(value[1], change(value[1]))})


@pytest.mark.case("CTAP 2.1, 12.5: pinUvAuthProtocol", needs="hmac-secret")
@pytest.mark.parametrize("number", [0, 3, 255])
def test_a_protocol_that_is_not_supported_is_refused(blank, number):
    if number in blank.info.pin_uv_protocols:
        not_offered(f"protocol {number} is supported")
    made = blank.make(extensions=ASKED)
    with refused_somehow():
        _request(blank, made, {**SecretExchange(blank).input(SALTS[0]), 4: number})


# Several accounts


@pytest.mark.case("CTAP 2.1, 6.3 and 12.5", needs=("hmac-secret", "rk"))
@protocols
@amounts
def test_each_next_assertion_has_the_secrets_of_its_own_credential(blank, number, amount):
    made = [make_resident(blank, account(n), extensions=ASKED) for n in range(3)]
    session = SecretExchange(blank, number)
    first = blank.get(extensions={"hmac-secret": session.input(*SALTS[:amount])})
    found = [first, *(blank.ctap.get_next_assertion() for _ in range(2))]
    for assertion, one in zip(found, reversed(made), strict=True):
        check(assertion, one)
        output = session.secrets(assertion.auth_data.extensions["hmac-secret"])
        assert output == SecretExchange(blank, number).ask(one, *SALTS[:amount])


@pytest.mark.case("CTAP 2.1, 12.5: with a list", needs="hmac-secret")
def test_the_secret_is_that_of_the_listed_credential_which_answers(blank):
    made = [blank.make(extensions=ASKED), blank.make(extensions=ASKED)]
    session = SecretExchange(blank)
    assertion = blank.get(
        allow_list=[descriptor(one) for one in made],
        extensions={"hmac-secret": session.input(SALTS[0])},
    )
    answered = next(one for one in made if ident(one) == ident(assertion))
    output = session.secrets(assertion.auth_data.extensions["hmac-secret"])
    assert output == [secret(blank, answered)]


# hmac-secret-mc: secrets at creation


def _created(authenticator, session, *salts, resident=False, **more):
    inputs = {**ASKED, "hmac-secret-mc": session.input(*salts)}
    made = make_either(authenticator, resident, extensions=inputs, **more)
    outputs = made.auth_data.extensions
    assert outputs["hmac-secret"] is True
    assert set(outputs) <= set(inputs)
    return made, session.secrets(outputs["hmac-secret-mc"])


@pytest.mark.case("CTAP 2.2, 12.8", needs="hmac-secret-mc")
@protocols
@amounts
@either_kind
def test_the_secrets_at_creation_are_those_of_every_assertion(blank, resident, number, amount):
    made, secrets = _created(blank, SecretExchange(blank, number), *SALTS[:amount], resident=resident)
    assert secrets == SecretExchange(blank, number).ask(made, *SALTS[:amount])


@pytest.mark.case("CTAP 2.2, 12.8", needs=("hmac-secret-mc", "clientPin"))
@protocols
def test_creation_with_verification_gives_the_secret_with_verification(with_pin, number):
    arguments = with_pin.auth(HASH, MC, RP["id"])
    made, secrets = _created(with_pin, SecretExchange(with_pin, number), SALTS[0], **arguments)
    assert secrets == [secret(with_pin, made, uv=True)]
    assert secrets != [secret(with_pin, made)]


@pytest.mark.case("CTAP 2.2, 12.8: hmac-secret must be there and true", needs="hmac-secret-mc")
@pytest.mark.parametrize("beside", [{}, {"hmac-secret": False}], ids=["absent", "false"])
def test_a_secret_at_creation_needs_hmac_secret_beside_it(blank, beside):
    with refused(ERR.MISSING_PARAMETER):
        blank.make(extensions={**beside, "hmac-secret-mc": SecretExchange(blank).input(SALTS[0])})


@pytest.mark.case("CTAP 2.2, 12.8 and 12.7", needs=("hmac-secret-mc", "rk"))
@protocols
def test_a_wrong_salt_auth_at_creation_is_refused_and_nothing_is_made(blank, number):
    value = SecretExchange(blank, number).input(SALTS[0])
    with refused(ERR.PIN_AUTH_INVALID):
        make_resident(blank, extensions={**ASKED, "hmac-secret-mc": {**value, 3: bytes(len(value[3]))}})
    with refused(ERR.NO_CREDENTIALS):
        blank.get()


@pytest.mark.case("CTAP 2.2, 12.8 and 12.7", needs=("hmac-secret-mc", "rk"))
@pytest.mark.parametrize("size", [0, 16, 48, 96])
def test_salts_of_another_length_at_creation_are_refused_and_nothing_is_made(blank, size):
    with refused(ERR.INVALID_PARAMETER):
        make_resident(blank, extensions={**ASKED, "hmac-secret-mc": SecretExchange(blank).input(bytes(size))})
    with refused(ERR.NO_CREDENTIALS):
        blank.get()


@pytest.mark.case("CTAP 2.1, 6.1.2 step 15.1", needs="hmac-secret")
def test_secrets_at_creation_are_ignored_where_they_are_not_offered(blank):
    if blank.has("hmac-secret-mc"):
        not_offered("a key without hmac-secret-mc")
    made = blank.make(extensions={**ASKED, "hmac-secret-mc": SecretExchange(blank).input(SALTS[0])})
    assert made.auth_data.extensions == {"hmac-secret": True}
