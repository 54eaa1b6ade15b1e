"""All power drivers of this package; the most used ones first."""

from __future__ import annotations

from harness_rigs.power.combined import COMBINED
from harness_rigs.power.command import COMMAND
from harness_rigs.power.dcttech import DCTTECH
from harness_rigs.power.devantech import DEVANTECH
from harness_rigs.power.ft245r import FT245R
from harness_rigs.power.hand import HAND
from harness_rigs.power.hub import HUB
from harness_rigs.power.kmtronic import KMTRONIC
from harness_rigs.power.lcus import LCUS
from harness_rigs.power.lcus_hid import LCUS_HID
from harness_rigs.power.numato import NUMATO
from harness_rigs.power.pico import PICO
from harness_rigs.power.ykush import YKUSH

RELAYS = [LCUS, DCTTECH, DEVANTECH, KMTRONIC, NUMATO, LCUS_HID, FT245R]
POWER = [HUB, YKUSH, *RELAYS, PICO, COMMAND, HAND, COMBINED]
