"""All of our power drivers."""

from __future__ import annotations

from harness_rigs.power.dcttech import DCTTECH
from harness_rigs.power.devantech import DEVANTECH
from harness_rigs.power.ft245r import FT245R
from harness_rigs.power.hub import HUB
from harness_rigs.power.kmtronic import KMTRONIC
from harness_rigs.power.lcus import LCUS
from harness_rigs.power.lcus_hid import LCUS_HID
from harness_rigs.power.numato import NUMATO
from harness_rigs.power.ykush import YKUSH

POWER = [HUB, LCUS, DCTTECH, YKUSH, DEVANTECH, KMTRONIC, NUMATO, LCUS_HID, FT245R]
