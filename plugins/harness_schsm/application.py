"""The application SmartCard-HSM, for keys that have it."""

from __future__ import annotations

from harness.api import Application, KeyFault
from harness_cards.faults import fault as card_fault
from harness_schsm import (
    client_operations,
    client_restores,
    key_operations,
    other_keys,
    pin_operations,
    refusals,
    update_operations,
)
from harness_schsm.cvc import BadCertificate
from harness_schsm.home import blank, foreign, prepare
from harness_schsm.homes import HOMES
from harness_schsm.items import ITEMS
from harness_schsm.next_actions import NEXT_ACTIONS


def fault(error: BaseException) -> KeyFault | None:
    """Return the fault of the card that an exception tells of; None if it tells of none."""
    if isinstance(error, BadCertificate):
        return KeyFault("a certificate of the card", found=str(error), expected="one that can be decoded")
    return card_fault(error)


SC_HSM = Application(
    name="schsm",
    title="SmartCard-HSM",
    prepare=prepare,
    operations=(
        *pin_operations.OPERATIONS,
        *key_operations.OPERATIONS,
        *other_keys.OPERATIONS,
        *client_operations.OPERATIONS,
        *client_restores.OPERATIONS,
        *refusals.OPERATIONS,
        *update_operations.OPERATIONS,
    ),
    items=ITEMS,
    foreign=foreign,
    blank=blank,
    homes=HOMES,
    next_actions=NEXT_ACTIONS,
    paired=key_operations.PAIRED,
    fault=fault,
)
