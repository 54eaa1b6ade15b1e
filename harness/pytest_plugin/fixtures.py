"""Fixtures, and the parameters of tests that ask for them.

Fixtures: `rig`, `key`, `power`, `touch`, `operation`, `campaign`, `home`, `rest_of_the_budget`. A test that asks for
`rig` runs once for each rig; one that asks for `operation` or `campaign`, once for each operation of each rig.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from harness.pytest_plugin.deviations import clause_of
from harness.pytest_plugin.options import run_of, session_of
from harness.pytest_plugin.whose import asks_ours

if TYPE_CHECKING:
    from harness.campaign.home import Home
    from harness.campaign.result import Result
    from harness.model.key import Key
    from harness.model.operation import Operation
    from harness.model.rig import Rig
    from harness.model.rig_parts import PowerSwitch, Touch
    from harness.run.session import Session


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test by the rigs, or by the operations of each rig."""
    ours = {name for name in ("rig", "operation") if asks_ours(metafunc.definition, name)}
    if "rig" not in ours:
        # Our `operation` asks for `rig`: where that is somebody else's, so is the test.
        return
    from harness.pytest_plugin.xdist import rig_ids

    session = session_of(metafunc.config)
    ids = rig_ids(session.rig_names)
    file = metafunc.definition.path
    if "operation" in ours:
        pairs = [pair for pair in session.pairs if session.bench.runs(pair[0], file)]
        metafunc.parametrize(
            "rig,operation", pairs, indirect=True, ids=[f"{ids[rig]}-{name}" for rig, name in pairs]
        )
    else:
        from harness.pytest_plugin.cases import rigs_asked

        keys = {rig: session.plugins.keys[session.bench.key_name(rig)] for rig in session.rig_names}
        asked = rigs_asked(metafunc.definition, keys, session.plugins.suites.values())
        # A suite that the bench does not ask of the keys that have its application is asked of no other key instead.
        rigs = [rig for rig in asked if session.bench.runs(rig, file)]
        metafunc.parametrize("rig", rigs, indirect=True, ids=[ids[rig] for rig in rigs])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that no rig runs, and the one that spends the rest of a budget where the budgets leave none."""
    # pytest keeps a test without parameters and gives it a placeholder, which is the name of no rig.
    idle = [item for item in items if not isinstance(_param(item, "rig"), str | None)]
    if idle:
        config.hook.pytest_deselected(items=idle)
        items[:] = [item for item in items if item not in idle]
    limited = config.getoption("kh_cuts") is not None or config.getoption("kh_budget") is not None
    spare = [item for item in items if asks_ours(item, "rest_of_the_budget")]
    if spare and not (limited and any(_leaves_rest(config, item) for item in spare)):
        config.hook.pytest_deselected(items=spare)
        items[:] = [item for item in items if item not in spare]


def _leaves_rest(config: pytest.Config, item: pytest.Item) -> bool:
    rig = _param(item, "rig")
    return rig is not None and session_of(config).shares(rig).leaves_rest


def pytest_itemcollected(item: pytest.Item) -> None:
    """Write rig, suite and clause to a test's properties: JUnit's file and the report's rows have them from there."""
    rig = _param(item, "rig")
    if rig is not None:
        item.add_marker(pytest.mark.keyharness_rig(rig))
        item.user_properties.append(("rig", rig))
        item.user_properties.append(("suite", item.path.parent.name))
        if (clause := clause_of(item)) is not None:
            item.user_properties.append(("clause", clause))


def _param(item: pytest.Item, name: str) -> str | None:
    spec = getattr(item, "callspec", None)
    return spec.params.get(name) if spec and asks_ours(item, name) else None


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The rig under test. If its key's state can be copied, each test starts from the home state, power off."""
    from harness.pytest_plugin.cases import NOT_OFFERED, lacking_application

    run = run_of(request.config)
    session = run.session
    the_rig = _rig(session, request.param)
    run.label(the_rig, request.node)
    if not the_rig.expendable:
        pytest.skip(f'rig "{the_rig.name}": its key is not called expendable in {session.bench.shown}')
    if lacks := lacking_application(request.node, the_rig.key, session.plugins.suites.values()):
        pytest.skip(f"{NOT_OFFERED}: {the_rig.key.title} has no application {lacks}")
    home = _home(session, the_rig)
    run.note_key(the_rig)
    # Older lines of the kernel's log do not belong to this test.
    the_rig.take_log()
    if the_rig.vault is not None and home.state is not None:
        the_rig.vault.restore(home.state)
    yield the_rig
    the_rig.power.off()


def _rig(session: Session, name: str) -> Rig:
    """Return a rig; skip the test if the rig is not there, which makes the run inconclusive."""
    from harness.base.errors import RigError
    from harness.evidence.rundir import NOT_THERE

    try:
        return session.rig(name)
    except RigError as error:
        found = f", found: {error.found}" if error.found else ""
        pytest.skip(f"{NOT_THERE}: {error.what}{found}".replace("\n", " "))


def _home(session: Session, rig: Rig) -> Home:
    """Return a rig's home state; skip the test if the rig is in quarantine, which makes the run inconclusive."""
    from harness.base.visible import first_line
    from harness.evidence.rundir import QUARANTINED
    from harness.safety.claim import RigQuarantined

    try:
        session.claims.refuse_quarantined(rig)
        return session.homes.home(rig.name)
    except RigQuarantined as error:
        pytest.skip(f"{QUARANTINED}: {first_line(str(error.found))}")


@pytest.fixture
def home(rig: Rig, request: pytest.FixtureRequest) -> Home:
    """The canaries on the key and what the host remembers of them; a test may change this copy of the memory."""
    from dataclasses import replace

    home = session_of(request.config).homes.home(rig.name)
    return replace(home, memory=home.memory.copy())


@pytest.fixture
def key(rig: Rig) -> Key:
    """The model of the key on the rig."""
    return rig.key


@pytest.fixture
def power(rig: Rig) -> PowerSwitch:
    """The power switch of the rig."""
    return rig.power


@pytest.fixture
def touch(rig: Rig) -> Touch:
    """The touch actuator of the rig."""
    return rig.touch


@pytest.fixture
def operation(request: pytest.FixtureRequest, rig: Rig) -> Operation:
    """The operation under test; a test runs once for each operation of the rig's key."""
    return rig.key.operations[request.param]


@pytest.fixture
def campaign(request: pytest.FixtureRequest, rig: Rig, operation: Operation) -> Callable[[], Result]:
    """A function that cuts the operation at each instant of the plan, and fails the test at a violation."""
    from harness.base.errors import NoRoom
    from harness.pytest_plugin.cases import NOT_OFFERED

    run = run_of(request.config)
    missing = run.session.homes.missing(rig.name, operation.name)
    if missing:
        pytest.skip(f"not offered: {missing}")

    def cut() -> Result:
        __tracebackhide__ = True
        request.node.user_properties.append(("operation", operation.name))
        try:
            result, failure = run.campaign(rig.name, operation.name)
        except Exception as error:
            refused = rig.key.fault(error)
            # Only a bench that fills the key to the end excuses the key for having no room.
            if rig.fill >= 1 and isinstance(refused, NoRoom):
                rig.power.off()
                pytest.skip(
                    f"{NOT_OFFERED}: twin.fill = {rig.fill:g} leaves the key no room, and {operation.name} needs some: "
                    f"the key answers {refused.what}"
                )
            raise
        if failure:
            request.node.user_properties.append(("campaign", operation.name))
            pytest.fail(failure, pytrace=False)
        return result

    return cut


@pytest.fixture
def rest_of_the_budget(request: pytest.FixtureRequest, rig: Rig) -> Callable[[], None]:
    """A function that spends the rest of the rig's budget on the operations that still show new outcomes.

    A violation fails the test of its operation's campaign, which has run by then.
    """
    from harness.pytest_plugin import booking

    run = run_of(request.config)

    def spend() -> None:
        found = run.rest(rig.name)
        booking.note(
            request.node,
            [
                booking.Booking(row["operation"], text, tuple(f["outcome"] for f in row["findings"]))
                for row, text in found
            ],
        )

    return spend
