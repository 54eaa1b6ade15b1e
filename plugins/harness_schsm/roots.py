"""Roots of device certificates: the one of our twins, and the maker's, which the caller gives."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from harness.api import CallerError, Rig, child
from harness_cards.curves import BRAINPOOL_P256
from harness_cards.tlv import tlv
from harness_schsm import cvc
from harness_schsm.cvc import BadCertificate, Certificate

TWIN_ROOT, TWIN_ISSUER = "UTKHROOT00001", "UTKHDICA00001"
SINCE, UNTIL = "260101", "460101"
VARIABLE = "KEYHARNESS_SCHSM_ROOT"


def private_of(*names: object) -> int:
    """A private key on brainpoolP256r1 from names. These keys protect nothing: they are ours, for twins."""
    return int.from_bytes(child(0, "schsm", *names), "big") % (BRAINPOOL_P256.order - 1) + 1


def public_of(private: int, *, domain: bool = False) -> bytes:
    """Content of 7F49 of a key for certificates.

    :param domain: with the curve's parameters, as a root has them; others inherit them.
    """
    point = BRAINPOOL_P256.point(private)
    return tlv(0x06, cvc.EC_SHA256) + (BRAINPOOL_P256.parameters(point) if domain else tlv(0x86, point))


@cache
def twin_root() -> Certificate:
    """The root of our twins: its own issuer."""
    key = private_of("root")
    made = cvc.certificate(
        car=TWIN_ROOT,
        chr_=TWIN_ROOT,
        public=public_of(key, domain=True),
        role=cvc.ROOT_ROLE,
        since=SINCE,
        until=UNTIL,
        issuer=key,
    )
    return cvc.decode(made)


@cache
def twin_issuer() -> bytes:
    """The certificate of the authority that issues our twins' certificates."""
    return cvc.certificate(
        car=TWIN_ROOT,
        chr_=TWIN_ISSUER,
        public=public_of(private_of("issuer")),
        role=cvc.ISSUER_ROLE,
        since=SINCE,
        until=UNTIL,
        issuer=private_of("root"),
    )


def twin_certificates(private: int, name: str) -> bytes:
    """EF 2F02 of a twin: its certificate and its issuer's."""
    device = cvc.certificate(
        car=TWIN_ISSUER,
        chr_=name,
        public=public_of(private),
        role=cvc.DEVICE_ROLE,
        since=SINCE,
        until=UNTIL,
        issuer=private_of("issuer"),
    )
    return device + twin_issuer()


def root_for(rig: Rig) -> Certificate | None:
    """The root that the key on a rig must descend from; None if the caller gives none for a key that is no twin.

    :raises CallerError: the given file holds no certificate.
    """
    if rig.evidence_kind == "twin":
        return twin_root()
    given = os.environ.get(VARIABLE)
    if not given:
        return None
    try:
        return cvc.decode(Path(given).read_bytes())
    except (OSError, BadCertificate) as error:
        raise CallerError(
            VARIABLE, found=f"{given}: {error}", expected="the maker's root certificate, object 7F21"
        ) from None
