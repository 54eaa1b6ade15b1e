"""HID reports of an emulator besides CTAPHID: feature reports, and the reports of a bootloader."""

from __future__ import annotations

import errno

from harness_rigs.emulator.emulated_key import EmulatedKey
from harness_rigs.emulator.frame_link import GET_REPORT


class EmulatorFeature:
    """The raw endpoint "hid-feature", for as long as this boot lasts."""

    def __init__(self, key: EmulatedKey):
        self._key, self._boot = key, key.boots

    def send(self, report: bytes) -> None:
        """SET_REPORT(Feature). :raises OSError: the emulator has gone; EINVAL: the report is empty."""
        if not report:
            raise OSError(errno.EINVAL, "a report has at least one byte")
        self._key.link(self._boot).send(report)

    def get(self) -> bytes:
        """GET_REPORT(Feature). :raises OSError: the emulator has gone, or gave no answer within the rig's limit."""
        self._key.link(self._boot).send(GET_REPORT)
        return self._key.receive(self._boot)


class EmulatorReports:
    """The raw endpoint "mboot": input and output reports behind their numbers, for as long as this boot lasts."""

    def __init__(self, key: EmulatedKey):
        self._key, self._boot = key, key.boots

    def send(self, data: bytes) -> None:
        self._key.link(self._boot).send(data)

    def receive(self) -> bytes:
        """:raises OSError: the emulator has gone, or gave no answer within the rig's limit."""
        return self._key.receive(self._boot)

    def close(self) -> None:
        """The link belongs to the boot."""
