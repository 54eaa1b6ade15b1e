"""All touch drivers of this package."""

from __future__ import annotations

from harness_rigs.touch.command import COMMAND
from harness_rigs.touch.hand import HAND
from harness_rigs.touch.none import NONE
from harness_rigs.touch.pico import PICO
from harness_rigs.touch.relay import RELAY

TOUCH = [RELAY, PICO, COMMAND, HAND, NONE]
