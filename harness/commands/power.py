"""`keyharness power` and `keyharness touch`: switch a rig or touch its key by hand.

Neither sends the key a command that writes, so it need not be expendable; but the rig is locked, the power log knows
of it, and what wears out is counted as in a run. A touch consents to what another program asks of the key: so a key
that the bench names is asked first who it is.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Literal, TextIO

from harness.base.errors import CallerError, RigError
from harness.model.rig import KeyGone, Rig
from harness.run.session import Session
from harness.safety.identity_guard import AnotherKey

How = Literal["on", "off", "cycle"]


def is_lasting(rig: Rig) -> bool:
    """Return whether the rig's power stays as it is when this process ends."""
    return rig.evidence_kind == "hardware"


def switch(session: Session, name: str, how: How, out: TextIO) -> int:
    """Switch a rig's power and leave it so; return 0, or 3 if it was switched on and no key came up.

    :raises CallerError: the rig is made anew by each command, or its relay's budget is spent.
    :raises RigError: the rig is in use, or it failed.
    """
    rig = session.rig(name)
    if how != "cycle" and not is_lasting(rig):
        raise CallerError(
            f'rig "{name}"',
            found=f"{rig.evidence_kind}: each command makes it anew, and nothing of it stays",
            expected="a rig whose power stays as it is left",
            mend="`keyharness serve` keeps such a rig for as long as it runs",
        )
    session.claims.take(rig, write=False)
    began_us = rig.clock.now_us
    {"on": rig.power.on, "off": rig.power.off, "cycle": rig.power.cycle}[how]()
    if not is_lasting(rig) and not rig.power.is_on:
        rig.power.on()
    done, code = {"on": "on", "off": "off", "cycle": "off and on"}[how], 0
    if how != "off":
        try:
            rig.wait_until_up()
            done += f"; the key is up, {(rig.clock.now_us - began_us) / 1e6:.2f} s later"
        except KeyGone as gone:
            done, code = f"{done}; no key came up: {gone.what}", 3
    session.claims.leave(rig)
    out.write(f'rig "{name}": {done}\n')
    return code


def touch(session: Session, name: str, hold_s: float, out: TextIO, *, prove: bool = True) -> int:
    """Touch the key on a rig once.

    :param prove: ask the key first who it is, if the bench names one.
    :raises RigError: the rig is in use, the key has no power, nothing can touch it; it is another key than the bench
        names; or it is busy, so that it cannot be asked, and has not told who it is since it came to its port.
    :raises KeyGone: no key is there.
    """
    rig = session.rig(name)
    session.claims.take(rig, write=False)
    if not is_lasting(rig) and not rig.power.is_on:
        rig.power.on()
    if not rig.power.is_on:
        raise RigError(
            f'rig "{name}"',
            found="off",
            expected="a key with power",
            mend=f"`keyharness power on {name}`",
        )
    if prove:
        _prove(session, rig)
    with ExitStack() as press:
        try:
            press.enter_context(rig.touch.holding())
        except RigError as error:
            if error.found is not None:
                raise
            raise RigError(
                f'rig "{name}" · touch',
                found=error.what,
                expected="something that touches its key",
                mend=error.mend or "name it in the bench's table [rig.touch]: docs/rigs.md",
            ) from None
        rig.clock.wait_us(round(hold_s * 1e6))
    out.write(f'rig "{name}": touched for {hold_s:g} s\n')
    return 0


def _prove(session: Session, rig: Rig) -> None:
    try:
        session.claims.prove(rig)
    except AnotherKey:
        raise
    except RigError as error:
        mend = "end that request and ask first, by `keyharness inspect` or a touch; or touch with --unproved"
        raise RigError(error.what, found=error.found, expected=error.expected, mend=mend) from None
