"""What a board's failure means, in words that say where it is set, what was found and what to do."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from harness.base.errors import RigError
from harness.bench.plugin_api import ActuatorRequest

_GONE = {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO, errno.ESHUTDOWN, errno.EPROTO}
_BUSY = {errno.EBUSY, errno.EAGAIN}


class Unexpected(Exception):
    """A board answered, but not what it should have."""

    def __init__(self, found: str, expected: str, mend: str | None = None):
        super().__init__(found)
        self.found, self.expected, self.mend = found, expected, mend


@dataclass(frozen=True)
class Part(ActuatorRequest):
    """A request for a switch that is a part of something else: of a combination, of a finger.

    :ivar place: the table of a rig in which its settings stand.
    :ivar momentary: it is switched within a request of a key's, and what is not needed for that is left out.
    """

    place: str = "power"
    momentary: bool = False


def place_of(request: ActuatorRequest) -> str:
    """Where a bench sets it: `rig "mini-2" · power`."""
    place = request.place if isinstance(request, Part) else "power"
    return f'rig "{request.rig}" · {place}'


def shown(data: bytes) -> str:
    """Bytes as messages show them."""
    return data.hex(" ") if data else "nothing"


def explain(error: OSError, what: str, node: str, switched: int) -> RigError:
    """What an OSError of a board means.

    :param what: which channel of which rig, in words.
    :param node: what was opened.
    :param switched: how often it has been switched before.
    """
    number = error.errno
    reason = error.strerror or (os.strerror(number) if number else str(error))
    if number in (errno.EACCES, errno.EPERM):
        return RigError(
            what,
            found=f"{node}: {reason}",
            expected="a node that you may read and write",
            mend=f"`ls -l {node}` shows whose it is: join that group, or give the board a udev rule",
        )
    if number in _BUSY:
        return RigError(
            what,
            found=f"{node} is in use by another program",
            expected="a board that nobody else speaks to",
            mend=f"`fuser -v {node}` shows by which; ModemManager, for one, opens serial ports unasked",
        )
    # Some timeouts have no number: a socket's, and pyserial's when it writes.
    if number == errno.ETIMEDOUT or (number is None and "time" in reason.lower()):
        return RigError(
            what,
            found=f"{node}: no answer ({reason})",
            expected="an answer",
            mend="plug the board in again; if it stays silent, another kind of board may be there",
        )
    if number in _GONE or number is None:
        after = f" after {switched} switches" if switched else ""
        return RigError(
            what,
            found=f"{node} is gone{after}: {reason}",
            expected="a board that stays plugged in",
            mend="see the kernel's log (dmesg) for why it left the bus; coils draw more than some ports give: "
            "a powered hub helps"
            if switched
            else "plug the board in, or name the node that it has",
        )
    if number == errno.EPIPE and node.startswith("/dev/bus/usb"):
        return RigError(
            what,
            found=f"{node} refuses the request (a stall)",
            expected="a board that knows it",
            mend="is that the board that the driver is for, and has it such a channel?",
        )
    return RigError(
        what,
        found=f"{node}: {reason}",
        expected="a board that can be spoken to",
        mend="is it switched on, and is that where it is?",
    )
