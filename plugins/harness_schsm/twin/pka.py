"""Public key authentication: verify certificates, register keys of other devices, and let those answer a challenge.

Registered keys are files; what was verified or proved lasts until the applet is selected again.
"""

from __future__ import annotations

from harness.api import records
from harness_cards.curves import BRAINPOOL_P256
from harness_cards.tlv import NotTlv, fields, tlv
from harness_schsm import cvc
from harness_schsm.cvc import BadCertificate, EcPublic
from harness_schsm.twin.state import Card
from harness_schsm.twin.status import (
    CONDITIONS,
    NOT_REFERENCED,
    NOT_SUPPORTED,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_P1P2,
    CardError,
)

VERIFICATION, AUTHENTICATION = 0x81B6, 0x81A4
CHALLENGE_MAX = 1024


def registered_file(number: int) -> str:
    return f"pka{number:02X}"


def registered(card: Card) -> dict[str, bytes]:
    """CHR -> point of the registered keys."""
    found = {}
    for name in card.files.names():
        if name.startswith("pka") and (record := card.files.record(name)) is not None:
            found[record[1]] = record[2]
    return found


def _known(card: Card) -> dict[str, bytes]:
    """CHR -> point of the certificates whose keys may verify others: the root's and those that were verified."""
    root = cvc.decode(card.root)
    key = root.key()
    assert isinstance(key, EcPublic)
    return {root.chr: key.point, **card.session.trusted}


def challenge(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """GET CHALLENGE: up to 1024 random bytes."""
    if not le or le > CHALLENGE_MAX:
        raise CardError(WRONG_LENGTH)
    card.session.challenge = card.random("challenge", le)
    return card.session.challenge


def set_environment(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """MANAGE SECURITY ENVIRONMENT: name the key that verifies the next certificate, or answers the next challenge."""
    try:
        name = fields(data)[0x83].decode("latin-1")
    except (NotTlv, KeyError):
        raise CardError(WRONG_DATA) from None
    kind = p1 << 8 | p2
    if kind == VERIFICATION:
        known = name in _known(card)
    elif kind == AUTHENTICATION:
        known = name in registered(card)
    else:
        # Chip authentication (41A4) leads to secure messaging, which is not offered.
        raise CardError(NOT_SUPPORTED)
    if not known:
        raise CardError(NOT_REFERENCED)
    card.session.reference = name
    return b""


def verify_certificate(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """PERFORM SECURITY OPERATION, verify certificate: the content of 7F21, signed by the key that was named."""
    if p1 << 8 | p2 != 0x00BE:
        raise CardError(WRONG_P1P2)
    issuer = card.session.reference
    point = _known(card).get(issuer)
    if point is None:
        raise CardError(NOT_REFERENCED)
    try:
        found = cvc.decode(tlv(cvc.CERTIFICATE, data))
        if found.car != issuer:
            raise BadCertificate(found.car)
        found.require_signed_by(EcPublic(BRAINPOOL_P256, point))
        key = found.key(BRAINPOOL_P256)
    except BadCertificate:
        raise CardError(WRONG_DATA) from None
    assert isinstance(key, EcPublic)
    card.session.trusted[found.chr] = key.point
    return b""


def register(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """80 54: register a public key that a device of the same maker made (content of 67); without data, the state.

    :returns: keys to be registered, missing, required to log in, authenticated now.
    """
    configuration = card.require_configuration()
    if configuration.pka is None:
        raise CardError(NOT_REFERENCED)
    required, total = configuration.pka
    found = registered(card)
    if data:
        if len(found) >= total:
            raise CardError(CONDITIONS)
        name, point = _attested(card, data)
        if name in found:
            raise CardError(WRONG_DATA)
        card.files.write(registered_file(len(found)), records.seal({1: name, 2: point}))
        found[name] = point
    return bytes([total, total - len(found), required, len(card.session.proved)])


def _attested(card: Card, data: bytes) -> tuple[str, bytes]:
    """The name and point of a request whose two signatures verify."""
    try:
        request = cvc.decode_authenticated(tlv(cvc.AUTHENTICATED, data))
        signer = card.session.trusted.get(request.signer)
        if signer is None:
            raise CardError(NOT_REFERENCED)
        key = request.require_attested(EcPublic(BRAINPOOL_P256, signer))
    except BadCertificate:
        raise CardError(WRONG_DATA) from None
    if not isinstance(key, EcPublic) or key.curve != BRAINPOOL_P256:
        raise CardError(NOT_SUPPORTED)
    return request.request.chr, key.point


def authenticate(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """EXTERNAL AUTHENTICATE: r || s of the named key over the device's CHR and the last challenge."""
    card.require_configuration()
    point = registered(card).get(card.session.reference)
    asked, card.session.challenge = card.session.challenge, b""
    if point is None or not asked:
        raise CardError(CONDITIONS)
    if not EcPublic(BRAINPOOL_P256, point).verifies(data, card.identity.name.encode() + asked):
        raise CardError(WRONG_DATA)
    card.session.proved.add(card.session.reference)
    return b""
