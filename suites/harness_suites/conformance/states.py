"""The named states that cases start from: a key without a PIN, and the same key with one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from fido2.ctap2.base import Info

from harness.api import Rig
from harness_suites.conformance.device import (
    PIN,
    Authenticator,
    not_offered,
)
from harness_suites.conformance.preparation import (
    require,
    require_pin,
    require_reset,
    require_touch,
    require_withheld_touch,
    reset,
    reset_with_pin,
    reset_without_always_uv,
)

Make = Callable[[Rig], None]
MAKERS: Mapping[str, tuple[Make, str | None]] = {
    "blank": (reset_without_always_uv, None),
    "with_pin": (reset_with_pin, PIN),
}
"""State -> the function that brings a key there, and the PIN in force then."""


@dataclass
class Known:
    """Facts about the key on a rig.

    :ivar info: getInfo before any reset.
    :ivar delivered: options of getInfo right after a reset; None until there was one.
    :ivar tries_max: PIN tries after a reset.
    """

    info: Info
    delivered: dict[str, bool] | None = None
    tries_max: int = 8


class States:
    """Bring the keys of a session into states, and skip cases that a rig or its key cannot be asked.

    :param bring: (rig, state, make) brings a key into a state; where states can be copied, `make` is called once.
    """

    def __init__(self, bring: Callable[[str, str, Make], None]):
        self._bring = bring
        self._known: dict[str, Known] = {}

    def bring(self, rig: Rig, state: str, said: Mapping[str, object]) -> Authenticator:
        """Return a rig's key in a state, for the case whose mark says `said`."""
        require_touch(rig)
        if said.get("withheld"):
            require_withheld_touch(rig)
        known = self._look(rig)
        if said.get("any_state") and not _can_reset(known.info):
            rig.power.cycle()
            rig.wait_until_up()
            return Authenticator(rig, None)
        require_reset(known.info)
        self._look_after_reset(rig, known)
        if state == "with_pin":
            require_pin(known.info)
        make, pin = MAKERS[state]
        self._bring(rig.name, state, make)
        authenticator = Authenticator(rig, pin, known.delivered, known.tries_max)
        require(authenticator, said.get("needs"))
        if pin is None and authenticator.info.options.get("alwaysUv") and not said.get("any_state"):
            not_offered("credentials without a PIN: alwaysUv is on as delivered and cannot be switched off")
        return authenticator

    def _look(self, rig: Rig) -> Known:
        if rig.name not in self._known:
            rig.power.on()
            rig.wait_until_up()
            self._known[rig.name] = Known(Authenticator(rig, None).info)
        return self._known[rig.name]

    def _look_after_reset(self, rig: Rig, known: Known) -> None:
        if known.delivered is not None:
            return
        self._bring(rig.name, "delivered", reset)
        key = Authenticator(rig, None)
        known.delivered = dict(key.info.options)
        if "clientPin" in key.info.options:
            known.tries_max = key.client_pin().get_pin_retries()[0]


def _can_reset(info: Info) -> bool:
    try:
        require_reset(info)
    except pytest.skip.Exception:
        return False
    return True
