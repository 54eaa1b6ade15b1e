"""Errors for a board that fails: where the bench names it, what was found, what to do."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from harness.api import ActuatorRequest, RigError

_GONE = {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO, errno.ESHUTDOWN, errno.EPROTO}
_BUSY = {errno.EBUSY, errno.EAGAIN}


class Unexpected(Exception):
    """A board gave another answer than expected."""

    def __init__(self, found: str, expected: str, mend: str | None = None):
        super().__init__(found)
        self.found, self.expected, self.mend = found, expected, mend


@dataclass(frozen=True)
class Part(ActuatorRequest):
    """A request for a switch inside another driver: a part of `combined`, the relay of a touch.

    :ivar place: the table of the rig in which its settings are.
    :ivar momentary: switched while a request to the key is pending: what can be left out then is left out.
    """

    place: str = "power"
    momentary: bool = False


def place_of(request: ActuatorRequest) -> str:
    """Where the bench names it: `rig "mini-2" · power`."""
    place = request.place if isinstance(request, Part) else "power"
    return f'rig "{request.rig}" · {place}'


def shown(data: bytes) -> str:
    """Bytes for a message."""
    return data.hex(" ") if data else "nothing"


def explain(error: OSError, what: str, node: str, switched: int) -> RigError:
    """The error for an OSError from a board.

    :param what: which channel of which rig, for the message.
    :param node: what was opened.
    :param switched: how often the channel was switched before.
    """
    number = error.errno
    reason = error.strerror or (os.strerror(number) if number else str(error))
    if number in (errno.EACCES, errno.EPERM):
        return RigError(
            what,
            found=f"{node}: {reason}",
            expected="a node that you may read and write",
            mend=f"`ls -l {node}` shows its owner and group: join that group, or give the board a udev rule",
        )
    if number in _BUSY:
        return RigError(
            what,
            found=f"{node} is in use by another program",
            expected="a board that no other program uses",
            mend=f"`fuser -v {node}` shows which one; ModemManager, for example, opens each new serial port",
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
            expected="a board that knows the request",
            mend="check that the driver is for this board, and that the board has this channel",
        )
    return RigError(
        what,
        found=f"{node}: {reason}",
        expected="a board that answers",
        mend="check that it is switched on, and that the bench names the right place",
    )
