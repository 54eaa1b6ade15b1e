"""Private key descriptions (PKCS #15): what hosts write beside a key, and what makes it visible to PKCS #11."""

from __future__ import annotations

from harness_cards.tlv import NotTlv, fields, first, tlv

OURS = "keyharness "
"""How the label of every object begins that we make."""
_SEQUENCE, _LABEL, _EC, _AES = 0x30, 0x0C, 0xA0, 0xA8
KINDS = {"rsa": _SEQUENCE, "ec": _EC, "aes": _AES}
_USAGE = {"rsa": b"\x02\x74", "ec": b"\x06\x20\x40", "aes": b"\x06\xc0"}


def private_key(kind: str, label: str, key_id: int, bits: int, *, sized: bool = False) -> bytes:
    """Encode the content of C4xx.

    :param kind: "rsa", "ec" or "aes". :param bits: of the modulus, field or AES key.
    :param sized: an AES key shows its bits in its own part (CommonSecretKeyAttributes), too.
    """
    common = tlv(_SEQUENCE, tlv(_LABEL, label.encode()), tlv(0x03, b"\x07\x80"), tlv(0x04, b"\x01"))
    names = tlv(_SEQUENCE, tlv(0x04, bytes([key_id])), tlv(0x03, _USAGE[kind]))
    value = tlv(_SEQUENCE, tlv(_SEQUENCE, tlv(0x04)), tlv(0x02, bits.to_bytes(2, "big")))
    size = tlv(0xA0, tlv(_SEQUENCE, tlv(0x02, bits.to_bytes(2, "big")))) if sized and kind == "aes" else b""
    return tlv(KINDS[kind], common, names, size, tlv(0xA1, value))


def data(label: str) -> bytes:
    """Encode the content of C9xx, the description of a data object."""
    return tlv(_SEQUENCE, tlv(_SEQUENCE, tlv(_LABEL, label.encode())))


def token(label: str, serial: bytes = b"") -> bytes:
    """Encode EF 2F03, TokenInfo."""
    content = tlv(0x02, b"\0") + (tlv(0x04, serial) if serial else b"") + tlv(0x80, label.encode())
    return tlv(_SEQUENCE, content, tlv(0x03, b"\x04\x10"))


def label_of(description: bytes) -> str | None:
    """Return the label in a description; None if it cannot be decoded."""
    try:
        common = first(first(description)[1])[1]
        return fields(common)[_LABEL].decode("utf-8", "replace")
    except (NotTlv, KeyError):
        return None
