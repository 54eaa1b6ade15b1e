"""Fixtures of the OpenPGP suite.

Each case starts from the home state: PW1 and PW3 of three tries, no reset code, a key in each slot with its
fingerprint, data objects, a certificate for authentication. Cases spend tries and keys, so they need a card whose state
can be copied; those with the mark `reads` change nothing and run on every card.
"""

from __future__ import annotations

import pytest

from harness.api import Home, Rig
from harness_openpgp.client import ADMIN, OTHER, OpenPgp
from harness_openpgp.home import OpenPgpMemory, known
from harness_suites.powered_up import power_up


@pytest.fixture
def mine(home: Home) -> OpenPgpMemory:
    """What the host knows of the card: its PINs and public keys."""
    return known(home.memory)


@pytest.fixture
def card(request: pytest.FixtureRequest, rig: Rig) -> OpenPgp:
    """The card, just powered up; nobody is verified."""
    power_up(request, rig, "card", "tries or keys")
    return OpenPgp(rig)


@pytest.fixture
def user(card: OpenPgp, mine: OpenPgpMemory) -> OpenPgp:
    """The card; PW1 is verified as 82."""
    card.verify(mine.pw1, OTHER)
    return card


@pytest.fixture
def admin(card: OpenPgp, mine: OpenPgpMemory) -> OpenPgp:
    """The card; PW3 is verified."""
    card.verify(mine.pw3, ADMIN)
    return card


@pytest.fixture
def everything(admin: OpenPgp, mine: OpenPgpMemory) -> OpenPgp:
    """The card; PW1 is verified as 82, and PW3."""
    admin.verify(mine.pw1, OTHER)
    return admin


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "reads: the case changes nothing on the card")
