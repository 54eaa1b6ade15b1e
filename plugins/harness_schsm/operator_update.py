"""The portal's update of a genuine device, done by an operator: when it is allowed, and what must be seen afterwards.

The rules are those of `harness_schsm.portal`, as far as a device shows them without cost: how many forced updates it
has had, and which version the portal offers, are known to the portal alone.
"""

from __future__ import annotations

from harness.api import OperatorUpdate, Refused, Rig
from harness_schsm import cvc
from harness_schsm.client import KEY, SO, USER, ScHsm
from harness_schsm.cvc import BadCertificate
from harness_schsm.home import NEVER_INITIALISED
from harness_schsm.portal import Why
from harness_schsm.roots import root_for

BLOCKED, TRANSPORT = 0x6983, 0x6984


def has_keys(client: ScHsm) -> bool:
    """Are keys on it besides the device's own?"""
    try:
        return any(fid >> 8 == KEY >> 8 and fid != KEY for fid in client.objects())
    except Refused:
        if client.state(SO) == NEVER_INITIALISED:
            return False
        raise


def refused(device: Rig, helper: Rig) -> str | None:
    """Why the portal does not update a device with this helper, as its maker says it; None if it does."""
    other = ScHsm(helper)
    state = other.state(USER)
    if state == BLOCKED:
        return Why.BLOCKED_HELPER.value
    if state in (NEVER_INITIALISED, TRANSPORT) or not other.has_certificates():
        return Why.NO_HELPER.value
    client = ScHsm(device)
    return Why.KEYS.value if has_keys(client) and not forced(device) else None


def forced(device: Rig) -> bool:
    """Is its SO-PIN blocked? The portal counts such an update, unless a newer version is there and no keys are."""
    return ScHsm(device).state(SO) == BLOCKED


def unfinished(device: Rig) -> str | None:
    """What shows that a device is not as it is shipped; None if it is."""
    client = ScHsm(device)
    if (state := client.state(SO)) != NEVER_INITIALISED:
        return f"it is initialised (VERIFY of the SO-PIN answers {state:04X})"
    if not client.has_certificates():
        return "it has no certificate"
    try:
        if (root := root_for(device)) is not None:
            cvc.require_chain(client.certificates(), root)
    except BadCertificate as error:
        return f"its chain of certificates does not verify: {error}"
    return None


UPDATE = OperatorUpdate(
    refused=refused,
    forced=forced,
    steps=(
        "Log in to the maker's portal with the other device and its user PIN; leave that device plugged in.",
        "Choose the device on this rig by its serial number, and start the firmware update.",
        "Wait until the portal has finished. Unplug neither device before that.",
    ),
    unfinished=unfinished,
)
