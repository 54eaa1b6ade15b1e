"""All of our power drivers."""

from __future__ import annotations

from harness_rigs.power.devantech import DEVANTECH
from harness_rigs.power.kmtronic import KMTRONIC
from harness_rigs.power.lcus import LCUS
from harness_rigs.power.numato import NUMATO

POWER = [LCUS, DEVANTECH, KMTRONIC, NUMATO]
