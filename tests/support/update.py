"""What the tests of updates share besides fixtures."""

from __future__ import annotations

from collections.abc import Callable

from harness.twin.rig import TwinRig
from harness_nitrokey3 import containers, signing
from harness_nitrokey3.containers import Container
from harness_nitrokey3.images import Recipe

MakeRig = Callable[..., TwinRig]


def container(rig: TwinRig, version: str) -> Container:
    """A container that the twin on this rig trusts."""
    return containers.make(signing.seed_of(rig), Recipe(version))
