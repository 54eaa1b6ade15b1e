"""Ciphers and key derivation that an open implementation of the applet has beyond the genuine one (80 78, 51 and 52).

The request is 06 {algorithm}, 81 {data}, 82 {IV or salt}, 83 {data that are authenticated, or shared}. Read in pico-hsm
8838047 (cmd_cipher_sym.c). Without an IV, modes that need none but a counter or a feedback start with zeros.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from harness_cards.tlv import NotTlv, fields, objects
from harness_schsm.twin.status import WRONG_LENGTH, CardError

ENCRYPT, DECRYPT = 0x51, 0x52
BYTES = (16, 24, 32, 64)
"""Sizes of its symmetric keys; the longest is for XTS."""
BLOCK = 16
OUTPUT_MAX, ROUNDS_MAX = 4096, 1_000_000
_RSADSI = bytes.fromhex("2A864886F70D")
_HASHES: dict[bytes, hashes.HashAlgorithm] = {
    _RSADSI + b"\x02\x07": hashes.SHA1(),
    _RSADSI + b"\x02\x08": hashes.SHA224(),
    _RSADSI + b"\x02\x09": hashes.SHA256(),
    _RSADSI + b"\x02\x0a": hashes.SHA384(),
    _RSADSI + b"\x02\x0b": hashes.SHA512(),
}
"""hmacWithSHA1 and the others (RFC 8018, appendix B.1.2)."""
_HKDF: dict[bytes, hashes.HashAlgorithm] = {
    _RSADSI + b"\x01\x09\x10\x03\x1d": hashes.SHA256(),
    _RSADSI + b"\x01\x09\x10\x03\x1e": hashes.SHA384(),
    _RSADSI + b"\x01\x09\x10\x03\x1f": hashes.SHA512(),
}
"""RFC 8619."""
_CHACHA, _PBKDF2 = _RSADSI + b"\x01\x09\x10\x03\x12", _RSADSI + b"\x01\x05\x0c"
_X963 = bytes.fromhex("2B81051086483F")
_AES, _XTS = bytes.fromhex("6086480165030401"), bytes.fromhex("2B6F028C53000001")
_ECB, _CBC, _OFB, _CFB, _GCM, _CCM, _CTR = 1, 2, 3, 4, 6, 7, 9
_GROUPS = {16: 0, 24: 20, 32: 40}
"""Bytes of an AES key -> what is added to the last byte of its algorithms' OIDs."""
_Mode = modes.ECB | modes.CBC | modes.CTR | modes.XTS
_CHAINED: dict[int, Callable[[bytes], _Mode]] = {
    _ECB: lambda iv: modes.ECB(),
    _CBC: modes.CBC,
    _CTR: modes.CTR,
}


@dataclass(frozen=True)
class _Request:
    """:ivar length: of a derived key; None if the host does not say."""

    algorithm: bytes
    data: bytes
    iv: bytes
    more: bytes
    encrypt: bool
    length: int | None


def answered(key: bytes, data: bytes, le: int | None, *, encrypt: bool) -> bytes:
    """Carry out one request with a symmetric key.

    :raises CardError: it is no such request, or does not fit the key.
    """
    try:
        found = fields(data)
    except NotTlv:
        raise CardError(WRONG_LENGTH) from None
    algorithm, content, iv, more = (found.get(tag, b"") for tag in (0x06, 0x81, 0x82, 0x83))
    asked = _Request(algorithm, content, iv, more, encrypt, le)
    try:
        return _made(key, asked)
    except (ValueError, InvalidTag, KeyError, OverflowError):
        raise CardError(WRONG_LENGTH) from None


def _made(key: bytes, asked: _Request) -> bytes:
    name = asked.algorithm
    if name in _HASHES:
        return hmac.digest(key, asked.data, _HASHES[name].name)
    if name in _HKDF:
        hash_ = _HKDF[name]
        return HKDF(hash_, _length(asked, hash_.digest_size), asked.iv or None, asked.data).derive(key)
    if name == _PBKDF2:
        return _pbkdf2(key, asked)
    if name == _X963:
        return X963KDF(_HASHES[asked.data], _length(asked, 32), asked.more or None).derive(key)
    if name == _CHACHA:
        return _sealed(ChaCha20Poly1305(key), asked)
    if name[:-1] == _AES and len(key) in _GROUPS:
        return _aes(key, name[-1] - _GROUPS[len(key)], asked)
    if name[:-1] == _XTS and len(key) == 32 * name[-1]:
        return _streamed(algorithms.AES(key), modes.XTS(asked.iv or bytes(BLOCK)), asked)
    raise CardError(WRONG_LENGTH)


def _length(asked: _Request, usual: int) -> int:
    wanted = asked.length or usual
    if wanted > OUTPUT_MAX:
        raise CardError(WRONG_LENGTH)
    return wanted


def _pbkdf2(key: bytes, asked: _Request) -> bytes:
    """With the parameters of RFC 8018 without the sequence around them: salt, rounds, perhaps a length and a hash."""
    salt, numbers, hash_ = b"", [], _HASHES[_RSADSI + b"\x02\x07"]
    for tag, value, _ in objects(asked.data):
        if tag == 0x04:
            salt = value
        elif tag == 0x02:
            numbers.append(int.from_bytes(value, "big", signed=True))
        else:
            hash_ = _HASHES[fields(value)[0x06]]
    rounds, *lengths = numbers
    if not 0 < rounds <= ROUNDS_MAX:
        raise CardError(WRONG_LENGTH)
    return PBKDF2HMAC(hash_, lengths[0] if lengths else _length(asked, 32), salt, rounds).derive(key)


def _aes(key: bytes, mode: int, asked: _Request) -> bytes:
    if mode == _GCM:
        return _sealed(AESGCM(key), asked)
    if mode == _CCM:
        return _sealed(AESCCM(key), asked)
    iv = asked.iv or bytes(BLOCK)
    if mode in (_OFB, _CFB):
        return _fed_back(key, iv, asked, cipher=mode == _CFB)
    if mode == _ECB and len(asked.data) != BLOCK:
        raise CardError(WRONG_LENGTH)
    return _streamed(algorithms.AES(key), _CHAINED[mode](iv), asked)


def _fed_back(key: bytes, iv: bytes, asked: _Request, *, cipher: bool) -> bytes:
    """OFB, or CFB with whole blocks (NIST SP 800-38A, sections 6.3 and 6.4)."""
    if len(iv) != BLOCK:
        raise CardError(WRONG_LENGTH)
    worker = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    done, fed = b"", iv
    for at in range(0, len(asked.data), BLOCK):
        stream, part = worker.update(fed), asked.data[at : at + BLOCK]
        made = bytes(left ^ right for left, right in zip(part, stream, strict=False))
        done += made
        fed = (made if asked.encrypt else part) if cipher else stream
    return done


def _sealed(cipher: AESGCM | AESCCM | ChaCha20Poly1305, asked: _Request) -> bytes:
    """With 16 bytes of authentication behind the data. An IV must be given."""
    if not asked.iv:
        raise CardError(WRONG_LENGTH)
    work = cipher.encrypt if asked.encrypt else cipher.decrypt
    return work(asked.iv, asked.data, asked.more)


def _streamed(algorithm: algorithms.AES, mode: _Mode, asked: _Request) -> bytes:
    cipher = Cipher[_Mode](algorithm, mode)
    worker = cipher.encryptor() if asked.encrypt else cipher.decryptor()
    return worker.update(asked.data) + worker.finalize()
