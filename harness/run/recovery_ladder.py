"""Bring a rig back to a known state in steps, of which none makes matters worse.

Each step is tried only if the key does not answer after the one before: open it again; switch its power; leave it
without power for a long time. A key that is in its bootloader after an interrupted update gets the firmware that the
bench names, if it is expendable. It is reset only if the caller asked for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TextIO

from harness.base.errors import CallerError, KeyharnessError
from harness.campaign.home import require_expendable
from harness.model.memory import Memory
from harness.model.rig import Rig
from harness.safety.claim import Claims
from harness.safety.identity import refuse_foreign, why_gone

LONG_OFF_US = 10_000_000
"""Without a load, VBUS can stay up for seconds (OLPC #9566: 2.5 s off were needed)."""


@dataclass(frozen=True)
class RecoveryStep:
    """One step of a recovery.

    :ivar what: what was done.
    :ivar why_not: why the key did not answer after it; None if it did.
    """

    what: str
    why_not: str | None


def recover(rig: Rig, claims: Claims, *, on_stuck: str, reset: bool) -> list[RecoveryStep]:
    """Take steps until the key answers; return the steps that were taken.

    :param on_stuck: "preserve" leaves a key that does not answer as it is, its power included.
    :param reset: reset the key's applications at the end, if all data on it are ours.
    :raises CallerError: a reset of a key that is not expendable, or that holds data which are not ours; the bench does
        not name the key that is to be written to.
    :raises RigError: the rig is in use, or another key is on it.
    """
    if reset:
        require_expendable(rig)
    claims.take(rig, write=False)
    steps: list[RecoveryStep] = []

    def tried(what: str, do: Callable[[], None]) -> bool:
        try:
            do()
            rig.wait_until_up()
            if rig.face != rig.key.faces[0].name:
                steps.append(RecoveryStep(what, f"it is in its {rig.face}"))
                return False
            rig.key.identify(rig)
        except (KeyharnessError, OSError) as error:
            steps.append(RecoveryStep(what, why_gone(rig, error)))
            return False
        steps.append(RecoveryStep(what, None))
        return True

    if rig.power.is_on or on_stuck == "preserve":
        answers = tried("opened it again", lambda: None)
        if not answers and on_stuck == "preserve":
            return [
                *steps,
                RecoveryStep('left it as it is: on_stuck = "preserve"', "it is kept for the laboratory"),
            ]
    else:
        answers = tried("switched it on", rig.power.on)
    answers = answers or tried("switched it off and on", rig.power.cycle)
    if not answers and _is_in_another_face(rig):
        answers = _rescue(rig, claims, steps, tried)
    else:
        answers = answers or tried(f"left it off for {LONG_OFF_US // 1_000_000} s", lambda: _long_off(rig))
    if reset and answers:
        claims.require_named(rig)
        refuse_foreign(rig)
        for operation in rig.key.operations.values():
            if operation.resets:
                tried(f"reset: {operation.title}", partial(_reset, rig, operation.act))
    return steps


def _is_in_another_face(rig: Rig) -> bool:
    """Return whether the key is up in another face than its application."""
    try:
        rig.wait_until_up()
    except (KeyharnessError, OSError):
        return False
    return rig.face != rig.key.faces[0].name


def _rescue(
    rig: Rig,
    claims: Claims,
    steps: list[RecoveryStep],
    tried: Callable[[str, Callable[[], None]], bool],
) -> bool:
    rescue = rig.key.rescue
    if rescue is None:
        why = "nothing is known that brings this model out of it"
    elif not rig.expendable:
        why = "the key is not expendable: nothing is written to it"
    elif rig.firmware_file is None:
        why = "the bench names no `firmware`: the container that was being installed, or a later one"
    else:
        claims.require_named(rig)
        return tried(f"installed {rig.firmware_file.name}", lambda: rescue(rig))
    steps.append(RecoveryStep("installed no firmware", why))
    return False


def _long_off(rig: Rig) -> None:
    rig.power.off()
    rig.clock.wait_us(LONG_OFF_US)
    rig.power.on()


def _reset(rig: Rig, act: Callable[[Rig, Memory], None]) -> None:
    # In a new boot: no session is open, and some keys accept a reset in the first seconds after power-up only.
    rig.power.cycle()
    rig.wait_until_up()
    act(rig, Memory())
    rig.power.cycle()


def answers(steps: Sequence[RecoveryStep]) -> bool:
    """Return whether the key answered in the end."""
    return bool(steps) and steps[-1].why_not is None


def exit_code(steps: Sequence[RecoveryStep]) -> int:
    """Return 0 if the key answers, 3 if not."""
    return 0 if answers(steps) else 3


def table(rig: str, steps: Sequence[RecoveryStep]) -> dict[str, Any]:
    """Return the steps as a JSON-able table."""
    return {"rig": rig, "answers": answers(steps), "steps": [asdict(step) for step in steps]}


def show(rig: str, steps: Sequence[RecoveryStep], out: TextIO) -> None:
    """Write the steps for a person."""
    for step in steps:
        out.write(f"  {step.what:<40} {'the key answers' if step.why_not is None else step.why_not}\n")
    out.write(f'rig "{rig}": {"the key answers" if answers(steps) else "no answer"}\n')


def port_or_say(rig: str, port: str | None) -> str:
    """Return the port of a rig that outlives the run.

    :raises CallerError: the rig is private to each run, so nothing is kept of it.
    """
    if port is None:
        raise CallerError(
            f'rig "{rig}"',
            found="a rig that every run makes anew",
            expected="one that outlives the run",
            mend="run it again: nothing of it is kept",
        )
    return port
