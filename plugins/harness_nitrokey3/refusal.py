"""How an update ends that does not end with the new version running."""

from __future__ import annotations

from harness.base.errors import KeyFault


class Refusal(KeyFault):
    """An update that was not carried out, with nothing lost on the way.

    :ivar by: "host" for a check before anything was sent, "key" for a refusal of the bootloader.
    """

    def __init__(self, what: str, by: str):
        super().__init__(what)
        self.by = by


class SlowBoot(KeyFault):
    """The updater gave up waiting for the first boot, and the key came back after that."""
