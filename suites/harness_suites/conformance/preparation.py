"""Prepare a key for a case: what a rig and its key must offer, and the resets that cases start from."""

from __future__ import annotations

from fido2.ctap2 import Config, Ctap2
from fido2.ctap2.base import Info
from fido2.ctap2.pin import ClientPin

from harness.api import Rig
from harness_fido2.reset import after_power_up, blamed_on_a_late_host
from harness_suites.conformance.device import (
    PIN,
    PIN_SPARE,
    Authenticator,
    not_offered,
    unless_refused,
)
from harness_transports.ctaphid import ctaphid


def require(authenticator: Authenticator, needs: object) -> None:
    """Skip unless getInfo offers these features: a name, a tuple of names, or None."""
    for feature in needs if isinstance(needs, tuple) else filter(None, [needs]):
        if not authenticator.has(str(feature)):
            not_offered(f"getInfo does not offer {feature}")


def require_touch(rig: Rig) -> None:
    """Skip on a rig that has nothing that touches its key."""
    if not rig.touch.can_touch:
        not_offered(f"a rig that touches its key; {rig.name} has nothing that does")


def require_withheld_touch(rig: Rig) -> None:
    """Skip on a rig whose key takes every request as touched, as some emulators do."""
    if not rig.touch.can_withhold:
        not_offered(f"a rig that can withhold a touch; on {rig.name} each request counts as touched")


def require_reset(info: Info) -> None:
    """Skip where this rig cannot reset the key: a long touch is needed, or another transport (CTAP 2.2, 6.4)."""
    if info.long_touch_for_reset:
        not_offered("a reset with a short touch: longTouchForReset")
    if info.transports_for_reset and "usb" not in info.transports_for_reset:
        not_offered(f"a reset over USB: transportsForReset is {', '.join(info.transports_for_reset)}")


def require_pin(info: Info) -> None:
    """Skip unless PIN can be set: clientPin is offered, and PIN is within the limits of its length."""
    if "clientPin" not in info.options:
        not_offered("getInfo does not offer clientPin")
    if not info.min_pin_length <= len(PIN) <= info.max_pin_length - PIN_SPARE:
        limits = f"minPINLength {info.min_pin_length}, maxPINLength {info.max_pin_length}"
        not_offered(f"a PIN of {len(PIN)} characters: {limits}")


def reset(rig: Rig) -> None:
    """Bring a key into the state of a new one: authenticatorReset right after power-up.

    :raises HostLate: this host was too slow for that, each time that it was tried.
    """

    def ask() -> None:
        ctap = Ctap2(ctaphid(rig))
        with blamed_on_a_late_host(rig), rig.touch.pressing():
            ctap.reset()

    after_power_up(rig, ask)


def reset_without_always_uv(rig: Rig) -> None:
    """Reset a key, and switch alwaysUv off if it is on as delivered and the key allows that (6.11.2)."""
    reset(rig)
    ctap = Ctap2(ctaphid(rig))
    if ctap.info.options.get("alwaysUv") and ctap.info.options.get("authnrCfg"):
        unless_refused(lambda: Config(ctap).toggle_always_uv())


def reset_with_pin(rig: Rig) -> None:
    """Reset a key and set PIN."""
    reset_without_always_uv(rig)
    ClientPin(Ctap2(ctaphid(rig))).set_pin(PIN)
