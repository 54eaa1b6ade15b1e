"""Key domains: the DKEK of each, put together from shares.

The count of shares, their exclusive-or and their digests stand in one record, so no cut separates them; a share that
was taken already is refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from harness.api import records
from harness_schsm.dkek import KCV_SIZE, SHARE_SIZE, check_value, combined
from harness_schsm.twin.keys import key_ids, load
from harness_schsm.twin.state import Card
from harness_schsm.twin.status import (
    CONDITIONS,
    NO_INSTRUCTION,
    NOT_ALLOWED,
    NOT_REFERENCED,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_P1P2,
    CardError,
)

SHARE, CREATE, DELETE, RESET = 0x00, 0x01, 0x03, 0x04


@dataclass(frozen=True)
class Domain:
    """One key domain.

    :ivar total: shares that make its DKEK; 0 is a random DKEK that the card made. :ivar taken: digests of the shares.
    """

    total: int
    outstanding: int
    value: bytes = bytes(SHARE_SIZE)
    taken: tuple[bytes, ...] = ()

    def sealed(self) -> bytes:
        return records.seal({1: self.total, 2: self.outstanding, 3: self.value, 4: list(self.taken)})

    @property
    def dkek(self) -> bytes | None:
        """The DKEK; None while shares are outstanding."""
        return None if self.outstanding else self.value

    @property
    def shown(self) -> bytes:
        """Total, outstanding, KCV; a KCV of zeros is none."""
        dkek = self.dkek
        return bytes([self.total, self.outstanding]) + (
            bytes(KCV_SIZE) if dkek is None else check_value(dkek)
        )


def domain_file(number: int) -> str:
    return f"dkek{number:02X}"


def made(card: Card, shares: int) -> Domain:
    """Return a new domain for a number of shares; without shares, with a random DKEK."""
    return Domain(shares, shares) if shares else Domain(0, 0, card.random("dkek", SHARE_SIZE))


def load_domain(card: Card, number: int) -> Domain | None:
    found = card.files.record(domain_file(number))
    return None if found is None else Domain(found[1], found[2], found[3], tuple(found[4]))


def dkek_of(card: Card, number: int) -> bytes:
    """The DKEK of a domain.

    :raises CardError: there is none, or shares are outstanding.
    """
    domain = load_domain(card, number)
    dkek = domain.dkek if domain else None
    if dkek is None:
        raise CardError(NOT_REFERENCED if card.is_open else CONDITIONS)
    return dkek


def manage(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """80 52: import a share, ask for the state, create, delete or reset a key domain."""
    configuration = card.configuration
    if configuration is None:
        # sc-hsm-tool takes this word for a card that knows no DKEK, and any other for a failure.
        raise CardError(NO_INSTRUCTION)
    domain = load_domain(card, p2)
    if p2 >= max(1, configuration.domains):
        raise CardError(WRONG_P1P2)
    if p1 == CREATE:
        return _create(card, p2, domain, data)
    if domain is None:
        # A card without key domains does not know the command then; one with them does not know the domain's key.
        if not configuration.domains:
            raise CardError(NO_INSTRUCTION)
        raise CardError(NOT_ALLOWED if p1 == SHARE and data else NOT_REFERENCED)
    if p1 == SHARE:
        return _take(card, p2, domain, data).shown if data else domain.shown
    if p1 not in (DELETE, RESET):
        raise CardError(WRONG_P1P2)
    card.require_login()
    if any((key := load(card, key_id)) and key.domain == p2 for key_id in key_ids(card)):
        raise CardError(CONDITIONS)
    if p1 == DELETE:
        card.files.remove(domain_file(p2))
        return b""
    fresh = made(card, domain.total)
    card.files.write(domain_file(p2), fresh.sealed())
    return fresh.shown


def _create(card: Card, number: int, domain: Domain | None, data: bytes) -> bytes:
    if not card.require_configuration().domains:
        raise CardError(NO_INSTRUCTION)
    card.require_login()
    if len(data) != 1:
        raise CardError(WRONG_LENGTH)
    if domain is not None:
        raise CardError(CONDITIONS)
    fresh = made(card, data[0])
    card.files.write(domain_file(number), fresh.sealed())
    return fresh.shown


def _take(card: Card, number: int, domain: Domain, share: bytes) -> Domain:
    if len(share) != SHARE_SIZE:
        raise CardError(WRONG_LENGTH)
    if not domain.outstanding:
        raise CardError(CONDITIONS)
    digest = hashlib.sha256(share).digest()[:8]
    if digest in domain.taken and "share-counted-later" not in card.defects:
        raise CardError(WRONG_DATA)
    value = combined(domain.value, share)
    after = Domain(domain.total, domain.outstanding - 1, value, (*domain.taken, digest))
    if "share-counted-later" in card.defects:
        card.files.write(
            domain_file(number), Domain(domain.total, domain.outstanding, value, domain.taken).sealed()
        )
    card.files.write(domain_file(number), after.sealed())
    return after
