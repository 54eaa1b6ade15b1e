"""Stateful commands: when their 'next' commands may still come (CTAP 2.1, section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_fido2.twin.context import Context

if TYPE_CHECKING:
    from harness_fido2.twin.pinproto import Token

NEXT_US = 30_000_000
"""How long after the one before the next may be asked for (6.3)."""


class CommandSequence:
    """One sequence of commands: on its channel, without long pauses, and no longer than its token lives."""

    def __init__(self, app: Context, token: Token | None):
        self._app = app
        self._channel = app.platform.channel()
        self._token = token
        self._serial = token.serial if token else 0
        self._at_us = app.platform.now_us

    @property
    def is_here(self) -> bool:
        """Whether the message at hand came on the channel of the first one."""
        return self._channel == self._app.platform.channel()

    @property
    def is_over(self) -> bool:
        late = self._app.platform.now_us - self._at_us > NEXT_US
        return late or (self._token is not None and not self._token.still(self._serial))

    def step(self) -> None:
        """Start the timer anew."""
        self._at_us = self._app.platform.now_us
