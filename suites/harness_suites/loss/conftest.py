"""Fixtures of this suite: two cards, and an owner who uses GnuPG and OpenSSH.

Each case starts from the home state of the rig's card: three keys, PINs of three tries. Cases replace keys, so they
need cards whose state can be copied.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.api import NOT_OFFERED, Home, Rig, new_folder, session_of
from harness_openpgp import gnupg
from harness_openpgp.client import OpenPgp
from harness_openpgp.home import known
from harness_suites.loss.gnupg_story import Story, told
from harness_suites.loss.second import Card


@pytest.fixture
def card(rig: Rig, home: Home) -> Card:
    """Card A, just powered up."""
    if rig.vault is None:
        pytest.skip(f"{NOT_OFFERED}: the state of this card cannot be copied, and the case replaces its keys")
    rig.power.on()
    rig.wait_until_up()
    return Card(rig, known(home.memory).pw1, known(home.memory).pw3)


@pytest.fixture
def second(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Card]:
    """Card B, of the same model and as it left the factory; twins and emulators have one."""
    if rig.vault is None or rig.shared is not None:
        pytest.skip(f"{NOT_OFFERED}: this case needs a second card, and there is one on this rig")
    other = session_of(request.config).bench.make(rig.name, rig.seed + 1, called=f"{rig.name}-second")
    try:
        other.power.on()
        other.wait_until_up()
        yield Card(other)
        other.power.off()
    finally:
        other.close()


_STORIES = pytest.StashKey[dict[str, Story]]()


@pytest.fixture
def story(request: pytest.FixtureRequest, card: Card, second: Card) -> Story:
    """What GnuPG and OpenSSH do with both cards: told once for each rig, and looked at by many cases."""
    if lacks := gnupg.missing():
        pytest.skip(f"{NOT_OFFERED}: {lacks}")
    readers = {}
    for one in (card, second):
        reader = OpenPgp(one.rig).card.reader
        if reader is None:
            pytest.skip(f"{NOT_OFFERED}: GnuPG needs a card in a reader of a daemon, as in openpgp-pcsc.toml")
        readers[one.rig.name] = reader
    stories = request.config.stash.setdefault(_STORIES, {})
    if card.rig.name not in stories:
        stories[card.rig.name] = told(new_folder("gpg"), card, second, readers)
    return stories[card.rig.name]
