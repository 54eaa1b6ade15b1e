"""What is known of an update container, whatever key it is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class FirmwareFile:
    """An update container.

    :ivar version: as the container says it, e.g. "v1.7.2".
    :ivar size: size of the firmware image in it, in bytes.
    :ivar rows: (label, text) pairs that describe the container to a person, in order.
    """

    path: Path
    version: str
    size: int
    rows: Sequence[tuple[str, str]]


FirmwareReader = Callable[[Path, int], FirmwareFile]
"""Read a container: (file, seed) -> description. The seed makes the test key that images are signed with.

It raises CallerError for a file that is no container.
"""


Signer = Literal["test", "other", "none"]
"""Who signs a container that is made: the key that twins of this seed trust, a key that nothing trusts, nobody."""


@dataclass(frozen=True)
class MadeFirmware:
    """A container for simulated keys.

    :ivar data: the file.
    :ivar rows: (label, text) pairs for a person, in order; how to tell other tools of the test key is among them.
    """

    data: bytes
    rows: Sequence[tuple[str, str]]


FirmwareMaker = Callable[[str, Signer, int], MadeFirmware]
"""Make a container: (version, signer, seed). The seed makes the test key.

It raises CallerError for a version that the format cannot say.
"""


@dataclass(frozen=True)
class UpdateSupport:
    """What a plugin knows of the updates of its key.

    :ivar read: describes a container.
    :ivar operations: the operations that `keyharness run --firmware` cuts, by name.
    :ivar make: makes a container that a twin takes; None if the plugin cannot.
    """

    read: FirmwareReader
    operations: tuple[str, ...]
    make: FirmwareMaker | None = None
