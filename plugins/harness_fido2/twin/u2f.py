"""CTAP1/U2F (FIDO U2F Raw Message Formats v1.2; CTAP 2.1, sections 7.2.4 and 10)."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

from harness.api import AwaitTouch, Handler, Step, StoreDamaged, StoreFull, Touched
from harness_fido2.twin import crypto
from harness_fido2.twin.context import Context
from harness_fido2.twin.credentials import Credential, seal_id
from harness_fido2.twin.makecredential import KEY_US, SIGN_US
from harness_fido2.twin.status import StatusError

TIMEOUT_US = 250_000
"""U2F does not wait: a client asks again (fido-authenticator: U2F_UP_TIMEOUT)."""

REGISTER, AUTHENTICATE, VERSION = 0x01, 0x02, 0x03
CHECK_ONLY, ENFORCE, DONT_ENFORCE = 0x07, 0x03, 0x08

OK = 0x9000
WRONG_LENGTH = 0x6700
CONDITIONS_NOT_SATISFIED = 0x6985
NOT_ALLOWED = 0x6986
WRONG_DATA = 0x6A80
NO_MEMORY = 0x6A84
REFERENCE_NOT_FOUND = 0x6A88
INS_NOT_SUPPORTED = 0x6D00
CLA_NOT_SUPPORTED = 0x6E00
UNKNOWN = 0x6F00


class _Refusal(Exception):
    """A status word other than 9000."""

    def __init__(self, word: int):
        super().__init__(f"{word:04x}")
        self.word = word


class Apdu(NamedTuple):
    """A command APDU without its lengths."""

    instruction: int
    p1: int
    data: bytes


Response = Generator[Step, Touched | None, bytes]


def message(app: Context, request: bytes) -> Handler:
    """A CTAPHID_MSG message."""
    try:
        apdu = parse(request)
        app.platform.work(KEY_US // 10)
        app.pending = None
        if app.persistent.state.always_uv:
            raise _Refusal(NOT_ALLOWED)
        data = yield from _perform(app, apdu)
    except _Refusal as refusal:
        return refusal.word.to_bytes(2, "big")
    except StoreFull:
        return NO_MEMORY.to_bytes(2, "big")
    except (StatusError, StoreDamaged):
        return UNKNOWN.to_bytes(2, "big")
    return data + OK.to_bytes(2, "big")


def parse(request: bytes) -> Apdu:
    """A short or extended command APDU (ISO 7816-4; U2F raw messages, section 3).

    :raises _Refusal: 6E00, 6700.
    """
    if len(request) < 4:
        raise _Refusal(WRONG_LENGTH)
    if request[0]:
        raise _Refusal(CLA_NOT_SUPPORTED)
    instruction, p1 = request[1], request[2]
    body = request[4:]
    if len(body) <= 1 or (len(body) == 3 and body[0] == 0):
        return Apdu(instruction, p1, b"")
    if body[0]:
        length, rest, expected = body[0], body[1:], (0, 1)
    elif len(body) > 3:
        length, rest, expected = int.from_bytes(body[1:3], "big"), body[3:], (0, 2)
    else:
        raise _Refusal(WRONG_LENGTH)
    if len(rest) - length not in expected:
        raise _Refusal(WRONG_LENGTH)
    return Apdu(instruction, p1, rest[:length])


def _perform(app: Context, apdu: Apdu) -> Response:
    if apdu.instruction == VERSION:
        if apdu.data:
            raise _Refusal(WRONG_LENGTH)
        return b"U2F_V2"
    if apdu.instruction == REGISTER:
        return (yield from _register(app, apdu.data))
    if apdu.instruction == AUTHENTICATE:
        return (yield from _authenticate(app, apdu.p1, apdu.data))
    raise _Refusal(INS_NOT_SUPPORTED)


def _present() -> Generator[Step, Touched | None, None]:
    if (yield AwaitTouch(TIMEOUT_US)) is not Touched.GRANTED:
        raise _Refusal(CONDITIONS_NOT_SATISFIED)


def _register(app: Context, data: bytes) -> Response:
    """Section 4: 05, public key, key handle, certificate, signature. Writes nothing."""
    if len(data) != 64:
        raise _Refusal(WRONG_LENGTH)
    challenge, application = data[:32], data[32:]
    attestation = app.attestation
    if attestation is None:
        raise _Refusal(REFERENCE_NOT_FOUND)
    yield from _present()
    platform = app.platform
    platform.work(KEY_US)
    key = crypto.new_key(crypto.ES256, platform.stream("credential key"))
    handle = seal_id(platform, app.persistent.kek, application, Credential(b"", crypto.ES256, key))
    public = crypto.point(key)
    platform.work(SIGN_US)
    signed = b"\0" + application + challenge + handle + public
    signature = crypto.sign(crypto.ES256, attestation.key, signed)
    return b"\x05" + public + bytes((len(handle),)) + handle + attestation.certificate + signature


def _authenticate(app: Context, control: int, data: bytes) -> Response:
    """Section 5: user presence, counter, signature; the counter is durable before it is used."""
    if len(data) < 65 or len(data) != 65 + data[64]:
        raise _Refusal(WRONG_LENGTH)
    if control not in (CHECK_ONLY, ENFORCE, DONT_ENFORCE):
        raise _Refusal(WRONG_DATA)
    challenge, application, handle = data[:32], data[32:64], data[65:]
    credential = app.find(handle, application)
    # U2F cannot verify the user, so a credential that demands it does not exist here (section 12.1.1).
    if credential is None or credential.algorithm != crypto.ES256 or credential.protect == 3:
        raise _Refusal(WRONG_DATA)
    if control == CHECK_ONLY:
        raise _Refusal(CONDITIONS_NOT_SATISFIED)
    if control == ENFORCE:
        yield from _present()
    presence = bytes((control == ENFORCE,))
    counter = app.persistent.next_counter().to_bytes(4, "big")
    app.platform.work(SIGN_US)
    signed = application + presence + counter + challenge
    return presence + counter + crypto.sign(crypto.ES256, credential.key, signed)
