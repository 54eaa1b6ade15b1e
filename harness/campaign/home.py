"""The home state of a key: everything laid down that later checks look for, before the first cut."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from harness.base.errors import CallerError, KeyFault, one_of
from harness.campaign.judging import UNCUT, fingerprint
from harness.campaign.restart import Restart
from harness.campaign.set_up import bring_up, tried_again
from harness.model.judge import Breach
from harness.model.key import Key, client_randomness
from harness.model.memory import Memory
from harness.model.operation import FRESH, Item, NamedHome, NextAction, Operation
from harness.model.outcome import Value
from harness.model.rig import Rig
from harness.model.row import replay_id
from harness.twin.glass_box import glass_box


@dataclass(frozen=True)
class Home:
    """What `go_home` left: what the host knows and, where states can be copied, the state to come back to.

    :ivar lasting: False if a clean restart already brings the factory's state back.
    :ivar broken: what a clean restart alone already breaks, and with which campaigns can do without.
    :ivar name: of a named home; its `parts` are those of the key's applications.
    """

    memory: Memory
    state: Any
    lasting: bool = True
    broken: tuple[Breach, ...] = ()
    name: str = FRESH
    parts: tuple[NamedHome, ...] = ()

    def adapted(self, operation: Operation) -> Operation | None:
        """The operation as it goes in this home; None if it is not asked there."""
        for part in self.parts:
            changed = part.adapt(operation)
            if changed is None:
                return None
            operation = changed
        return operation

    def settle(self, rig: Rig, memory: Memory) -> None:
        """Do what follows the arrangement of an operation; the key must be on, and may be off afterwards."""
        for part in self.parts:
            part.settle(rig, memory)

    def in_boot(self, rig: Rig, memory: Memory) -> None:
        """Do what comes before an operation in its own boot."""
        for part in self.parts:
            if part.in_boot is not None:
                part.in_boot(rig, memory)

    def values(self, memory: Memory) -> dict[str, Value]:
        """What must be seen of it before any cut."""
        return {name: value for part in self.parts for name, value in part.values(memory).items()}

    def watched(self, key: Key, operation: Operation) -> tuple[Item, ...]:
        """What is observed after each cut into an operation.

        A counter that goes back whenever the key is switched on would be found again in every cut and hide
        nothing but itself: it is found once, by the test of clean restarts.
        """
        broken = {breach.item for breach in self.broken}
        own = [item for part in self.parts for item in part.items]
        listed = {item.name: item for item in (*key.items, *own, *operation.items)}
        return tuple(item for item in listed.values() if item.name not in broken)


def seeded(rig: Rig, *purpose: object) -> AbstractContextManager[None]:
    """While entered, the clients' random numbers come from the rig's seed; on a real key they are real."""
    glass = glass_box(rig)
    return client_randomness(rig.key, lambda: glass.seeded(*purpose)) if glass else nullcontext()


def require_expendable(rig: Rig) -> None:
    """:raises CallerError: the bench does not allow writing to the key on this rig."""
    if not rig.expendable:
        raise CallerError(
            f'rig "{rig.name}" · expendable',
            found="not set: the key on this rig is not to be written to",
            expected="expendable = true, for a key whose content nobody needs",
            mend=f'set it in the bench file if the key on rig "{rig.name}" may be used up',
        )


def go_home(rig: Rig, known: Memory | None = None) -> Home:
    """Lay down the canaries of all applications of the key; the key is off afterwards.

    :param known: what an earlier home left on this key, where nothing else can bring it back.
    :raises CallerError: the key is not expendable.
    :raises KeyFault: it does not keep over a clean restart what it had acknowledged; or see `tried_again`.
    :raises RigError: its state is not where the rig copies it; or see `tried_again`.
    """
    require_expendable(rig)
    live = rig.vault if glass_box(rig) is None else None
    blank = live.snapshot() if live is not None and not rig.power.is_on else None

    def lay_down() -> Memory:
        memory = known.copy() if known else Memory()
        bring_up(rig)
        with seeded(rig, "home"):
            for application in rig.key.applications:
                application.prepare(rig, memory)
        return memory

    def undo() -> None:
        if live is not None and blank is not None:
            live.restore(blank)

    memory = tried_again(rig, "the home state could not be laid down", lay_down, undo)
    if live is None:
        rig.power.off()
        glass = glass_box(rig)
        return Home(memory, glass.snapshot() if glass else None)
    restart = Restart(rig, memory)
    lasting = restart.check()
    rig.settle()
    rig.power.off()
    home = Home(memory, live.snapshot(), lasting, restart.broken)
    if lasting and blank is not None:
        restart.check_copies(live, blank)
        live.restore(home.state)
    return home


class HomeFault(KeyFault):
    """The key does not let a named home be laid down, although nothing was cut.

    :ivar replay: the replay id that shows it again.
    """

    replay = ""

    @classmethod
    def of(cls, rig: Rig, name: str, fault: KeyFault) -> HomeFault:
        found = cls(
            f'the home "{name}" cannot be laid down, before anything was cut: {fault.what}',
            found=fault.found,
            expected=fault.expected,
            mend=fault.mend,
        )
        check = fingerprint(rig, name)
        found.replay = replay_id(rig.name, next(iter(rig.key.operations)), rig.seed, UNCUT, check, name)
        return found


def go_to_home(rig: Rig, fresh: Home, name: str) -> Home | str:
    """Bring a key from its fresh home to a named one; the key is off afterwards.

    :returns: the home, or what the key does not offer of it, in words.
    :raises CallerError: the key has no home of that name, or its state cannot be copied.
    :raises HomeFault: the key refuses a part of it, or does not keep it.
    :raises RigError: see `tried_again`.
    """
    if name == FRESH:
        return fresh
    offered = rig.key.homes
    if name not in offered:
        raise CallerError(
            f'home "{name}" of {rig.key.title}',
            found=name,
            expected=one_of(name, [FRESH, *offered]),
            mend="`keyharness list` shows the homes of each key",
        )
    vault = rig.vault
    if vault is None or fresh.state is None:
        raise CallerError(
            f'rig "{rig.name}" · home "{name}"',
            found="a key whose state only the key itself can change",
            expected=f"the home {FRESH}: others are copied into a twin or an emulator before each cut",
            mend="name it for another rig",
        )

    def begin() -> None:
        vault.restore(fresh.state)
        bring_up(rig)

    def lay_down() -> Home | str:
        begin()
        lacking = [part.missing(rig) if part.missing is not None else None for part in offered[name]]
        parts = tuple(part for part, why in zip(offered[name], lacking) if why is None)
        if not parts:
            rig.power.off()
            return next(why for why in lacking if why is not None)
        begin()
        memory = fresh.memory.copy()
        with seeded(rig, "home", name):
            for part in parts:
                part.lay_down(rig, memory)
        rig.settle()
        rig.power.off()
        return replace(fresh, memory=memory, state=vault.snapshot(), name=name, parts=parts)

    try:
        return tried_again(rig, f'the home "{name}" could not be laid down', lay_down, lambda: None)
    except KeyFault as fault:
        raise HomeFault.of(rig, name, fault) from fault


def in_turn(key: Key, operation: str) -> dict[str, int]:
    """The homes from which an operation is cut in a run that names none, with the number of cuts.

    Of several homes of one `turn` the operation gets the one whose turn it is, by its place in the key.
    """
    place = list(key.operations).index(operation)
    chosen: dict[str, int] = {}
    turns: dict[str, list[str]] = {}
    for name, parts in key.homes.items():
        turn = next((part.turn for part in parts if part.turn), "")
        turns.setdefault(turn or f"@{name}", []).append(name)
    for names in turns.values():
        name = names[place % len(names)]
        cuts = max(part.cuts for part in key.homes[name])
        if cuts:
            chosen[name] = cuts
    return chosen


def restart_breaches(rig: Rig, home: Home) -> tuple[Breach, ...]:
    """What of the home state a clean restart breaks, with nothing cut at all; the key is off afterwards."""
    if home.broken:
        return home.broken
    if rig.vault is not None and home.state is not None:
        rig.vault.restore(home.state)
    rig.power.on()
    rig.wait_until_up()
    with seeded(rig, "restart"):
        breaches = Restart(rig, home.memory.copy()).breaches()
    rig.power.off()
    return breaches


def missing(rig: Rig, home: Home, operation: Operation) -> str | None:
    """What the operation needs and the key does not offer, in words; None if nothing is missing."""
    return missing_of(rig, home, [operation])[operation.name]


def missing_of(rig: Rig, home: Home, operations: Sequence[Operation | NextAction]) -> dict[str, str | None]:
    """The same of several operations, asked in one boot of a key that is no twin."""
    answers: dict[str, str | None] = {operation.name: None for operation in operations}
    up = False
    for operation in operations:
        if operation.missing is None:
            continue
        if not up:
            if rig.vault is not None and home.state is not None:
                rig.vault.restore(home.state)
            rig.power.on()
            rig.wait_until_up()
            up = glass_box(rig) is None
        with seeded(rig, "missing", operation.name):
            answers[operation.name] = operation.missing(rig)
        if not up:
            rig.power.off()
    rig.power.off()
    return answers
