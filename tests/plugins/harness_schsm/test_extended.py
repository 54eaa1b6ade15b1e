"""Ciphers and key derivation of the open implementation, against the vectors of their standards, and on the card."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from harness_cards.tlv import tlv
from harness_schsm import dkek
from harness_schsm.client import ScHsm
from harness_schsm.twin import extended
from harness_schsm.twin.extended import DECRYPT, ENCRYPT
from harness_schsm.twin.status import CardError
from support.hsm import hsm, up

AES_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
IV = bytes(range(16))
TEXT = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
HMAC_SHA256 = bytes.fromhex("2A864886F70D0209")
CHACHA = bytes.fromhex("2A864886F70D0109100312")


def aes(mode: int) -> bytes:
    return bytes.fromhex("6086480165030401") + bytes([mode])


def request(algorithm: bytes, data: bytes, iv: bytes = b"", more: bytes = b"") -> bytes:
    given = tlv(0x06, algorithm) + tlv(0x81, data)
    return given + (tlv(0x82, iv) if iv else b"") + (tlv(0x83, more) if more else b"")


@pytest.mark.parametrize(
    ("mode", "iv", "text", "secret"),
    [
        (1, b"", TEXT[:16], "3ad77bb40d7a3660a89ecaf32466ef97"),
        (2, IV, TEXT, "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"),
        (3, IV, TEXT, "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825"),
        (4, IV, TEXT, "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"),
        (
            *(9, bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"), TEXT),
            "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff",
        ),
    ],
    ids=["ECB", "CBC", "OFB", "CFB", "CTR"],
)
def test_modes_of_aes_as_sp_800_38a_has_them(mode, iv, text, secret):
    made = extended.answered(AES_KEY, request(aes(mode), text, iv), None, encrypt=True)
    assert made.hex() == secret
    assert extended.answered(AES_KEY, request(aes(mode), made, iv), None, encrypt=False) == text


@pytest.mark.parametrize(
    ("key", "asked", "length", "made"),
    [
        (  # RFC 4231, test case 1
            b"\x0b" * 20,
            request(HMAC_SHA256, b"Hi There"),
            None,
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (  # RFC 5869, test case 1
            b"\x0b" * 22,
            request(
                bytes.fromhex("2A864886F70D010910031D"),
                bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"),
                bytes(range(13)),
            ),
            42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (  # RFC 6070, test case 2
            b"password",
            request(bytes.fromhex("2A864886F70D01050C"), tlv(0x04, b"salt") + tlv(0x02, b"\2")),
            20,
            "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957",
        ),
        (  # NIST CAVS for ANSI X9.63 with SHA-256
            bytes.fromhex("96c05619d56c328ab95fe84b18264b08725b85e33fd34f08"),
            request(bytes.fromhex("2B81051086483F"), HMAC_SHA256),
            16,
            "443024c3dae66b95e6f5670601558f71",
        ),
    ],
    ids=["HMAC", "HKDF", "PBKDF2", "X9.63"],
)
def test_keyed_hashes_and_derivations_as_their_standards_have_them(key, asked, length, made):
    assert extended.answered(key, asked, length, encrypt=True).hex() == made


@pytest.mark.parametrize(("algorithm", "iv"), [(CHACHA, 12), (aes(0x2E), 12), (aes(0x2F), 13)])
def test_a_change_of_what_is_authenticated_is_refused(algorithm, iv):
    key, nonce = bytes(range(32)), bytes(iv)
    made = extended.answered(key, request(algorithm, TEXT, nonce, b"more"), None, encrypt=True)
    assert len(made) == len(TEXT) + 16
    assert extended.answered(key, request(algorithm, made, nonce, b"more"), None, encrypt=False) == TEXT
    for changed in (
        request(algorithm, made, nonce, b"less"),
        request(algorithm, made[:-1] + bytes([made[-1] ^ 1]), nonce, b"more"),
        request(algorithm, made, b"", b"more"),
    ):
        with pytest.raises(CardError):
            extended.answered(key, changed, None, encrypt=False)


@pytest.mark.parametrize(
    "asked", [b"", b"\x06", request(b"\x2a", b""), request(aes(1), TEXT), request(aes(0x29), TEXT[:16])]
)
def test_what_is_no_request_for_this_key_is_refused(asked):
    with pytest.raises(CardError):
        extended.answered(AES_KEY, asked, None, encrypt=True)


def restored(personality: str) -> ScHsm:
    """A card with an AES key 1 that came in a blob, and may be used for everything."""
    client = ScHsm(up(hsm(personality=personality)))
    client.initialize("3537363231383830", "648219", shares=1)
    client.import_share(bytes(32))
    client.verify("648219")
    contents = dkek.Contents(dkek.AES, 16, (AES_KEY,), bytes([0x10, 0x11, 0x18, ENCRYPT, DECRYPT]))
    client.command("UNWRAP", 0x74, 1, 0x93, dkek.wrapped(bytes(32), contents, bytes(8)), cla=0x80)
    return client


def test_the_open_implementation_has_them_and_describes_a_restored_key():
    client = restored("open-order")
    secret = client.command("AES", 0x78, 1, ENCRYPT, request(aes(2), TEXT, IV), cla=0x80, le=256)
    assert secret.hex().startswith("7649abac8119b246")
    assert client.command("AES", 0x78, 1, DECRYPT, request(aes(2), secret, IV), cla=0x80, le=256) == TEXT
    assert 0xC401 in client.objects()


def test_the_sound_card_has_none_of_them():
    client = restored("reference")
    _, status = client.exchange(0x78, 1, ENCRYPT, request(aes(2), TEXT, IV), cla=0x80, le=256)
    assert status == 0x6A81
    assert 0xC401 not in client.objects()


def padded_as_needed(parts: tuple[bytes, ...]) -> bytes:
    """A blob as pypicohsm makes it: padded only where the last block is not full."""
    value = bytes(32)
    inner = bytes(8) + b"\2\0" + b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    assert len(inner) % 16 == 0, "nothing to pad"
    head = hashlib.sha256(value).digest()[:8] + b"\5" + tlv(0, dkek.OIDS[dkek.RSA]) + bytes(6)
    worker = Cipher(
        algorithms.AES(hashlib.sha256(value + b"\0\0\0\1").digest()), modes.CBC(bytes(16))
    ).encryptor()
    body = head + worker.update(inner) + worker.finalize()
    mac = CMAC(algorithms.AES(hashlib.sha256(value + b"\0\0\0\2").digest()))
    mac.update(body)
    return body + mac.finalize()


def test_a_blob_whose_last_block_is_full_needs_no_padding():
    parts = (b"\x80" * 48, b"\1" * 30, b"\x80\1")
    assert dkek.unwrapped(bytes(32), padded_as_needed(parts)).parts == parts
