"""The shapes of CTAP 2's answers, checked before anything reads them.

python-fido2 decodes CBOR and hands the members on as they are. A member of another type than its specification says
would meet code of ours much later, where nobody could tell a wrong answer from a wrong line. Members that are not
named here are let through: newer versions have more of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event

from fido2.ctap2 import CredentialManagement, Ctap2
from fido2.ctap2.pin import ClientPin

from harness.api import MalformedAnswer

READS_ANSWERS = True
"""For `harness_transports.answers`."""

Check = Callable[[object], bool]
Shape = Mapping[int, tuple[str, Check]]
"""Member -> (its name, what it must be); a name that ends with "!" stands for a member that must be there."""

MOST = 0xFFFF
"""Most credentials, relying parties and bytes that a key may speak of: more is no number of this world."""


def _is(kind: type) -> Check:
    return lambda value: type(value) is kind


def _number(least: int, most: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _sized(size: int) -> Check:
    return lambda value: isinstance(value, bytes) and len(value) == size


def _list(of: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(of, value))


def _map(key: type, of: Check) -> Check:
    return lambda value: (
        isinstance(value, dict) and all(type(k) is key and of(one) for k, one in value.items())
    )


def _with(member: str, of: Check) -> Check:
    """A map with text for keys and at least one member of a type."""
    return lambda value: (
        isinstance(value, dict) and all(type(key) is str for key in value) and of(value.get(member))
    )


def _cose(value: object) -> bool:
    """A COSE_Key: its members have integers for labels (RFC 9052, section 7)."""
    return isinstance(value, dict) and {1, 3} <= value.keys() and all(type(label) is int for label in value)


_TEXT, _BYTES, _BOOL = _is(str), _is(bytes), _is(bool)
_ANY_MAP = _is(dict)
_USER, _DESCRIPTOR = _with("id", _BYTES), _with("id", _BYTES)
_COUNT = _number(0, MOST)

# CTAP 2.1, sections 6.1 to 6.10: the tables of each command's response.
_GET_INFO: Shape = {
    0x01: ("versions!", _list(_TEXT)),
    0x02: ("extensions", _list(_TEXT)),
    0x03: ("aaguid!", _sized(16)),
    0x04: ("options", _map(str, _BOOL)),
    0x05: ("maxMsgSize", _number(128, MOST)),
    0x06: ("pinUvAuthProtocols", _list(_COUNT)),
    0x07: ("maxCredentialCountInList", _COUNT),
    0x08: ("maxCredentialIdLength", _COUNT),
    0x09: ("transports", _list(_TEXT)),
    0x0A: ("algorithms", _list(_ANY_MAP)),
    0x0B: ("maxSerializedLargeBlobArray", _number(0, 1 << 24)),
    0x0C: ("forcePINChange", _BOOL),
    0x0D: ("minPINLength", _number(0, 63)),
    0x0E: ("firmwareVersion", _number(0, 1 << 64)),
    0x0F: ("maxCredBlobLength", _COUNT),
    0x10: ("maxRPIDsForSetMinPINLength", _COUNT),
    0x14: ("remainingDiscoverableCredentials", _COUNT),
    0x16: ("attestationFormats", _list(_TEXT)),
}
_MAKE_CREDENTIAL: Shape = {
    0x01: ("fmt!", _TEXT),
    0x02: ("authData!", _BYTES),
    0x03: ("attStmt!", _ANY_MAP),
}
_ASSERTION: Shape = {
    0x01: ("credential!", _DESCRIPTOR),
    0x02: ("authData!", _BYTES),
    0x03: ("signature!", _BYTES),
    0x04: ("user", _USER),
    0x05: ("numberOfCredentials", _COUNT),
}
_RETRIES: Shape = {ClientPin.RESULT.PIN_RETRIES: ("pinRetries!", _number(0, 255))}
_TOKEN: Shape = {ClientPin.RESULT.PIN_UV_TOKEN: ("pinUvAuthToken!", _BYTES)}
_AGREEMENT: Shape = {ClientPin.RESULT.KEY_AGREEMENT: ("keyAgreement!", _cose)}
_CLIENT_PIN: Mapping[int, Shape] = {
    ClientPin.CMD.GET_PIN_RETRIES: _RETRIES,
    ClientPin.CMD.GET_KEY_AGREEMENT: _AGREEMENT,
    ClientPin.CMD.GET_TOKEN_USING_PIN_LEGACY: _TOKEN,
    ClientPin.CMD.GET_TOKEN_USING_UV: _TOKEN,
    ClientPin.CMD.GET_TOKEN_USING_PIN: _TOKEN,
}
_RP: Shape = {0x03: ("rp!", _with("id", _TEXT)), 0x04: ("rpIDHash!", _sized(32))}
_CREDENTIAL: Shape = {
    0x06: ("user!", _USER),
    0x07: ("credentialID!", _DESCRIPTOR),
    0x08: ("publicKey!", _cose),
}
_MANAGEMENT: Mapping[int, Shape] = {
    CredentialManagement.CMD.GET_CREDS_METADATA: {
        0x01: ("existingResidentCredentialsCount!", _COUNT),
        0x02: ("maxPossibleRemainingResidentCredentialsCount!", _COUNT),
    },
    CredentialManagement.CMD.ENUMERATE_RPS_BEGIN: {0x05: ("totalRPs!", _COUNT)},
    CredentialManagement.CMD.ENUMERATE_RPS_NEXT: _RP,
    CredentialManagement.CMD.ENUMERATE_CREDS_BEGIN: {**_CREDENTIAL, 0x09: ("totalCredentials!", _COUNT)},
    CredentialManagement.CMD.ENUMERATE_CREDS_NEXT: _CREDENTIAL,
}
_PLAIN: Mapping[int, Shape] = {
    Ctap2.CMD.GET_INFO: _GET_INFO,
    Ctap2.CMD.MAKE_CREDENTIAL: _MAKE_CREDENTIAL,
    Ctap2.CMD.GET_ASSERTION: _ASSERTION,
    Ctap2.CMD.GET_NEXT_ASSERTION: _ASSERTION,
}
_LARGE_BLOBS: Shape = {0x01: ("config!", _BYTES)}


def _shape(command: int, request: Mapping[int, object]) -> Shape:
    """What the answer to a request must be; an empty shape for a command whose answer nobody reads."""
    if command == Ctap2.CMD.CLIENT_PIN:
        return _CLIENT_PIN.get(_integer(request.get(2)), {})
    if command in (Ctap2.CMD.CREDENTIAL_MGMT, Ctap2.CMD.CREDENTIAL_MGMT_PRE):
        return _MANAGEMENT.get(_integer(request.get(1)), {})
    if command == Ctap2.CMD.LARGE_BLOBS:
        return _LARGE_BLOBS if 1 in request else {}
    return _PLAIN.get(command, {})


def _integer(subcommand: object) -> int:
    return subcommand if isinstance(subcommand, int) else 0


def wrong(shape: Shape, answer: Mapping[int, object]) -> str | None:
    """Say which member is not as it must be; None if all are."""
    for member, (name, is_right) in shape.items():
        value = answer.get(member)
        if value is None:
            if name.endswith("!"):
                return f"{name[:-1]} ({member:#04x}) is missing"
        elif not is_right(value):
            return f"{name.rstrip('!')} ({member:#04x}) is {type(value).__name__} {str(value)[:40]}"
    return None


_NEVER_CANCELLED = Event()
"""Nobody sets it. python-fido2 would make one for each command."""


class CheckedCtap2(Ctap2):
    """python-fido2's CTAP 2 commands, whose answers have the shape that their specification says."""

    def send_cbor(
        self,
        cmd: int,
        data: Mapping[int, object] | None = None,
        *,
        event: Event | None = None,
        on_keepalive: Callable[[int], None] | None = None,
    ) -> Mapping[int, object]:
        """:raises MalformedAnswer: a member is missing, or is of another type."""
        from fido2 import cbor

        asked = data or {}
        event = event or _NEVER_CANCELLED
        answer = dict(super().send_cbor(cmd, data, event=event, on_keepalive=on_keepalive))
        listed = asked.get(3) if cmd == Ctap2.CMD.GET_ASSERTION else None
        if isinstance(listed, list) and len(listed) == 1:
            # A key need not name the only credential that it was asked for (CTAP 2.1, section 6.2.2).
            answer.setdefault(1, listed[0])
        shape = _shape(cmd, asked)
        if cmd in (Ctap2.CMD.CREDENTIAL_MGMT, Ctap2.CMD.CREDENTIAL_MGMT_PRE) and answer.get(0x05):
            # Without any relying party the first answer names none.
            shape = {**shape, **_RP}
        if (why := wrong(shape, answer)) is not None:
            raise MalformedAnswer(why, command=f"CTAP2 command {cmd:#04x}", answer=cbor.encode(answer))
        return answer
