"""The power switch of a rig with a real key: the bench's own, and what belongs around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model.cut_action import CutAction
from harness.model.rig import PowerSwitch

if TYPE_CHECKING:
    from harness_rigs.usb.rig import UsbRig


class Switch(PowerSwitch):
    """The bench's switch, with what belongs around it: the rest before power, the look after it went."""

    def __init__(self, rig: UsbRig):
        self._rig = rig

    @property
    def is_on(self) -> bool:
        return self._rig.actuator.is_on

    def on(self) -> None:
        rig = self._rig
        if not self.is_on:
            rig.rest()
            rig.require_still_gone()
            rig.actuator.on()
            rig.power_came()

    def off(self) -> None:
        rig = self._rig
        if self.is_on:
            rig.actuator.off()
            rig.power_went()
            rig.see_it_go()

    def cut_action(self) -> CutAction | None:
        return self._rig.actuator.cut_action()

    def after_cut(self) -> None:
        self._rig.actuator.after_cut()
