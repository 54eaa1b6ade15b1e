"""Fixtures of the conformance suite.

Each case starts from a named state and says in a mark which section of the specification asks for it, and which
features it needs: `@pytest.mark.case("CTAP 2.1, 6.1.2 step 3", needs="credProtect")`. A key that does not offer them in
getInfo is not asked. Further words of the mark:

- `level="SHOULD"`: the section recommends. A key that does otherwise deviates, and does not fail.
- `withheld=True`: the key must wait for a touch that does not come. A rig that cannot withhold one is not asked.
- `any_state=True`: no reset is needed before; it is left out where this rig cannot reset the key.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.api import KeyharnessError, Rig, seeded, session_of
from harness_suites.conformance.device import (
    Authenticator,
)
from harness_suites.conformance.preparation import (
    require_touch,
    reset,
)
from harness_suites.conformance.states import States

_STATES = pytest.StashKey[States]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip before the key is brought home, which needs a touch, on a rig that cannot give one."""
    call = getattr(item, "callspec", None)
    if call is None or "rig" not in call.params:
        return
    try:
        rig = session_of(item.config).rig(call.params["rig"])
    except KeyharnessError:
        # The fixture says that the rig is not there.
        return
    if rig.expendable:
        require_touch(rig)


def _in_state(request: pytest.FixtureRequest, rig: Rig, state: str) -> Iterator[Authenticator]:
    mark = request.node.get_closest_marker("case")
    states = request.config.stash.setdefault(_STATES, States(session_of(request.config).homes.state))
    with seeded(rig, "bring", state):
        authenticator = states.bring(rig, state, mark.kwargs if mark else {})
    with seeded(rig, "case", request.node.name):
        authenticator.connect()
        yield authenticator
    if rig.vault is None:
        reset(rig)


@pytest.fixture
def blank(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Authenticator]:
    """A key after authenticatorReset: no PIN, no credentials. Real keys are left reset."""
    yield from _in_state(request, rig, "blank")


@pytest.fixture
def with_pin(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Authenticator]:
    """The same with a PIN set."""
    yield from _in_state(request, rig, "with_pin")
