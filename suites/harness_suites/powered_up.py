"""How a case gets a key that was just powered up."""

from __future__ import annotations

import pytest

from harness.api import NOT_OFFERED, Rig


def power_up(request: pytest.FixtureRequest, rig: Rig, what: str, spends: str) -> None:
    """Switch the rig on and wait for its key.

    Skips a case that does not have the mark `reads`, where what it spends cannot be given back.

    :param what: "card" or "key". :param spends: what cases spend: "tries or keys".
    """
    if rig.vault is None and request.node.get_closest_marker("reads") is None:
        pytest.skip(f"{NOT_OFFERED}: the state of this {what} cannot be copied, and the case spends {spends}")
    rig.power.on()
    rig.wait_until_up()
