"""What is abnormal on a twin with metastable cells is looked at again, as it is on a real key.

On other twins a state is what it is. Here it reads anew at each boot: after the first cut of each kind the key is
looked at once more after power cycles, and as it reads when the same cut comes some boots later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.campaign.cut_images import CutImage
from harness.campaign.recheck import KINDS, recheck_row
from harness.model.judge import Breach
from harness.search.plan import Plan
from harness.search.recheck_plan import CYCLES, REPEATS, RecheckPlan, is_abnormal

LOOKS = CYCLES + REPEATS


@dataclass
class TwinRecheck:
    """The first cut of each kind, until it has been looked at again."""

    _known: set[tuple[str, str]] = field(default_factory=set)
    _waiting: list[tuple[CutImage, str, Sequence[Breach]]] = field(default_factory=list)

    def note(self, target: CutImage, outcome: str, breaches: Sequence[Breach]) -> None:
        """A cut was judged: is it the first of its kind?"""
        kind = (outcome, breaches[0].item if breaches else "")
        if breaches and is_abnormal(outcome) and kind not in self._known and len(self._known) < KINDS:
            self._known.add(kind)
            self._waiting.append((target, outcome, breaches))

    def looks(self) -> list[tuple[CutImage, int]]:
        """(what to look at, after how many power cycles) of all looks that are due, in order."""
        due = []
        for target, _, _ in self._waiting:
            due += [(target, cycles) for cycles in range(1, CYCLES + 1)]
            for number in range(1, REPEATS + 1):
                state = replace(target.state, boots=target.state.boots + number)
                due.append((replace(target, state=state), 0))
        return due

    def told(self, outcome_of: Callable[[int], str]) -> Iterator[tuple[Sequence[Breach], dict[str, Any]]]:
        """(the breaches, what is known of them now) of each cut that waited.

        :param outcome_of: number of a look -> what it came to.
        """
        waiting, self._waiting = self._waiting, []
        for n, (_, outcome, breaches) in enumerate(waiting):
            case: RecheckPlan[Plan] = RecheckPlan(outcome, [], reads=0, cycles=CYCLES)
            for number in range(n * LOOKS, (n + 1) * LOOKS):
                case.tell(outcome_of(number))
            yield breaches, recheck_row(case.findings)
