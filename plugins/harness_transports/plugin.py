"""What this package offers to Keyharness."""

from __future__ import annotations

from typing import Any

from harness.api import TransportKind, hookimpl


@hookimpl
def keyharness_transports() -> list[TransportKind[Any]]:
    from harness_transports.card import CARD
    from harness_transports.ctaphid import CTAPHID, CTAPHID_PACKETS
    from harness_transports.dfu import DFU
    from harness_transports.feature import HID_FEATURE
    from harness_transports.mboot import MBOOT
    from harness_transports.serial import SERIAL

    return [CTAPHID, CTAPHID_PACKETS, CARD, SERIAL, HID_FEATURE, DFU, MBOOT]
