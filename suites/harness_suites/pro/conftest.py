"""Fixtures of the suite of the Nitrokey Pro's HID side.

Each case starts from the home state: four slots, three entries of the safe, PINs of three tries. Cases spend tries and
slots, so they need a key whose state can be copied; those with the mark `reads` change nothing and run on every key.
"""

from __future__ import annotations

import pytest

from harness.api import NOT_OFFERED, Home, Rig
from harness_nitrokey_pro.client import NitrokeyPro
from harness_nitrokey_pro.home import ProMemory, known
from harness_nitrokey_pro.images import BOOTLOADER_SINCE
from harness_openpgp.home import OpenPgpMemory
from harness_openpgp.home import known as card_known
from harness_suites.powered_up import power_up


@pytest.fixture
def mine(home: Home) -> ProMemory:
    """What the host knows of the HID side."""
    return known(home.memory)


@pytest.fixture
def pins(home: Home) -> OpenPgpMemory:
    """What the host knows of the card: the PINs of both sides."""
    return card_known(home.memory)


@pytest.fixture
def hid(request: pytest.FixtureRequest, rig: Rig) -> NitrokeyPro:
    """The key, just powered up; nobody has entered a PIN."""
    power_up(request, rig, "key", "tries or slots")
    return NitrokeyPro(rig)


@pytest.fixture
def admin(hid: NitrokeyPro, pins: OpenPgpMemory) -> NitrokeyPro:
    """The key; the admin PIN was entered."""
    hid.log_in_admin(pins.pw3)
    return hid


@pytest.fixture
def safe(hid: NitrokeyPro, mine: ProMemory, pins: OpenPgpMemory) -> NitrokeyPro:
    """The key; its safe is open."""
    if not mine.has_safe:
        pytest.skip(f"{NOT_OFFERED}: a password safe: the card has no AES key")
    hid.open_safe(pins.pw1)
    return hid


@pytest.fixture
def updatable(hid: NitrokeyPro) -> NitrokeyPro:
    """The key; its firmware has a firmware password."""
    version = hid.status()["version"]
    assert isinstance(version, int)
    if version < BOOTLOADER_SINCE:
        pytest.skip(f"{NOT_OFFERED}: a firmware password, which came with 0.11")
    return hid


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "reads: the case changes nothing on the key")
