"""A real card makes another key in each run: what a cut leaves is judged by the key that is there."""

from __future__ import annotations

import pytest

from harness.campaign.judging import CutJudge
from harness.campaign.observe import Seen, complete, observe
from harness.model.judge import find_world
from harness.model.memory import Look, Memory
from harness.model.operation import Item
from harness.model.rig import KeyGone
from harness_schsm.client import CERTIFICATE, KEY, ScHsm
from harness_schsm.client_operations import MADE_KEY, MADE_REQUEST
from harness_schsm.home import CANARY_EC, generate, known
from harness_schsm.items import NEW_KEY, SIGNS, shown
from harness_schsm.key_operations import logged_in
from support.hsm import at_home, up

LEFT = [
    "old",
    "as the card made it",
    "its request is deleted",
    "its request is empty",
    "as the card made it",
    "new",
]
"""What the cuts after each answer leave, in their order; what is the same after several answers is named once."""


class Runs:
    """OpenSC's key pair on a card of which every run makes another key.

    :ivar promise: what the host knows after the whole run that the cuts are compared with.
    """

    def __init__(self) -> None:
        self.rig, self.home = at_home()
        self.operation = self.rig.key.operations["schsm.generate.opensc"]
        self.items: tuple[Item, ...] = self.home.watched(self.rig.key, self.operation)
        self.start = self.rig.board.state()
        self.promise = self.home.memory.copy()
        self.operation.act(up(self.rig), self.promise)
        self.rig.power.off()
        self.rig.board.load(self.start)
        # Its random numbers go on from here, so that the next key is another one.
        ScHsm(up(self.rig)).challenge(33)
        self.rig.power.off()
        self.start = self.rig.board.state()
        self.before = self.observed(self.promise).values
        self.rig.power.off()

    def observed(self, promise: Memory) -> Seen:
        return observe(self.rig, self.items, self.home.memory, promise, exact=False)

    def cut_after(self, answers: int) -> bool:
        """Run it and cut the power after a number of answers. Return whether it ended by itself."""
        self.rig.power.off()
        self.rig.board.load(self.start)
        up(self.rig)
        self.rig.tap.clear()

        def gone(mark) -> None:
            if sum(one.name.startswith("response") for one in self.rig.tap.marks) > answers:
                raise KeyGone("cut")

        self.rig.tap.on_mark = gone
        try:
            self.operation.act(self.rig, self.home.memory.copy())
        except KeyGone:
            return False
        finally:
            self.rig.tap.on_mark = None
            self.rig.power.off()
        return True

    def judged(self) -> str:
        """The world that a cut has left, after the rest of the commands has led to the new one."""
        seen, memory = self.observed(self.promise), self.home.memory.copy()
        world = find_world(self.operation.worlds(self.home.memory, self.promise), seen.values, False)
        assert world is not None, seen.values
        completed = None
        if world.complete is not None:
            assert complete(self.rig, world, memory) is None
            completed = observe(self.rig, self.items, self.home.memory, memory)
        judge = CutJudge(self.operation, self.items, self.before, self.home.memory, self.promise)
        verdict = judge.verdict(seen, completed, acknowledged=False, since_request_us=None)
        assert verdict.breaches == ()
        return world.name


@pytest.fixture(scope="module")
def runs() -> Runs:
    return Runs()


def test_no_cut_into_the_commands_of_opensc_is_blamed_for_another_key(runs):
    found = []
    for answers in range(20):
        whole = runs.cut_after(answers)
        name = runs.judged()
        if not found or found[-1] != name:
            found.append(name)
        if whole:
            break
    assert found == LEFT


def key_of_another_run(runs: Runs) -> tuple[ScHsm, Look]:
    """A key that the card has just made, and a look of a host that knows another run's."""
    runs.rig.power.off()
    runs.rig.board.load(runs.start)
    client = logged_in(up(runs.rig), runs.home.memory)
    assert generate(client, NEW_KEY, "ec") != known(runs.promise).new_request
    return client, Look(runs.rig, runs.home.memory, runs.promise, exact=False)


def test_a_request_of_another_key_is_not_taken_for_that_of_the_new_one(runs):
    client, look = key_of_another_run(runs)
    client.update(CERTIFICATE | NEW_KEY, known(runs.home.memory).requests[CANARY_EC])
    assert MADE_KEY.observe(look) == "wrong signature"
    assert MADE_REQUEST.observe(look) == shown(known(runs.home.memory).requests[CANARY_EC])


def test_a_key_whose_signatures_are_of_no_key_is_found_without_its_request(runs, monkeypatch):
    client, look = key_of_another_run(runs)
    client.delete(CERTIFICATE | NEW_KEY)
    assert MADE_KEY.observe(look) == SIGNS
    other, sign = iter((NEW_KEY, NEW_KEY)), ScHsm.sign

    def two_keys(self, key_id, algorithm, data):
        return sign(self, next(other, CANARY_EC), algorithm, data)

    client, look = key_of_another_run(runs)
    client.delete(CERTIFICATE | NEW_KEY)
    monkeypatch.setattr(ScHsm, "sign", two_keys)
    assert MADE_KEY.observe(look) == "wrong signature"


def test_of_an_acknowledged_run_the_key_must_be_the_acknowledged_one(runs):
    key_of_another_run(runs)
    look = Look(runs.rig, runs.home.memory, runs.promise, exact=True)
    assert MADE_KEY.observe(look) == "wrong signature"
    assert KEY | NEW_KEY in ScHsm(runs.rig).objects()
