"""Connect to an emulator by the transport that the bench names."""

from __future__ import annotations

import socket
from typing import Literal

from harness.api import RigError
from harness_rigs.emulator.frame_link import FrameLink
from harness_rigs.emulator.link import Link, TcpLink, UdpLink, VpcdLink
from harness_rigs.emulator.options import EmulatorOptions
from harness_rigs.emulator.pcsc import PcscLink, Reader
from harness_rigs.emulator.process import Process, ProcessHost


class Connector:
    """Makes the link of each boot, and keeps what outlives a boot: the socket for its answers, the reader.

    :param host: where the rig's emulators run.
    """

    def __init__(self, rig: str, options: EmulatorOptions, host: ProcessHost):
        self._rig, self._options, self._host = rig, options, host
        self._inbox: socket.socket | None = None
        self._reader: Reader | None = None

    @property
    def reader(self) -> Reader:
        """Transport pcsc: the reader that the card is in.

        :raises RigError: no pyscard, no daemon, no such reader.
        """
        if self._reader is None:
            assert self._options.reader is not None
            self._reader = Reader(self._options.reader)
        return self._reader

    def prepare(self) -> None:
        """Open what has to be there before the emulator starts.

        :raises RigError: a port is taken, or the reader has a card already.
        """
        if self._options.transport == "pcsc":
            self._require_empty_reader()
        elif self._options.transport == "ctaphid-udp":
            self._open_inbox("udp", self._options.answer_port)
        elif self._options.transport == "vpcd":
            self._open_inbox("listen", self._options.main_port)

    def link(self, process: Process) -> Link:
        """The link to one boot; not ready yet."""
        if self._options.transport == "pcsc":
            return PcscLink(self._host, process, self.reader)
        if self._options.transport == "ctaphid-tcp":
            return TcpLink(self._host, process, self._options.main_port)
        if self._options.transport in ("feature-tcp", "mboot-tcp"):
            return FrameLink(self._host, process, self._options.main_port, self._options.answer_s)
        assert self._inbox is not None, "prepare() comes first"
        if self._options.transport == "ctaphid-udp":
            return UdpLink(self._host, process, self._options.main_port, self._inbox)
        return VpcdLink(self._host, process, self._inbox)

    def _require_empty_reader(self) -> None:
        if not self.reader.is_empty():
            raise RigError(
                f'reader "{self.reader.name}"',
                found="a card before the emulator was started",
                expected="an empty reader, which the emulator's card is put into",
                mend="take the card out, or end the program that plays it",
            )

    def _open_inbox(self, kind: Literal["udp", "listen"], port: int) -> None:
        if self._inbox is not None:
            return
        try:
            self._inbox = self._host.socket(kind, port)
        except OSError as error:
            raise RigError(
                f'rig "{self._rig}": port {port} of this host',
                found=error.strerror,
                expected="a port that is free",
                mend="end what uses it, or name another port",
            ) from None

    def close(self) -> None:
        if self._inbox is not None:
            self._inbox.close()
        if self._reader is not None:
            self._reader.close()
