"""What may be spent of a key for ever, and what has been: reserved in the ledger before it is done.

A reservation that was never settled (the process was killed) counts as spent. The key's own counters are
believed before the ledger. Twins and emulators are not limited: their flash does not wear.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from harness.base.errors import Blame, CallerError
from harness.evidence.ledger import Ledger, now
from harness.model.operation import Cost
from harness.model.pin import PinReference

Count = Annotated[int, Field(ge=0)]

BLOCK = 32
"""Of what is spent all the time (a relay's operations, the erases of a boot) so much is reserved at once, at most.

A process that is killed gives nothing back. So no more is reserved ahead than half of what this process has used:
killed processes cost a budget half more than what was done, and each at most BLOCK more.
"""


class Grants(BaseModel):
    """The `[rig.budget]` table of a bench: what may be spent of this key, all runs together.

    The defaults are half of what the parts are rated for (relays: docs/rigs-power.md; flash: docs/flash.md).
    Nothing is granted of what cannot be undone.
    """

    model_config = ConfigDict(extra="forbid")

    pin_tries: Count = 1000
    """Wrong tries of each PIN. The right PIN after one gives it back to the key, not to this budget."""
    so_pin_tries: Count = 0
    """Wrong tries of a PIN whose counter nothing ever resets."""
    tries: dict[str, Count] = {}
    """Wrong tries of one PIN by its name, in place of the above: `"PW1" = 500`, `"PUK" = 1`."""
    forced_updates: Count = 0
    """Updates that destroy the keys, of which some devices allow five."""
    erases: Count = 5000
    """Erases of the hottest flash page, of 10,000 specified cycles."""
    erases_per_boot: Count = 1
    """So many of them each boot costs."""
    erases_per_operation: Count = 1
    """So many each operation costs that does not say so itself."""
    relay_operations: Count = 50_000
    """Releases of the relay, of 100,000 rated operations."""
    one_way_settings: Count = 0
    """Settings that nothing takes back, or nothing but a reset."""
    pin_tries_kept: Annotated[int, Field(ge=1)] | None = None
    """No PIN's own counter is brought below this; by default 1 of 3 tries are kept, 3 of 8."""

    def granted(self, what: str) -> int:
        """How much of something is granted; `what` as the ledger names it."""
        return int(getattr(self, what))

    def tries_of(self, reference: PinReference) -> int:
        """How many wrong tries of a PIN are granted."""
        if reference.name in self.tries:
            return self.tries[reference.name]
        if reference.counted_as:
            return self.granted(reference.counted_as)
        return self.pin_tries if reference.granted else 0

    def kept(self, reference: PinReference) -> int:
        """How many tries of a PIN are left alone."""
        return self.pin_tries_kept if self.pin_tries_kept is not None else reference.kept


class BudgetExhausted(CallerError):
    """What was granted is spent: grant more, or take another key.

    The bench is not wrong, and the key is not used up by a fault: a run is inconclusive wherever it meets this.
    """

    blame = Blame.RIG


class Budget:
    """What one key may spend on one rig.

    :param key: the key's identity in the ledger.
    """

    def __init__(self, ledger: Ledger, key: str, kind: str, rig: str, grants: Grants):
        self._ledger, self.key, self._kind, self._rig, self.grants = ledger, key, kind, rig, grants
        self._prepaid: Counter[str] = Counter()
        self._used: Counter[str] = Counter()
        self._pins: dict[str, PinReference] = {}

    def spent(self, what: str) -> int:
        """So much is gone, all runs together, reservations among it."""
        from sqlalchemy import func, select

        spent = self._ledger.tables.spent
        statement = select(func.coalesce(func.sum(spent.c.amount), 0).label("sum")).where(
            spent.c.key == self.key, spent.c.what == what
        )
        return int(self._ledger.rows(statement)[0]["sum"])

    def left(self, what: str) -> int:
        """So much may still be spent."""
        return max(0, self._granted(what) - self.spent(what)) + self._prepaid[what]

    def reserve(self, amounts: Mapping[str, int], why: str) -> None:
        """Reserve before spending: durable when it returns, all of it or nothing.

        :raises BudgetExhausted: one of them is not granted; nothing is reserved then.
        :raises RigError: it could not be written down.
        """
        from sqlalchemy import func, select

        wanted = {what: amount for what, amount in amounts.items() if amount > 0}
        if not wanted:
            return
        table = self._ledger.tables.spent
        with self._ledger.writing() as at:
            for what, amount in wanted.items():
                spent = at.execute(
                    select(func.coalesce(func.sum(table.c.amount), 0)).where(
                        table.c.key == self.key, table.c.what == what
                    )
                ).scalar_one()
                if self._kind == "hardware" and spent + amount > self._granted(what):
                    raise self._exhausted(what, amount, int(spent), why)
            at.execute(table.insert(), [self._row(what, amount, why) for what, amount in wanted.items()])

    def draw(self, what: str, amount: int, why: str, block: int = BLOCK) -> None:
        """Spend of what is spent all the time; reserved a block at a time.

        :raises BudgetExhausted: it is not granted.
        """
        short = amount - self._prepaid[what]
        if short > 0:
            ahead = min(block, self._used[what] // 2, self._granted(what) - self.spent(what))
            reserved = max(short, ahead)
            self.reserve({what: reserved}, why)
            self._prepaid[what] += reserved
        self._prepaid[what] -= amount
        self._used[what] += amount

    def note(self, what: str, amount: int, why: str) -> None:
        """It has been spent, granted or not: what had to be done to leave a rig as it was."""
        with self._ledger.writing() as at:
            at.execute(self._ledger.tables.spent.insert(), [self._row(what, amount, why)])

    def believe(self, what: str, at_least: int, why: str) -> None:
        """The key's own counter says that at least so much is gone: the ledger follows it."""
        missing = at_least - self.spent(what)
        if missing > 0:
            self.note(what, missing, why)

    def know(self, references: Iterable[PinReference]) -> None:
        """Note the PINs that are about to be counted, so that their grants are found by the names in the ledger."""
        self._pins.update((one.tries, one) for one in references)

    def pin_tries_of_key(self, reference: PinReference, left: int) -> None:
        """Before a PIN is tried: see that the key's own counter allows it. It is believed before the ledger.

        :raises BudgetExhausted: the key has no more tries left than are kept.
        """
        self.know([reference])
        self.believe(reference.tries, reference.full - left, "the key's own counter says so")
        kept = self.grants.kept(reference)
        if left <= kept and self._kind == "hardware":
            raise BudgetExhausted(
                f'rig "{self._rig}" · budget.pin_tries_kept',
                found=f"the key has {left} PIN tries left ({reference.name})",
                expected=f"more than {kept} of {reference.full} before one is spent",
                mend="enter the right PIN once, which gives the key all its tries back",
            )

    def give_back(self, what: str, amount: int) -> None:
        """It was reserved and turned out not to be spent: the next draw takes it, or `close`."""
        self._prepaid[what] += amount

    def refused(self, cost: Cost) -> str | None:
        """What of an operation's cost is not granted or kept, in words; None if it can be run.

        Not granted: what nothing gives back. Kept: the last tries of a PIN, which none but its owner may use.
        """
        self.know(cost.pins)
        for reference, amount in cost.pins.items() if self._kind == "hardware" else ():
            may_be_used = max(0, reference.full - self.grants.kept(reference))
            if amount > may_be_used:
                return (
                    f"it uses {amount} of {reference.full} tries ({reference.name}), {may_be_used} may be used "
                    f"(pin_tries_kept under [rig.budget] of rig {self._rig})"
                )
        ungranted = {one.tries: amount for one, amount in cost.pins.items() if self.grants.tries_of(one) == 0}
        for what, amount in {**ungranted, **cost.irreversible}.items():
            if self._kind == "hardware" and amount > self.left(what):
                return (
                    f"not granted: {what}, of which {self.left(what)} of {self._granted(what)} are left "
                    f"([rig.budget] of rig {self._rig})"
                )
        return None

    def before(self, cost: Cost, why: str) -> None:
        """Reserve what running an operation once spends, all of it or nothing.

        Its PIN tries are drawn when a PIN is tried; those that an earlier operation did not need are used first.

        :raises BudgetExhausted: it is not granted.
        """
        amounts = self.of(cost)
        for what in [reference.tries for reference in cost.pins]:
            amounts[what] = max(0, amounts[what] - self._prepaid[what])
        self.reserve(amounts, why)
        for what in [reference.tries for reference in cost.pins]:
            self._prepaid[what] += amounts[what]

    def of(self, cost: Cost) -> dict[str, int]:
        """What running an operation once spends; the boots around it are counted where power is switched."""
        self.know(cost.pins)
        tries = {reference.tries: amount for reference, amount in cost.pins.items()}
        return {**tries, "erases": cost.erases or self.grants.erases_per_operation, **cost.irreversible}

    def close(self) -> None:
        """Give back what was reserved and not spent."""
        rows = [self._row(what, -rest, "not spent") for what, rest in self._prepaid.items() if rest > 0]
        self._prepaid.clear()
        if rows:
            with self._ledger.writing() as at:
                at.execute(self._ledger.tables.spent.insert(), rows)

    def _granted(self, what: str) -> int:
        reference = self._pins.get(what)
        return self.grants.granted(what) if reference is None else self.grants.tries_of(reference)

    def _field(self, what: str) -> str:
        """Where a bench grants it."""
        reference = self._pins.get(what)
        return what if reference is None or reference.counted_as else f'tries: "{reference.name}"'

    def _row(self, what: str, amount: int, why: str) -> dict[str, Any]:
        return {
            "key": self.key,
            "kind": self._kind,
            "rig": self._rig,
            "what": what,
            "amount": amount,
            "why": why,
            "at": now(),
            "settled": True,
        }

    def _exhausted(self, what: str, amount: int, spent: int, why: str) -> BudgetExhausted:
        return BudgetExhausted(
            f'rig "{self._rig}" · budget.{what}',
            found=f"{spent:,} of {self._granted(what):,} spent on {self.key}; {amount:,} more for: {why}",
            expected="no more than was granted",
            mend=f"grant more under [rig.budget] {self._field(what)} if this key may be used up further, "
            "or take another key",
        )


class PinTries:
    """Guard a key's PIN tries (`harness.model.rig.PinGuard`): the key's own counter decides, the ledger counts.

    What an operation reserved for its own try is used first, so that no try is paid for twice.
    """

    def __init__(self, budget: Budget):
        self._budget = budget

    def trying(self, reference: PinReference, left: int) -> None:
        self._budget.pin_tries_of_key(reference, left)
        # One at a time: no try is reserved that is not about to be spent.
        self._budget.draw(reference.tries, 1, f"a PIN is tried: {reference.name}", block=1)

    def setting(self, reference: PinReference, pin: str) -> None:
        from harness.safety.pin_journal import PinJournal

        journal = PinJournal(self._budget.key)
        newest = journal.records(reference)[-1:]
        if [one.pin for one in newest] != [pin]:
            journal.write_ahead("set", pin, reference)

    def right(self, reference: PinReference) -> None:
        self._budget.give_back(reference.tries, 1)
