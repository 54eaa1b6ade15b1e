"""What an owner does after a cut, and the look after it: half-done work may show only then.

A cut, the look that every cut gets, one action of the owner, power off and on, and the look again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.base.errors import CallerError, KeyharnessError, Refused, one_of, refuse_host_error
from harness.base.seeds import unit
from harness.campaign.cut_images import AfterAction, CutImage, Inspection, spread
from harness.campaign.home import seeded
from harness.campaign.image_observer import ImageObserver
from harness.campaign.judging import fingerprint, within
from harness.campaign.observe import Seen, observe
from harness.campaign.recording import RecordedOperation
from harness.campaign.worker_pool import Died
from harness.model.judge import ANSWERS, STUCK_ITEM, Breach, Judgement, judge, stuck
from harness.model.memory import Memory
from harness.model.operation import NextAction
from harness.model.outcome import ANY, Law, Outcome, Severity, Value
from harness.model.rig import Rig

NEXT_STATES = 8
"""Number of states of an operation after which an owner goes on."""
ACTION = "+next."
"""Before the name of the action, in the label of a cut."""


def drawn(
    recorded: RecordedOperation, targets: Sequence[CutImage], actions: Sequence[NextAction], first_number: int
) -> list[tuple[NextAction, CutImage]]:
    """The states after which an owner goes on, each with the action: evenly spread over distinct states.

    :param targets: the operation's own cuts, in order.
    :param first_number: the place of the first of them in the plan.
    """
    distinct = list({target.state.digest(): target for target in targets}.values())
    seed = recorded.prepared.trace.tear_seed
    if not actions:
        return []
    # Which action comes first differs from operation to operation; from there on each has its turn.
    first = int(unit(seed, "next", recorded.operation.name) * len(actions))
    found = []
    for number, target in enumerate(spread(distinct, NEXT_STATES, seed)):
        action = actions[(first + number) % len(actions)]
        label = f"{target.label}{ACTION}{action.name}"
        found.append((action, replace(target, label=label, number=first_number + number)))
    return found


class NextActionObserver(ImageObserver):
    """Observes images of an operation that is recorded already, with one action of the owner in between."""

    def __init__(self, recorded: RecordedOperation, action: NextAction):
        super().__init__(recorded.rig, recorded.rig.key.operations[recorded.operation.name], recorded.home)
        self._next, self.action = action, action.name
        # What offers firmware to a bootloader may leave the key in it: nothing of an owner's can follow that.
        self.items = tuple(
            item for item in recorded.items if "firmware" not in item.spends and not item.owner_changes
        )
        judge = replace(recorded.prepared.judge, items=self.items)
        self._prepared = replace(recorded.prepared, judge=judge)
        self._check = fingerprint(recorded.rig, recorded.home.name, action.name)

    def inspect(self, image: CutImage, cycles: int = 0) -> Inspection:
        found = super().inspect(image, cycles)
        if found.seen.stuck or (found.completed is not None and found.completed.stuck):
            return found
        if found.completed is None and super().verdict(image, found).outcome is Outcome.BOOTLOADER:
            return found  # it waits for firmware and takes none: nothing of an owner's can follow that
        judge, rig = self.prepared.judge, self.rig
        # Where the key had to be brought to its new world first, that is what the owner goes on with.
        seen = found.seen if found.completed is None else found.completed
        before, promise = judge.memory.copy(), judge.promise.copy()
        with seeded(rig, "next", self.action, image.state.digest().hex()):
            rig.power.cycle()
            refused = self._done(before, promise, seen)
            rig.power.off()
            after = observe(rig, self.items, before, promise)
        deaths = (*found.deaths, *rig.take_deaths())
        return replace(found, after=AfterAction(after, before, promise, refused), deaths=deaths)

    def _done(self, before: Memory, promise: Memory, seen: Seen) -> str | None:
        """Do the action on a key that is on; what the key says instead of doing it, None if it did it."""
        try:
            self._next.act(self.rig, before, promise, seen.values)
        except Exception as error:
            refuse_host_error(error)
            fault = self.rig.key.fault(error)
            if fault is None and (isinstance(error, KeyharnessError) or not isinstance(error, OSError)):
                raise
            return str(error) if fault is None else fault.value if isinstance(fault, Refused) else fault.what
        return None

    def verdict(self, image: CutImage, found: Inspection | Died) -> Judgement:
        first = super().verdict(image, found)
        if isinstance(found, Died) or found.after is None or first.breaches:
            return first
        seen = found.seen if found.completed is None else found.completed
        said = f", after the owner's next action: {self._next.title}"
        if found.after.refused is not None:
            text = f"the key does not let its owner {self._next.title}: {found.after.refused}"
            breach = Breach(STUCK_ITEM, ANSWERS, Outcome.STUCK, Severity.S2, text)
            return replace(first, outcome=Outcome.STUCK, breaches=(breach,))
        if found.after.seen.stuck:
            return stuck(found.after.seen.stuck + said)
        after = self._judged_after(found.after, seen)
        breaches = tuple(replace(breach, text=breach.text + said) for breach in after.breaches)
        if not breaches:
            return first
        return replace(first, outcome=after.outcome, breaches=breaches, changed=after.changed)

    def _judged_after(self, after: AfterAction, seen: Seen) -> Judgement:
        """Compare the look after the action with the one before it."""
        worlds = self._next.worlds(after.before, after.promise, seen.values)
        # Which tries a look spends and gives back is not known here.
        free: dict[str, Value] = {item.name: ANY for item in self.items if item.law is Law.FALLING}
        floors = {}
        for item in self.items:
            if item.law is Law.RISING:
                used = [one for one in seen.values.get(item.name) or () if isinstance(one, int)]
                floors[item.name] = max(item.floor(after.promise) if item.floor else 0, *used, 0)
        return judge(
            items=self.items,
            worlds=within([replace(one, values={**free, **one.values}) for one in worlds], self.items),
            before=seen.values,
            seen=after.seen.values,
            acknowledged=True,
            floors=floors,
        )

    def place(self, image: CutImage) -> str:
        return f"{super().place(image)}, then the owner's action {self.action}"


def action_called(rig: Rig, name: str) -> NextAction:
    """Look up an owner's action by its name.

    :raises CallerError: the key has none of that name.
    """
    actions = {action.name: action for action in rig.key.next_actions}
    if name not in actions:
        raise CallerError(
            f'action "{name}" of {rig.key.title}', found=name, expected=one_of(name, list(actions))
        )
    return actions[name]
