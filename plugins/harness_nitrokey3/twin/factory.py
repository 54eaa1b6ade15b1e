"""Provision a key as the factory does: file systems, an attestation key with its certificate, a first state."""

from __future__ import annotations

import datetime
from functools import cache
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.api import Platform, Stream, child
from harness_fido2.twin import attestation, crypto, persistent_state
from harness_fido2.twin.credentials import DIRECTORY as CREDENTIALS
from harness_fido2.twin.features import INTERNAL

AAGUID = bytes.fromhex("ec99db19cd1f4c06a2a9940f17a6a30b")
"""The AAGUID of the Nitrokey 3 (nitrokey-3-firmware b9ec0bdc, utils/fido2-mds)."""
_AAGUID_OID = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
_FROM, _TO = datetime.datetime(2020, 1, 1), datetime.datetime(2099, 12, 31)
DIRECTORIES = ("fido", persistent_state.DIRECTORY, "fido/x5c", CREDENTIALS, "fido/dat", "admin")


class Batch(NamedTuple):
    """The attestation of a batch of keys: 32 bytes of private key; certificates in DER."""

    key: bytes
    certificate: bytes
    root: bytes


@cache
def batch(seed: bytes) -> Batch:
    """Make a root of our own and a certificate under it (WebAuthn, section 8.2.1), the same for the same seed."""
    streams = (Stream(seed, "attestation", name) for name in ("root", "key"))
    root_key, key = (crypto.new_key(crypto.ES256, stream) for stream in streams)
    root_name = _name("Keyharness Attestation Root", None)
    basic = x509.BasicConstraints(ca=True, path_length=0)
    root = _builder(root_name, root_name, root_key, child(seed, "serial", 0)).add_extension(basic, True)
    name = _name("Keyharness Twin 3A Mini", "Authenticator Attestation")
    leaf = (
        _builder(name, root_name, key, child(seed, "serial", 1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.UnrecognizedExtension(_AAGUID_OID, b"\x04\x10" + AAGUID), False)
    )
    return Batch(key, _sign(leaf, root_key), _sign(root, root_key))


def _name(common: str, unit: str | None) -> x509.Name:
    parts = [(NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Keyharness")]
    if unit:
        parts.append((NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    parts.append((NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


def _builder(subject: x509.Name, issuer: x509.Name, key: bytes, serial: bytes) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(crypto.p256(key).public_key())
        .serial_number(int.from_bytes(serial[:8], "big") | 1)
        .not_valid_before(_FROM)
        .not_valid_after(_TO)
    )


def _sign(builder: x509.CertificateBuilder, key: bytes) -> bytes:
    signer: ec.EllipticCurvePrivateKey = crypto.p256(key)
    certificate = builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=True)
    return certificate.public_bytes(serialization.Encoding.DER)


def make_directories(platform: Platform) -> None:
    for path in DIRECTORIES:
        platform.store(INTERNAL).make_directory(path)


def provision(platform: Platform, seed: bytes) -> None:
    """Write the factory data to freshly formatted file systems."""
    make_directories(platform)
    made = batch(seed)
    attestation.write(platform.store(INTERNAL), made.key, made.certificate)
    persistent_state.initialise(platform)
