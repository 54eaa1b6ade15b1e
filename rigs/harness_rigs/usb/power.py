"""The power switch of a rig with a real key: the bench's own, and what belongs around it."""

from __future__ import annotations

from harness.api import CutAction, PowerSwitch
from harness_rigs.usb.cutter import UsbCutter
from harness_rigs.usb.plugged_key import PluggedKey


class PortSwitch(PowerSwitch):
    """The bench's switch, with the rest before power and the look after it went.

    :param actuator: the bench's power switch.
    """

    def __init__(self, key: PluggedKey, actuator: PowerSwitch, cutter: UsbCutter):
        self._key, self._actuator, self._cutter = key, actuator, cutter

    @property
    def is_on(self) -> bool:
        return self._actuator.is_on

    def on(self) -> None:
        if not self.is_on:
            self._key.rest()
            self._key.require_still_gone()
            self._key.power_comes()
            self._actuator.on()
            self._cutter.power_came(self._key.power_came())

    def off(self) -> None:
        if self.is_on:
            # An interruption of this boot is not to be hidden by the next one.
            self._key.presence()
            self._actuator.off()
            self._key.power_went()
            self._cutter.forget()
            self._key.see_it_go()

    def cut_action(self) -> CutAction | None:
        return self._actuator.cut_action()

    def after_cut(self) -> None:
        self._actuator.after_cut()
