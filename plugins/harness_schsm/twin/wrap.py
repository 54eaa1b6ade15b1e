"""WRAP KEY and UNWRAP KEY: a key leaves the card under the DKEK of its domain, and comes in under one."""

from __future__ import annotations

from harness_cards.curves import with_prime
from harness_cards.rsa import RsaPrivate, primes_of
from harness_schsm import dkek
from harness_schsm.description import private_key
from harness_schsm.dkek import BadBlob, Contents
from harness_schsm.twin.domains import dkek_of, load_domain
from harness_schsm.twin.elementary import ef_file, sealed_ef
from harness_schsm.twin.generate import Restrictions, require_free, store
from harness_schsm.twin.keys import AesKey, CardKey, EcPrivate, Secret, request, require
from harness_schsm.twin.state import Card
from harness_schsm.twin.status import CONDITIONS, WRONG_DATA, WRONG_P1P2, CardError

WRAP, UNWRAP = 0x92, 0x93


def wrap(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """WRAP KEY P1; a key that was made with a list of algorithms must list this one."""
    if p2 != WRAP:
        raise CardError(WRONG_P1P2)
    card.require_login()
    key = require(card, p1)
    key.require_algorithm(WRAP)
    return dkek.wrapped(dkek_of(card, key.domain), _contents(key), card.random("wrap", 8))


def _contents(key: CardKey) -> Contents:
    secret, allowed = key.secret, key.algorithms or b""
    if isinstance(secret, AesKey):
        return Contents(dkek.AES, len(secret.value), (secret.value,), allowed)
    if isinstance(secret, RsaPrivate):
        p, q, d = secret.p, secret.q, secret.d
        numbers = (d % (p - 1), d % (q - 1), p, pow(q, -1, p), q)
        half = secret.size // 2
        parts = [*(number.to_bytes(half, "big") for number in numbers), secret.n.to_bytes(secret.size, "big")]
        return Contents(dkek.RSA_CRT, secret.n.bit_length(), (*parts, secret.e.to_bytes(3, "big")), allowed)
    curve = secret.curve
    numbers_ec = (
        *(curve.a, curve.b, curve.prime, curve.order.to_bytes(curve.order_size, "big"), curve.point(1)),
        *(secret.d.to_bytes(curve.order_size, "big"), curve.point(secret.d)),
    )
    return Contents(dkek.EC, curve.bits, numbers_ec, allowed)


def unwrap(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """UNWRAP KEY as number P1: the blob stands in EF 2F10, or in the command.

    :raises CardError: the DKEK of no domain opens it, or the number is taken.
    """
    if p2 != UNWRAP:
        raise CardError(WRONG_P1P2)
    card.require_login()
    blob = data or card.staged
    require_free(card, p1)
    configuration = card.require_configuration()
    domains = range(max(1, configuration.domains))
    if all(domain is None or domain.outstanding for domain in (load_domain(card, one) for one in domains)):
        raise CardError(CONDITIONS)
    for number in domains:
        domain = load_domain(card, number)
        if domain is None or domain.dkek is None:
            continue
        checked = "kcv-unchecked" not in card.defects
        if checked and blob[: dkek.KCV_SIZE] != dkek.check_value(domain.dkek):
            continue
        try:
            contents = dkek.unwrapped(domain.dkek, blob, checked=checked)
            secret = _secret(contents, most=64 if card.is_open else 32)
        except (BadBlob, ValueError):
            break
        store(card, p1, secret, Restrictions(None, contents.algorithms or None, number))
        if card.is_open:
            _describe(card, p1, secret)
        card.staged = b""
        return b""
    raise CardError(WRONG_DATA)


def _describe(card: Card, key_id: int, secret: Secret) -> None:
    """Write the files that hosts write beside a restored key, as an open implementation does itself."""
    if isinstance(secret, AesKey):
        kind, bits = "aes", 8 * len(secret.value)
    elif isinstance(secret, RsaPrivate):
        kind, bits = "rsa", secret.n.bit_length()
    else:
        kind, bits = "ec", secret.curve.bits
    description = private_key(kind, str(key_id), key_id, bits, sized=True)
    card.files.write(ef_file(0xC400 | key_id), sealed_ef(description))
    if not isinstance(secret, AesKey):
        name = card.identity.name.encode()
        card.files.write(ef_file(0xCE00 | key_id), sealed_ef(request(card, secret, name, name, name)))


def _secret(contents: Contents, *, most: int) -> Secret:
    """:param most: bytes of an AES key.

    :raises ValueError: the numbers are no key.
    """
    parts = contents.parts
    if contents.kind == dkek.AES:
        if len(parts[0]) not in (16, 24, 32, 64) or len(parts[0]) > most:
            raise ValueError("no AES key")
        return AesKey(parts[0])
    if contents.kind == dkek.EC:
        curve = with_prime(parts[2])
        if curve is None:
            raise ValueError("an unknown curve")
        return EcPrivate(curve, int.from_bytes(parts[5], "big"))
    if contents.kind == dkek.RSA_CRT:
        p, q, e = (int.from_bytes(parts[index], "big") for index in (2, 4, 6))
        if p * q != int.from_bytes(parts[5], "big"):
            raise ValueError("primes of another modulus")
        return RsaPrivate(p, q, e)
    d, n, e = (int.from_bytes(part, "big") for part in parts)
    return RsaPrivate(*primes_of(n, e, d), e)
