"""The application OpenPGP card, for keys that have it."""

from __future__ import annotations

from harness.api import Application
from harness_cards.faults import fault
from harness_openpgp import data_operations, key_operations, pin_operations, put_operations
from harness_openpgp.home import blank, foreign, prepare
from harness_openpgp.items import ITEMS
from harness_openpgp.next_actions import NEXT_ACTIONS

OPENPGP = Application(
    name="openpgp",
    title="OpenPGP card",
    prepare=prepare,
    operations=(
        *pin_operations.OPERATIONS,
        *key_operations.OPERATIONS,
        *data_operations.OPERATIONS,
        *put_operations.OPERATIONS,
    ),
    items=ITEMS,
    foreign=foreign,
    blank=blank,
    next_actions=NEXT_ACTIONS,
    paired=put_operations.PAIRED,
    fault=fault,
)
