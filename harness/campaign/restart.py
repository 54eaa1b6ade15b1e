"""What a clean restart does to a key: before anything is cut, it must keep what it has acknowledged."""

from __future__ import annotations

from harness.base.errors import CallerError, HarnessFault, KeyFault, KeyharnessError, RigError
from harness.campaign.observe import observe
from harness.model.judge import Breach, judge, unsound
from harness.model.memory import Memory
from harness.model.operation import new
from harness.model.outcome import Law, Observation
from harness.model.rig import Rig
from harness.model.rig_parts import Vault

FORGETFUL = "its state resets at every start"
"""The remark about a rig whose key is blank whenever it is switched on: no cut into it says anything."""


class Restart:
    """What a clean restart of a key that is no twin shows, before anything is cut. The key must be on."""

    def __init__(self, rig: Rig, memory: Memory):
        self._rig, self._memory = rig, memory
        self._items = [item for item in rig.key.items if not item.after_replug or item.law is Law.RISING]
        self._before = self._look()
        self.broken: tuple[Breach, ...] = ()

    def _look(self) -> Observation:
        seen = observe(self._rig, self._items, self._memory, self._memory)
        if seen.stuck:
            raise KeyFault(f'rig "{self._rig.name}": {seen.stuck}, before anything was cut')
        return seen.values

    def _breaches(self) -> tuple[Breach, ...]:
        """In what the key now differs from what it was."""
        floors = {
            item.name: max(
                item.floor(self._memory) if item.floor else 0, *self._before.get(item.name) or (0,)
            )
            for item in self._items
            if item.law is Law.RISING
        }
        return judge(
            items=self._items,
            worlds=[new({})],
            before=self._before,
            seen=self._look(),
            acknowledged=True,
            floors=floors,
        ).breaches

    def check(self) -> bool:
        """Is what was laid down still there after a clean restart? False if nothing is: the key is blank then.

        A counter that went back, and what was wrong before, is kept in `broken`.

        :raises KeyFault: a part of it is gone.
        """
        rig = self._rig
        rig.settle()
        rig.power.off()
        wrong = self.unsound()
        breaches = self._breaches()
        if all(breach.law == Law.RISING.value for breach in breaches):
            self.broken = (*breaches, *wrong)
            return True
        blank = [application.blank for application in rig.key.applications if application.blank]
        if blank and all(is_blank(rig) for is_blank in blank):
            rig.remark = FORGETFUL
            return False
        rig.power.off()
        raise KeyFault(
            f'rig "{rig.name}": the key does not keep over a clean restart what it had acknowledged',
            found="; ".join(f"{breach.outcome}: {breach.text}" for breach in breaches),
            expected="everything as it was before the restart",
        )

    def breaches(self) -> tuple[Breach, ...]:
        """What a clean restart breaks; the key is on afterwards."""
        self._rig.settle()
        self._rig.power.off()
        return (*self._breaches(), *self.unsound())

    def unsound(self) -> tuple[Breach, ...]:
        """What was wrong before the restart already."""
        return tuple(unsound(self._items, (), self._memory, self._before))

    def check_copies(self, vault: Vault, blank: object) -> None:
        """Does the key become another when its earlier state is put back?

        :raises RigError: it does not: it keeps its state elsewhere.
        """
        vault.restore(blank)
        followed = self._breaches()
        self._rig.power.off()
        if not followed and not self._hangs_on(vault, blank):
            raise RigError(
                f'rig "{self._rig.name}": the key keeps its state elsewhere',
                found="what was written is there though the files of its working directory were put back",
                expected="all of its state in files of the working directory",
                mend="give it {state} where its command or its environment says where state is kept",
            )

    def _hangs_on(self, vault: Vault, blank: object) -> bool:
        """Does the key become another without what firmware writes?

        Asked where its earlier state shows no other: a key that cannot be reset may have shown the same canaries then.
        """
        empty = vault.emptied(blank)
        if empty is None or not vault.differing(empty, blank):
            return False
        vault.restore(empty)
        try:
            return bool(self._breaches())
        except (KeyharnessError, OSError) as error:
            # Without its files it does not even come up.
            return not isinstance(error, CallerError | HarnessFault)
        finally:
            self._rig.power.off()
            self._rig.take_deaths()
