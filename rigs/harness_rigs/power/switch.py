"""A power switch made of one channel of a board: what the drivers of all boards share.

A driver's file holds the bytes of its board (`Channel`). This file holds the rest: the lock for a shared board, the
state read back after switching, the time that the charge needs to decay, and errors that say what to do.
"""

from __future__ import annotations

import gc
import termios
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, field_validator
from pydantic_core import PydanticCustomError

from harness.api import (
    ActuatorRequest,
    CallerError,
    CutAction,
    PowerCameBack,
    PowerSwitch,
    RigError,
    device_at,
)
from harness_rigs.power.board_errors import Part, Unexpected, explain, place_of
from harness_rigs.power.board_lock import BoardLock
from harness_rigs.power.off_timer import OffTimer

LOCK_LIMIT_S = 10.0


class SwitchOptions(BaseModel):
    """Settings of every switch."""

    model_config = ConfigDict(extra="forbid")

    off_time_s: float = Field(default=0.0, ge=0, le=60)
    """How long the key stays without power at least: for a switch behind which charge decays slowly. The rig's own
    `off_s` is waited for besides."""

    release_ms: tuple[NonNegativeFloat, NonNegativeFloat] | None = None
    """Between how many milliseconds after the order to cut the power is gone, (least, most), as a meter or the board's
    data sheet says. Otherwise `keyharness calibrate` measures it by the key's last answer."""

    @field_validator("release_ms")
    @classmethod
    def _in_order(cls, limits: tuple[float, float] | None) -> tuple[float, float] | None:
        if limits is not None and limits[0] > limits[1]:
            raise PydanticCustomError(
                "order", "{text}", {"text": "[least, most] in milliseconds, the smaller one first"}
            )
        return limits

    @property
    def release_us(self) -> tuple[int, int] | None:
        """`release_ms` in microseconds."""
        return None if self.release_ms is None else (_us(self.release_ms[0]), _us(self.release_ms[1]))

    @property
    def inverted(self) -> bool:
        """Does the key have power while the channel is released?"""
        return False


class RelayOptions(SwitchOptions):
    """Settings of every relay."""

    normally: Literal["open", "closed"] = "open"
    """The contact that the key is wired to. With "open" (NO) a cut is a release, which is quicker and bounces less."""

    @property
    def inverted(self) -> bool:
        return self.normally == "closed"


class Channel(ABC):
    """One channel of a board. Its methods may raise OSError and `Unexpected`; `ChannelSwitch` explains them.

    :ivar driver: the name of its driver.
    :ivar name: which channel, in the words of its settings: "channel 1 at port /dev/ttyUSB0".
    :ivar board: name of the lock for the board; the same for the same board in every process.
    :ivar number: which channel of the board.
    :ivar part: which function of the channel, for boards whose channels have several ("power", "touch").
    :ivar node: what is opened, for messages.
    """

    driver: str
    name: str
    board: str
    number: int
    part: str = ""
    node: str
    seen_after: bool = True
    """See `PowerSwitch.seen_after`."""

    @abstractmethod
    def opened(self) -> AbstractContextManager[None]:
        """Keep the board open for `set` and `read` while entered."""

    @abstractmethod
    def set(self, active: bool) -> None:
        """Energise a relay or release it; give a port power or take it."""

    @abstractmethod
    def read(self) -> bool | None:
        """Is the channel active, as the board says? None if the board cannot tell."""

    def cut_action(self, active: bool) -> CutAction | None:
        """`set` as one action of the cutter's process, on something that this opens; None if that cannot be."""
        return None

    def after_cut(self) -> None:  # noqa: B027 - most boards answer nothing that would have to be read
        """The cutter has acted: do what belongs after it, before what `cut_action` opened is closed."""

    def close_cut_action(self) -> None:  # noqa: B027 - most channels have nothing to put away
        """The cutter has acted, or will not: close what `cut_action` opened."""


class ChannelSwitch(PowerSwitch):
    """A channel as a key's power switch.

    :param inverted: the key has power while the channel is released.
    :raises CallerError: another rig of this process has the same channel.
    :raises RigError: the board does not answer.
    """

    def __init__(
        self, request: ActuatorRequest, channel: Channel, *, off_time_s: float, inverted: bool = False
    ):
        self._channel, self._inverted = channel, inverted
        self.seen_after = channel.seen_after
        if isinstance(request.options, SwitchOptions):
            self.release_us = request.options.release_us
        self._off_timer = OffTimer(request.clock, off_time_s)
        self._is_unconfirmed = False
        self._momentary = isinstance(request, Part) and request.momentary
        self._switched = 0
        self._rig, self._place = request.rig, place_of(request)
        self.what = f"{self._place}: {channel.driver} {channel.name}"
        self._claim()
        self._is_on = self._first_look(request)

    @property
    def is_on(self) -> bool:
        return self._is_on

    def on(self) -> None:
        if not self._is_on:
            if not self._momentary:
                self._stayed_off()
            self._off_timer.wait()
        self._switch(True)

    def off(self) -> None:
        self._switch(False)
        self._off_timer.begin()

    def cut_action(self) -> CutAction | None:
        with self._talking():
            return self._channel.cut_action(self._inverted)

    def after_cut(self) -> None:
        self._is_on = False
        self._off_timer.begin()
        self._switched += 1
        with self._talking():
            try:
                self._channel.after_cut()
            finally:
                self._channel.close_cut_action()
        # Asking the board takes time in which the rig has to see when the key goes: ask before power is given.
        self._is_unconfirmed = True

    def _switch(self, on: bool) -> None:
        self._is_unconfirmed = False
        with self._talking():
            # What was opened for a cut that never came would stay open.
            self._channel.close_cut_action()
            with self._channel.opened():
                self._switched += 1
                self._channel.set(on != self._inverted)
                self._is_on = on
                if not (on and self._momentary):
                    self._confirm(on)

    def _confirm(self, on: bool) -> None:
        seen = self._channel.read()
        if seen is not None and (seen != self._inverted) != on:
            self._is_on = not on
            raise RigError(
                f"{self.what} did not switch",
                found=f"the board says {_word(not on)}",
                expected=_word(on),
                mend="check that this is the right channel, and that no other program uses the board",
            )

    def _stayed_off(self) -> None:
        """:raises RigError: the board says on although the switch was left off."""
        with self._talking(), self._channel.opened():
            seen = self._channel.read()
        unconfirmed, self._is_unconfirmed = self._is_unconfirmed, False
        if seen is not None and seen != self._inverted:
            self._is_on = True
            what = "the power was not cut, or it" if unconfirmed else "the power"
            raise PowerCameBack(
                f"{self.what}: {what} came back by itself",
                found="the board says on",
                expected="off, as it was left",
                mend="another program switches it, or the kernel does: for a hub see docs/rigs-power.md",
            )

    def _first_look(self, request: ActuatorRequest) -> bool:
        with self._talking(), self._channel.opened():
            seen = self._channel.read()
        if seen is not None:
            return seen != self._inverted
        return is_presumed_on(request)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            with BoardLock(self._channel.board, LOCK_LIMIT_S):
                yield
        except Unexpected as error:
            raise RigError(
                self.what,
                found=error.found,
                expected=error.expected,
                mend=error.mend
                or "check that the driver is for this board, and that no other program uses it",
            ) from None
        except (OSError, termios.error) as error:
            # termios has an error of its own, with the same two arguments.
            failed = error if isinstance(error, OSError) else OSError(*error.args)
            raise explain(failed, self.what, self._channel.node, self._switched) from None

    def _claim(self) -> None:
        """Refuse a channel that another rig has, also if the bench names the board in two ways (path, serial)."""
        if self._has_another_rig():
            # A rig that is no longer used may not have been collected yet.
            gc.collect()
        if other := self._has_another_rig():
            raise CallerError(
                self._place,
                found=f"{self._channel.driver} {self._channel.name}, which {other} has",
                expected="a channel of its own",
                mend="give one of them another channel",
            )
        _MADE.add(self)

    def _has_another_rig(self) -> str | None:
        for other in set(_MADE):
            if other._identity == self._identity and other._rig != self._rig:
                return other._place
        return None

    @property
    def _identity(self) -> tuple[str, int, str]:
        return self._channel.board, self._channel.number, self._channel.part


def channel_switch(request: ActuatorRequest, channel: Channel) -> ChannelSwitch:
    """A channel as a switch, with the settings that every switch has.

    :param request: its options are a SwitchOptions.
    """
    options: SwitchOptions = request.options
    return ChannelSwitch(request, channel, off_time_s=options.off_time_s, inverted=options.inverted)


def is_presumed_on(request: ActuatorRequest) -> bool:
    """Has the key power, if nothing can tell? A key that is on its port has; without a known port it usually has."""
    return request.port is None or device_at(request.host, request.port) is not None


_MADE: weakref.WeakSet[ChannelSwitch] = weakref.WeakSet()


def _us(milliseconds: float) -> int:
    return round(1000 * milliseconds)


def _word(on: bool) -> str:
    return "on" if on else "off"
