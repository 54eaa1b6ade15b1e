"""HID feature reports: a handle that gets and sends reports of N bytes, with a tap on it."""

from __future__ import annotations

from collections.abc import Callable

from harness.api import Reachable, Tap, TransportKind, wrong_endpoint
from harness_transports.endpoints import FeatureReports


class FeatureHandle:
    """Marks: `request-sent` after each report to the key, `response` with the first answer that is read after it.

    Whether a report is the answer yet, and which byte of it is a status, only its protocol knows: `get` is told.
    """

    def __init__(self, reports: FeatureReports, tap: Tap):
        self._reports, self._tap = reports, tap
        self._pending = False

    def send(self, report: bytes) -> None:
        """SET_REPORT(Feature)."""
        self._tap.saw(">", report)
        self._reports.send(report)
        self._tap.mark("request-sent")
        self._pending = True

    def get(self, status: Callable[[bytes], int | None] | None = None) -> bytes:
        """GET_REPORT(Feature).

        :param status: the status of the answer that a report is; None: the key is not ready, and nothing is marked.
            Without it the first report that is read is the answer, and has no status.
        """
        report = self._reports.get()
        if self._pending:
            found = status(report) if status is not None else None
            if status is None or found is not None:
                self._pending = False
                self._tap.saw("<", report)
                self._tap.mark("response", found)
        return report


def _handle(rig: Reachable, endpoint: object) -> FeatureHandle:
    if not isinstance(endpoint, FeatureReports):
        raise wrong_endpoint(rig, "hid-feature", endpoint, "send(report) and get()")
    return FeatureHandle(endpoint, rig.tap)


HID_FEATURE = TransportKind("hid-feature", "HID feature reports", _handle)


def hid_feature(rig: Reachable) -> FeatureHandle:
    """A new handle for the key's HID feature reports, tapped; errors as `ctaphid`."""
    return rig.transports.open(HID_FEATURE)
