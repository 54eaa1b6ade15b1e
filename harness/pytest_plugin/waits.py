"""Cases that wait: announced before they start, and left out by --kh-quick.

A case says with `@pytest.mark.waits(seconds)` that it lets time pass, for example until a token has expired. On a twin
time is virtual, and such a case is as quick as any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from harness.pytest_plugin.options import DISPLAY, session_of

if TYPE_CHECKING:
    from harness.model.rig import Rig

QUICK_MAX_S = 30
"""What --kh-quick leaves out waits for this long, or longer."""


def waits_s(item: pytest.Item) -> float | None:
    """Return for how long a case waits, in seconds; None if its mark says nothing."""
    mark = item.get_closest_marker("waits")
    return float(mark.args[0]) if mark is not None else None


def announced_s(item: pytest.Item, rig_called: Callable[[str], Rig]) -> float | None:
    """Return the wait that is announced: that of a case on a rig whose time is real."""
    seconds = waits_s(item)
    call = getattr(item, "callspec", None)
    if seconds is None or call is None or "rig" not in call.params:
        return None
    return seconds if rig_called(call.params["rig"]).evidence_kind != "twin" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what waits for long, if that was asked for."""
    if not config.getoption("kh_quick"):
        return
    left = [item for item in items if (waits_s(item) or 0) >= QUICK_MAX_S]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
    session_of(config).notes.append(
        f"--quick: cases that wait for {QUICK_MAX_S} s or longer are left out, {len(left)} of those selected"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Announce a wait. A worker of pytest-xdist has no display; there the other rigs go on meanwhile."""
    display = item.config.pluginmanager.get_plugin(DISPLAY)
    if display is None or waits_s(item) is None:
        return
    from harness.base.errors import KeyharnessError

    try:
        seconds = announced_s(item, session_of(item.config).rig)
    except KeyharnessError:
        # The fixture says that the rig is not there.
        return
    if seconds is not None:
        display.waits(item.nodeid, seconds)
