"""Reset the FIDO2 application, within its time after power-up."""

from __future__ import annotations

from fido2.ctap import CtapError

from harness.api import HostLate, Memory, Rig
from harness_fido2.client import Fido, fido_memory

RESET_WINDOW_S = 10
"""After power-up (CTAP 2.1, section 6.6)."""

RESET_ATTEMPTS = 3


def reset_key(rig: Rig, memory: Memory) -> None:
    """Reset the FIDO2 application, within ten seconds of power-up (CTAP 2.1, section 6.6).

    :raises HostLate: the key refused because this host came later.
    """
    client = Fido(rig)
    powered_us = rig.powered_us
    try:
        with rig.touch.pressing():
            client.ctap.reset()
    except CtapError as error:
        # When the answer came: on a busy host the request may have been on its way for seconds.
        late_s = 0.0 if powered_us is None else (rig.clock.now_us - powered_us) / 1e6
        if error.code != CtapError.ERR.NOT_ALLOWED or late_s < RESET_WINDOW_S:
            raise
        raise HostLate(
            f'rig "{rig.name}": the key refused a reset, because this host asked too late',
            found=f"it refused {late_s:.1f} s after power-up",
            expected=f"a reset within {RESET_WINDOW_S} s (CTAP 2.1, section 6.6)",
            mend="run it again when the host has less to do",
        ) from error
    forget(memory)


def reset_after_power_up(rig: Rig, memory: Memory) -> None:
    """Switch the key off and on, and reset it; anew if this host was too late.

    :raises HostLate: it was, RESET_ATTEMPTS times.
    """
    for left in reversed(range(RESET_ATTEMPTS)):
        rig.power.cycle()
        rig.wait_until_up()
        try:
            reset_key(rig, memory)
        except HostLate:
            if not left:
                raise
        else:
            return


def forget(memory: Memory) -> None:
    """Forget what was on the key: its reset was acknowledged."""
    mine = fido_memory(memory)
    mine.pin, mine.counter, mine.handle = None, 0, b""
