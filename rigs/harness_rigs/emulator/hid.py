"""The CTAPHID interface of an emulator."""

from __future__ import annotations

from harness_rigs.emulator.emulated_key import EmulatedKey


class EmulatorHid:
    """The raw endpoint "ctaphid": 64-byte reports, for as long as this boot lasts."""

    def __init__(self, key: EmulatedKey):
        self._key, self._boot = key, key.boots

    def send(self, data: bytes) -> None:
        self._key.link(self._boot).send(data)
        self._key.touch.sent(data)

    def receive(self) -> bytes:
        packet = self._key.receive(self._boot)
        self._key.touch.received(packet)
        return packet

    def close(self) -> None:
        """The link belongs to the boot."""
