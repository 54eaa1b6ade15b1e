"""Fixtures of the suites on a SmartCard-HSM.

Each case starts from the home state: initialised with option 0001, a user PIN of three tries, a DKEK of one share, an
EC key 1, an RSA key 2, an AES key 3, a data object. Cases spend PIN tries and keys, so they need a card whose state can
be copied; those with the mark `reads` change nothing and run on every card.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.api import NOT_OFFERED, Home, Rig, session_of
from harness_schsm.client import ScHsm
from harness_schsm.home import HsmMemory, known
from harness_suites.powered_up import power_up
from harness_suites.schsm.second import Device


@pytest.fixture
def mine(home: Home) -> HsmMemory:
    """What the host knows of the card: its PINs, the requests of its keys."""
    return known(home.memory)


@pytest.fixture
def hsm(request: pytest.FixtureRequest, rig: Rig) -> ScHsm:
    """The card, just powered up; nobody is logged in."""
    power_up(request, rig, "card", "tries or keys")
    return ScHsm(rig)


@pytest.fixture
def user(hsm: ScHsm, mine: HsmMemory) -> ScHsm:
    """The card; the user is logged in."""
    hsm.verify(mine.pin)
    return hsm


@pytest.fixture
def second(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Device]:
    """Another card of the same model, never initialised before; twins and emulators have one."""
    if rig.vault is None or rig.shared is not None:
        pytest.skip(f"{NOT_OFFERED}: this case needs a second card, and there is one on this rig")
    bench = session_of(request.config).bench
    other = bench.make(rig.name, rig.seed + 1, called=f"{rig.name}-second")
    try:
        other.power.on()
        other.wait_until_up()
        yield Device(ScHsm(other))
        other.power.off()
    finally:
        other.close()
