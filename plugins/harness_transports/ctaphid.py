"""CTAPHID: python-fido2's device on a rig's packets, with a tap below it."""

from __future__ import annotations

from collections.abc import Callable

from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor

from harness.api import KeyGone, Reachable, Tap, TransportKind, wrong_endpoint
from harness_transports.endpoints import Packets

REPORT_BYTES = 64
_INIT, _CANCEL, _KEEPALIVE = 0x86, 0x91, 0xBB
_CBOR, _RESET = 0x90, b"\x07"
"""authenticatorReset (CTAP 2.1, section 6.6) removes the mark of a key without a serial number."""


class TappedHid(CtapHidConnection):
    """A CTAPHID connection with a tap on it (framing: CTAP 2.1, section 11.2.4).

    Marks: `request-sent` after the last packet of a request, `keepalive` with its status, `response` after the last
    packet of a response with its first byte (of CTAPHID_CBOR the CTAP status). INIT and CANCEL are not marked.

    :param before_reset: called before a reset is sent, whichever client sends it.
    """

    def __init__(self, packets: Packets, tap: Tap, before_reset: Callable[[], None]):
        self._packets = packets
        self._tap = tap
        self._before_reset = before_reset
        self._to_send = 0
        self._to_read = 0
        self._command = 0
        self._status: int | None = None

    def write_packet(self, data: bytes) -> None:
        if data[4] & 0x80:
            self._command = data[4]
            self._to_send = int.from_bytes(data[5:7], "big") - (len(data) - 7)
            if data[4] == _CBOR and data[7:8] == _RESET:
                self._before_reset()
        else:
            self._to_send -= len(data) - 5
        self._packets.send(data)
        if self._to_send <= 0 and self._command not in (_INIT, _CANCEL):
            self._tap.mark("request-sent")
            self._to_send = 0

    def read_packet(self) -> bytes:
        packet = self._packets.receive()
        if packet[4] == _KEEPALIVE:
            self._tap.mark("keepalive", packet[7])
            return packet
        if packet[4] & 0x80:
            self._to_read = int.from_bytes(packet[5:7], "big") - (len(packet) - 7)
            self._status = packet[7]
            done = packet[4] != _INIT and self._to_read <= 0
        else:
            self._to_read -= len(packet) - 5
            done = self._to_read <= 0
        if done:
            self._tap.mark("response", self._status)
        return packet

    def close(self) -> None:
        self._packets.close()


def _tapped(rig: Reachable, endpoint: object) -> TappedHid:
    if not isinstance(endpoint, Packets):
        raise wrong_endpoint(rig, "ctaphid", endpoint, "send(packet), receive() and close()")

    def before_reset() -> None:
        if rig.transports.guard is not None:
            rig.transports.guard.expect_reset()

    return TappedHid(endpoint, rig.tap, before_reset)


def _device(rig: Reachable, endpoint: object) -> CtapHidDevice:
    connection = _tapped(rig, endpoint)
    shown = rig.transports.identity()
    descriptor = HidDescriptor(
        shown.place,
        shown.vendor_id,
        shown.product_id,
        REPORT_BYTES,
        REPORT_BYTES,
        shown.product,
        shown.serial,
    )
    try:
        return CtapHidDevice(descriptor, connection)
    except OSError as error:
        raise KeyGone(f'rig "{rig.name}": {error.strerror}') from error


CTAPHID = TransportKind(
    "ctaphid",
    "CTAPHID: python-fido2's CtapHidDevice",
    _device,
    # Usage page F1D0 (CTAP 2.1, section 11.2.8.1).
    hid_descriptor=bytes.fromhex("06d0f1"),
)
CTAPHID_PACKETS = TransportKind(
    "ctaphid-packets", "CTAPHID's bare 64-byte reports: CtapHidConnection", _tapped, endpoint="ctaphid"
)


def ctaphid(rig: Reachable) -> CtapHidDevice:
    """A new CTAPHID channel, tapped.

    :raises KeyGone: the key is not there.
    :raises RigError: this rig has no CTAPHID.
    """
    return rig.transports.open(CTAPHID)


def ctaphid_packets(rig: Reachable) -> CtapHidConnection:
    """The bare 64-byte reports, tapped, for a client that frames them itself; errors as `ctaphid`."""
    return rig.transports.open(CTAPHID_PACKETS)
