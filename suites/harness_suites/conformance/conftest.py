"""Fixtures of the conformance suite.

Each case starts from a named state and says in a marker which section of the specification asks for it and
which feature it needs: `@pytest.mark.case("CTAP 2.1, 6.1.2 step 3", needs="credProtect")`. A key that does
not say in getInfo that it has the feature is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.api import NOT_OFFERED, Rig, seeded, session_of
from harness_suites.conformance.device import PIN, Authenticator, reset, reset_with_pin


def _check_needs(request: pytest.FixtureRequest, authenticator: Authenticator) -> None:
    marker = request.node.get_closest_marker("case")
    needs = marker.kwargs.get("needs") if marker else None
    for feature in [needs] if isinstance(needs, str) else needs or ():
        if not authenticator.has(feature):
            pytest.skip(f"{NOT_OFFERED}: getInfo does not list {feature}")


def _in_state(request: pytest.FixtureRequest, rig: Rig, state: str) -> Iterator[Authenticator]:
    make, pin = {"blank": (reset, None), "with_pin": (reset_with_pin, PIN)}[state]
    session_of(request.config).state(rig.name, state, make)
    with seeded(rig, "case", request.node.name):
        authenticator = Authenticator(rig, pin)
        _check_needs(request, authenticator)
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
