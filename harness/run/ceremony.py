"""Play a ceremony on simulated devices and cut the power at every instant of every step.

For each state that a cut leaves: what the people do next, what they must not type, what is lost. The next action is not
only said: it is done from that state, and must lead to where the step leads.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TextIO

from harness.base.errors import CallerError, KeyFault, one_of
from harness.bench.ceremony import Advice, CeremonyRules, Doing, P, Script, Step, read_script
from harness.bench.registry import Plugins, discover
from harness.model.key import client_randomness
from harness.twin.image import BoardState
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig

NOT_DONE, HALF_DONE, DONE = "not done", "half done", "done"


@dataclass
class Found:
    """A state that cuts into a step have left.

    :ivar kind: NOT_DONE, HALF_DONE or DONE; None for one that the step must not leave.
    :ivar wrong: why the next action did not lead to where the step leads; None if it did.
    """

    state: str
    kind: str | None
    advice: Advice | None
    cuts: int = 0
    wrong: str | None = None


@dataclass
class Played:
    """One step, played and cut.

    :ivar words: what was seen after it. :ivar cuts: how many instants were cut. :ivar found: by the state's words.
    """

    step: Step
    title: str
    words: str
    cuts: int = 0
    found: dict[str, Found] = field(default_factory=dict)

    @property
    def faults(self) -> list[str]:
        """What is wrong with the step, in words."""
        said = (
            [f"seen: {self.words}; expected: {self.step.expect}"]
            if self.step.expect not in self.words
            else []
        )
        said += [
            f"a state that no step leaves: {one.state}" for one in self.found.values() if one.kind is None
        ]
        return said + [f"from {one.state}: {one.wrong}" for one in self.found.values() if one.wrong]


class Ceremony(Generic[P]):
    """A script, played on twins of its key.

    :param defects: known bugs in all of them.
    """

    def __init__(
        self, script: Script, rules: CeremonyRules[P], plugins: Plugins, seed: int, defects: tuple[str, ...]
    ):
        self.script, self.rules = script, rules
        key, model = plugins.keys[script.key], plugins.twin(script.key)
        options = TwinOptions(personality=model.sound[0], defects=defects)
        self._rigs = {
            # A seed for each: two devices of one seed would be one device.
            name: TwinRig(f"device-{name}", key, model, options, seed + number, True)
            for number, name in enumerate(script.devices)
        }
        self._paper = rules.paper()

    def play(self, shown: Callable[[int, Played], None]) -> list[Played]:
        """Play every step; `shown` is told each one when it is over."""
        played = []
        for number, step in enumerate(self.script.step, 1):
            one = self._play(step)
            shown(number, one)
            played.append(one)
            if one.step.expect not in one.words:
                break
        return played

    def _play(self, step: Step) -> Played:
        rig, doing = self._rigs[step.device], self.rules.doings[step.do]
        glass, before = rig.inside, copy.deepcopy(self._paper)
        start = glass.snapshot()
        state_before = self._state(rig, start)
        glass.restore(start)
        rig.power.on()
        rig.wait_until_up()
        words: list[str] = []
        trace = glass.record(lambda: words.append(self._done(doing, rig)))
        rig.power.off()
        end = glass.snapshot()
        played = Played(step, doing.title, words[0])
        state_after = self._state(rig, end)
        known = {state_after: (DONE, doing.done), state_before: (NOT_DONE, doing.not_done)}
        seen: dict[bytes, str] = {}
        for _, image in trace.images(trace.all_cuts(glass.torn_phases)) if trace.ops else ():
            content = image.digest()
            if content not in seen:
                seen[content] = state = self._state(rig, image)
                if state not in played.found:
                    kind, advice = known.get(state, (HALF_DONE if doing.half_done else None, doing.half_done))
                    played.found[state] = Found(state, kind, advice)
                found = played.found[state]
                # Images of one state may differ in what does not show, so the next action is done from each.
                found.wrong = found.wrong or self._resumed(rig, image, found, doing, before, state_after)
            played.found[seen[content]].cuts += 1
            played.cuts += 1
        glass.restore(end)
        return played

    def _done(self, doing: Doing[P], rig: TwinRig) -> str:
        try:
            return doing.do(rig, self._paper)
        except KeyFault as fault:
            return f"refused: {fault.what} {fault.found or ''}".strip()

    def _state(self, rig: TwinRig, image: BoardState) -> str:
        rig.inside.restore(image)
        try:
            rig.power.on()
            rig.wait_until_up()
            return self.rules.state(rig)
        except (KeyFault, OSError) as error:
            return f"no answer: {error}"
        finally:
            rig.power.off()

    def _resumed(
        self, rig: TwinRig, image: BoardState, found: Found, doing: Doing[P], paper: P, wanted: str
    ) -> str | None:
        """Do the next action from a state; None if it leads to where the step leads."""
        if found.kind in (None, DONE):
            return None
        act = doing.do if found.kind == NOT_DONE or doing.mend is None else doing.mend
        rig.inside.restore(image)
        try:
            rig.power.on()
            rig.wait_until_up()
            with client_randomness(rig.key, lambda: rig.inside.seeded("resumed")):
                act(rig, copy.deepcopy(paper))
            rig.power.off()
            state = self._state(rig, rig.inside.snapshot())
        except (KeyFault, OSError) as error:
            return f"the next action fails: {error}"
        return None if state == wanted else f"the next action leads to: {state}"


def play(file: Path, seed: int, defects: tuple[str, ...], out: TextIO) -> int:
    """Play the script in a file and write what each cut means; 0 if all is as the plugin knows it, else 1.

    :raises CallerError: no such script, key or defect.
    """
    plugins = discover()
    script = read_script(file, plugins.ceremonies)
    known = plugins.twin(script.key).defects
    for name in defects:
        if name not in known:
            raise CallerError(f'defect "{name}"', found=name, expected=one_of(name, list(known)))
    title = plugins.keys[script.key].title
    out.write(f"{script.title}\n{title}: {', '.join(script.devices)} (simulated) · seed {seed}\n")
    ceremony = Ceremony(script, plugins.ceremonies[script.key], plugins, seed, defects)
    played = ceremony.play(lambda number, one: _show(number, one, out))
    faults = [fault for one in played for fault in one.faults]
    cuts = sum(one.cuts for one in played)
    states = sum(len(one.found) for one in played)
    out.write(f"\n{len(played)} of {len(script.step)} steps, {cuts:,} cuts, {states} states")
    out.write("; from each the next action leads on\n" if not faults else f"; {len(faults)} faults\n")
    return 1 if faults else 0


def _show(number: int, played: Played, out: TextIO) -> None:
    step = played.step
    out.write(f"\n{number}  {step.role}, device {step.device}: {played.title}\n   seen: {played.words}\n")
    if not played.cuts:
        out.write("   writes nothing: after a cut, do it again\n")
    for found in sorted(played.found.values(), key=lambda one: -one.cuts):
        share = 100 * found.cuts / played.cuts
        out.write(f"   power lost, {share:.0f} % of {played.cuts} cuts: {found.state}\n")
        if found.advice is not None:
            out.write(f"      next   {found.advice.next}\n      never  {found.advice.never}\n")
            out.write(f"      lost   {found.advice.lost}\n")
    for fault in played.faults:
        out.write(f"   FAULT  {fault}\n")
    out.flush()
