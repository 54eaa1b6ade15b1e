"""The rules of every key whose plugin says how its firmware is updated, and the states that cases start from.

Each row of a rule says which side refuses, the updater or the key, and what happens to the user's data.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.api import DamagedContainer, FirmwareUpdates, VersionPair, discover

UPDATES: dict[str, FirmwareUpdates] = discover().update_rules
"""By the name of the key."""
PAIRS = tuple(pair for updates in UPDATES.values() for pair in updates.pairs)
DAMAGES = tuple(damage for updates in UPDATES.values() for damage in updates.damages)


def is_asked_of(device: str, parameters: Mapping[str, object]) -> bool:
    """Tell whether the rules among a case's parameters belong to this key. True for a case without a rule.

    :param device: name of the key.
    """
    rules = (value for value in parameters.values() if isinstance(value, VersionPair | DamagedContainer))
    return all(rule.device == device for rule in rules)


STATES = {
    "application": "asked through the updater while the application runs: host and key protect",
    "bootloader": "asked in the idle bootloader: the updater knows no version, the key alone protects",
    "half-updated": "cut in the middle of another update: the floor is still that of what ran",
    "never-booted": "flashed and cut before its first boot: on the nRF52 the floor is up with the image, so "
    "there is no window (on the LPC55 the first boot raises it)",
    "after-cuts": "cut three times in a row in another update: the same as half updated",
}
