"""A simulated Nitrokey Pro for tests: with power, or in its home state."""

from __future__ import annotations

from functools import lru_cache

from harness.bench.registry import discover
from harness.campaign.home import Home, go_home
from harness.campaign.result import Result
from harness.campaign.walk import Campaign
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_nitrokey_pro.client import NitrokeyPro
from support.terms import terms

NAME = "nitrokey-pro"
USER, ADMIN = "123456", "12345678"
"""The PINs of the factory."""
SECRET = b"12345678901234567890"
"""The secret of the test vectors of RFC 4226, appendix D, and RFC 6238, appendix B."""


def pro(*defects: str, personality: str = "reference", seed: int = 1) -> TwinRig:
    """A rig with the key as it leaves the factory, without power."""
    plugins = discover()
    options = TwinOptions(personality=personality, defects=defects)
    return TwinRig("pro-1", plugins.keys[NAME], plugins.twins[NAME], options, seed, expendable=True)


def client(*defects: str, personality: str = "reference") -> NitrokeyPro:
    """A client of such a key, with power; the admin is logged in."""
    rig = pro(*defects, personality=personality)
    rig.power.on()
    found = NitrokeyPro(rig)
    found.log_in_admin(ADMIN)
    return found


def again(found: NitrokeyPro) -> NitrokeyPro:
    """A client of the same key after a power cycle."""
    found.rig.power.cycle()
    return NitrokeyPro(found.rig)


@lru_cache(maxsize=8)
def at_home(defects: tuple[str, ...] = (), personality: str = "reference") -> tuple[TwinRig, Home]:
    """A rig whose key is in its home state; campaigns share it."""
    rig = pro(*defects, personality=personality)
    return rig, go_home(rig)


def walked(operation: str, *defects: str, personality: str = "reference", cuts: int | None = None) -> Result:
    """Cut one operation in every flash operation and every phase, or so often."""
    rig, home = at_home(defects, personality)
    return Campaign(rig, rig.key.operations[operation], home, terms(cuts)).run()
