"""Reset the FIDO2 application, within its time after power-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
    with blamed_on_a_late_host(rig), rig.touch.pressing():
        client.ctap.reset()
    forget(memory)


@contextmanager
def blamed_on_a_late_host(rig: Rig) -> Iterator[None]:
    """Raise HostLate if the key refuses a reset with NOT_ALLOWED, ten seconds or more after power-up (6.6)."""
    since = rig.powered_us
    try:
        yield
    except CtapError as error:
        # When the answer came: on a busy host the request may have been on its way for seconds.
        late_s = 0.0 if since is None else (rig.clock.now_us - since) / 1e6
        if error.code != CtapError.ERR.NOT_ALLOWED or late_s < RESET_WINDOW_S:
            raise
        raise HostLate(
            f'rig "{rig.name}": the key refused a reset, because this host asked too late',
            found=f"it refused {late_s:.1f} s after power-up",
            expected=f"a reset within {RESET_WINDOW_S} s (CTAP 2.1, section 6.6)",
            mend="run it again when the host has less to do",
        ) from error


def reset_after_power_up(rig: Rig, memory: Memory) -> None:
    """Switch the key off and on, and reset it; anew if this host was too late.

    :raises HostLate: it was, RESET_ATTEMPTS times.
    """
    after_power_up(rig, lambda: reset_key(rig, memory))


def after_power_up(rig: Rig, reset: Callable[[], None]) -> None:
    """Switch a key off and on and call `reset`, which raises HostLate if this host was too late; anew if it was.

    :raises HostLate: it was, RESET_ATTEMPTS times.
    """
    for left in reversed(range(RESET_ATTEMPTS)):
        rig.power.cycle()
        rig.wait_until_up()
        try:
            reset()
        except HostLate:
            if not left:
                raise
        else:
            return


def forget(memory: Memory) -> None:
    """Forget what was on the key: its reset was acknowledged."""
    mine = fido_memory(memory)
    mine.pin, mine.counter, mine.handle = None, 0, b""
