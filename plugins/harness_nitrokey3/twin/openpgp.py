"""OpenPGP on the simulated key: PINs on the internal file system, everything else on the external one.

Read in opcard-rs 2d9170d and nitrokey-3-firmware b9ec0bdc: the default back end. The application makes its files when
it is selected first, so a key whose owner never uses it has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.api import Platform, StoreDamaged, child
from harness_cards.files import Files
from harness_fido2.twin.features import EXTERNAL, INTERNAL
from harness_nitrokey3.twin.settings import OPENPGP_OFF
from harness_openpgp.twin.card import OpenPgpApplication
from harness_openpgp.twin.defects import OPCARD_ORDER
from harness_openpgp.twin.pins import Pin
from harness_openpgp.twin.traits import NITROKEY3

if TYPE_CHECKING:
    from harness.api import Store
    from harness_nitrokey3.twin.personality import Personality
    from harness_nitrokey3.twin.settings import Settings

DIRECTORY = "opcard"
_INTERNAL = frozenset(pin.file for pin in Pin)


class CardVolume:
    """Both file systems as one. Its methods are those of `Store`.

    :param platform: of the boot; it has both stores.
    """

    def __init__(self, platform: Platform):
        self._stores = {name: platform.store(name) for name in (INTERNAL, EXTERNAL)}

    def read(self, path: str) -> bytes | None:
        return self._of(path).read(_placed(path))

    def write(self, path: str, data: bytes) -> None:
        self._ready(path).write(_placed(path), data)

    def write_in_place(self, path: str, data: bytes) -> None:
        self._ready(path).write_in_place(_placed(path), data)

    def remove(self, path: str) -> bool:
        return self._of(path).remove(_placed(path))

    def names(self, path: str) -> list[str]:
        """The names of all files; there are no directories."""
        return sorted(name for store in self._stores.values() for name in store.names(DIRECTORY))

    def free_blocks(self) -> int:
        """The fewest of both."""
        return min(store.free_blocks() for store in self._stores.values())

    def _of(self, path: str) -> Store:
        return self._stores[INTERNAL if path in _INTERNAL else EXTERNAL]

    def _ready(self, path: str) -> Store:
        store = self._of(path)
        store.make_directory(DIRECTORY)
        return store


def _placed(path: str) -> str:
    return f"{DIRECTORY}/{path}"


def application(
    platform: Platform, personality: Personality, uuid: bytes, settings: Settings
) -> OpenPgpApplication | None:
    """The application of this boot; None if it is switched off, or if a file system does not answer.

    Without its files it would take itself for new, and make new PINs.
    """
    if settings.is_on(OPENPGP_OFF):
        return None
    files = Files(CardVolume(platform))
    try:
        files.resume()
        files.names()
    except StoreDamaged:
        return None
    # Our own firmware changes several files together; the one that was read writes them one after the other.
    defects = frozenset[str]() if personality.sound else OPCARD_ORDER
    traits = replace(NITROKEY3, defects=defects)
    return OpenPgpApplication(files, platform, traits, child(uuid, "openpgp")[:4])


def wipe(platform: Platform) -> None:
    """Remove every file of the application, as a factory reset does; can be done again from any point of it."""
    volume = CardVolume(platform)
    for name in volume.names("/"):
        volume.remove(name)
