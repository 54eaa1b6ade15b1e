"""The homes of a session's rigs: each key is brought to a home once, and what it does not offer is told once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.base.errors import CallerError, KeyFault, KeyharnessError
from harness.bench.bench import LoadedBench
from harness.campaign.home import Home, go_home, go_to_home, in_turn, missing_of, seeded
from harness.model.operation import FRESH, NextAction
from harness.model.rig import Rig
from harness.run.wanted import Wanted
from harness.safety.claim import Claims
from harness.twin.glass_box import glass_box


class RigHomes:
    """The homes of the rigs of one session.

    :param rig: returns a rig of the bench by its name.
    :param names_of: the homes that a rig's key has, by the rig's name.
    :param operations_of: the selected operations of a rig, by its name.
    :ivar untold: homes that a key could not be brought to and that no campaign has told of yet.
    """

    def __init__(
        self,
        wanted: Wanted,
        bench: LoadedBench,
        claims: Claims,
        *,
        rig: Callable[[str], Rig],
        names_of: Callable[[str], Sequence[str]],
        operations_of: Callable[[str], Sequence[str]],
    ):
        self._wanted, self._bench, self._claims = wanted, bench, claims
        self._rig, self._names_of, self._operations_of = rig, names_of, operations_of
        self._homes: dict[str, Home] = {}
        self._homeless: dict[str, KeyharnessError] = {}
        self._named: dict[tuple[str, str], Home | str] = {}
        self._actions: dict[str, list[NextAction]] = {}
        self._no_homes: dict[tuple[str, str], KeyFault] = {}
        self.untold: list[KeyFault] = []
        self._missing: dict[str, dict[str, str | None]] = {}
        self._states: dict[tuple[str, str], Any] = {}

    def home(self, name: str) -> Home:
        """Return the rig's home state; bring the key there on first use."""
        if name in self._homeless:
            raise self._homeless[name]
        if name not in self._homes:
            self._claims.take(self._rig(name))
            try:
                self._homes[name] = go_home(self._rig(name))
            except KeyharnessError as error:
                # A second try would take as long and fail in the same way, for every test.
                self._homeless[name] = error
                raise
        return self._homes[name]

    def home_names(self, rig: str) -> list[str]:
        """The homes that are named for a rig, the main one first; empty if none is."""
        names = self._wanted.homes or tuple(self._bench.settings(rig).homes or ())
        return [name for name in dict.fromkeys(names) if name in self._names_of(rig)]

    def named_home(self, rig: str, name: str) -> Home | str:
        """Return a rig's home of that name, or what the key does not offer of it; bring the key there on first use."""
        if (rig, name) not in self._named:
            self._named[rig, name] = go_to_home(self._rig(rig), self.home(rig), name)
        return self._named[rig, name]

    def main_home(self, rig: str) -> Home | str:
        """Return the home that campaigns of a rig start from, or what the key does not offer of it."""
        return self.named_home(rig, (self.home_names(rig) or [FRESH])[0])

    def other_homes(self, rig_name: str, operation: str) -> list[tuple[Home, int | None]]:
        """Return the other homes from which an operation is cut, with the number of cuts; None is every cut."""
        names = self.home_names(rig_name)
        chosen: list[tuple[str, int | None]]
        if names:
            chosen = [(name, self._bench.settings(rig_name).home_cuts) for name in names[1:]]
        elif glass_box(self._rig(rig_name)) is not None:
            chosen = [*in_turn(self._rig(rig_name).key, operation).items()]
        else:
            # A firmware that nobody knows may not do what a home needs: no cut is to blame for that.
            chosen = []
        found = []
        for name, cuts in chosen:
            if (rig_name, name) in self._no_homes:
                continue
            try:
                home = self.named_home(rig_name, name)
            except KeyFault as fault:
                # Told once, when the operation has been cut from the homes that there are.
                self._no_homes[rig_name, name] = fault
                self.untold.append(fault)
                continue
            if isinstance(home, Home):
                found.append((home, cuts))
        return found

    def next_actions(self, rig_name: str) -> list[NextAction]:
        """Return what an owner of the rig's key can do after a cut."""
        if rig_name not in self._actions:
            rig = self._rig(rig_name)
            actions = rig.key.next_actions
            lacking = missing_of(rig, self.home(rig_name), actions)
            self._actions[rig_name] = [action for action in actions if lacking[action.name] is None]
        return self._actions[rig_name]

    def missing(self, rig_name: str, operation: str) -> str | None:
        """Describe what an operation needs and the rig's key does not offer; None if nothing is missing."""
        home = self.main_home(rig_name)
        if isinstance(home, str):
            return home
        if home.adapted(self._rig(rig_name).key.operations[operation]) is None:
            return f"it is not asked from the home {home.name}"
        if rig_name not in self._missing:
            rig = self._rig(rig_name)
            chosen = [rig.key.operations[name] for name in self._operations_of(rig_name)]
            self._missing[rig_name] = missing_of(rig, self.home(rig_name), chosen)
        return self._missing[rig_name][operation]

    def state(self, rig_name: str, name: str, make: Callable[[Rig], None]) -> None:
        """Bring a key into a named state. Where states can be copied, make it once and copy it from then on.

        The key is on afterwards.
        """
        rig = self._rig(rig_name)
        vault = rig.vault
        if vault is None:
            make(rig)
            return
        if (rig_name, name) not in self._states:
            with seeded(rig, "state", name):
                make(rig)
            rig.settle()
            rig.power.off()
            self._states[rig_name, name] = vault.snapshot()
        vault.restore(self._states[rig_name, name])
        rig.power.on()

    def start(self, rig_name: str) -> Home:
        """Return the home that campaigns of a rig start from.

        :raises CallerError: the key does not offer it.
        """
        home = self.main_home(rig_name)
        if isinstance(home, str):
            raise CallerError(f'rig "{rig_name}" · home', found=home, expected="a home that the key offers")
        return home
