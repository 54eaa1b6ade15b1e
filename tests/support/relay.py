"""A power switch that writes bytes, as a relay on a serial line does."""

from __future__ import annotations

import os

from harness.model.cut_action import Write
from harness.model.rig_parts import PowerSwitch


class Relay(PowerSwitch):
    """A relay that is told by bytes what to do, as one on a serial line is; `wire` is where they arrive."""

    def __init__(self):
        self.wire, self.line = os.pipe()
        self.position = True

    @property
    def is_on(self):
        return self.position

    def on(self):
        os.write(self.line, b"1")
        self.position = True

    def off(self):
        os.write(self.line, b"0")
        self.position = False

    def cut_action(self):
        return Write(self.line, b"0")

    def after_cut(self):
        self.position = False
