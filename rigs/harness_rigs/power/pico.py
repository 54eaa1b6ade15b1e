"""Yubico's Pico rig: a microcontroller with USB ports that it switches and touches, on HTTP.

    on      GET /usb<N>/power/on
    off     GET /usb<N>/power/off
    (touch  GET /usb<N>/touch/on and off: touch/pico.py)

Any status below 400 means done; the state cannot be read. `keyharness serve` offers rigs the same way.
For a cut the connection is opened beforehand, and the cutter writes the request to it.
Source: Yubico/python-fido2 at d1fd711, tests/device/__init__.py (PicoController).
"""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager, nullcontext
from urllib.parse import urlsplit

from harness.api import ActuatorRequest, CutAction, PowerDriver, PowerSwitch, Write
from harness_rigs.power.board_errors import Unexpected
from harness_rigs.power.pico_port import PicoPort, shown_url
from harness_rigs.power.switch import Channel, SwitchOptions, channel_switch

ANSWER_S = 5.0


class PicoOptions(PicoPort, SwitchOptions):
    """`[rig.power]` of a Pico rig."""


class Pico(Channel):
    """The power or the touch of one port of a Pico rig.

    :param thing: "power" or "touch".
    """

    driver = "pico"

    def __init__(self, url: str, usb: int, thing: str):
        parts = urlsplit(url)
        self._host, self._at = parts.hostname or "", parts.port or 80
        self._path = f"{parts.path}/usb{usb}/{thing}"
        self.number, self.part = usb, thing
        # The path may be a secret, and so may be what stands before an @: messages are kept.
        self.node = shown_url(url)
        self.board = f"board {self.node}"
        self.name = f"{thing} of usb {usb} at url {self.node}"
        self._cut_handle: socket.socket | None = None

    def opened(self) -> AbstractContextManager[None]:
        return nullcontext()

    def set(self, active: bool) -> None:
        with self._connected() as link:
            link.sendall(self._request(active))
            self._answer(link)

    def read(self) -> None:
        return None

    def cut_action(self, active: bool) -> CutAction | None:
        self._drop()
        self._cut_handle = self._connected()
        return Write(self._cut_handle.fileno(), self._request(active))

    def close_cut_action(self) -> None:
        self._drop()

    def after_cut(self) -> None:
        if self._cut_handle is not None:
            self._answer(self._cut_handle)

    def _drop(self) -> None:
        if self._cut_handle is not None:
            self._cut_handle.close()
            self._cut_handle = None

    def _connected(self) -> socket.socket:
        link = socket.create_connection((self._host, self._at), timeout=ANSWER_S)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def _request(self, active: bool) -> bytes:
        word = "on" if active else "off"
        host = self._host if self._at == 80 else f"{self._host}:{self._at}"
        lines = (f"GET {self._path}/{word} HTTP/1.1", f"Host: {host}", "Connection: close", "", "")
        return "\r\n".join(lines).encode()

    def _answer(self, link: socket.socket) -> None:
        from http.client import HTTPException, HTTPResponse

        answer = HTTPResponse(link, method="GET")
        try:
            answer.begin()
            said = answer.read(200)
        except HTTPException as error:
            raise Unexpected(f"{type(error).__name__}: {error}", "an answer in HTTP") from None
        finally:
            answer.close()
        if answer.status >= 400:
            raise Unexpected(
                f"{answer.status} {answer.reason}: {said.decode('ascii', 'replace').strip()}",
                "200, for a port that it has",
                "see `url` and `usb`",
            )


def _make(request: ActuatorRequest) -> PowerSwitch:
    options: PicoOptions = request.options
    channel = Pico(options.url, options.usb, "power")
    return channel_switch(request, channel)


def _channel(options: PicoOptions) -> str:
    return options.shown


PICO = PowerDriver("pico", "a port of a Pico rig (HTTP)", PicoOptions, _make, _channel)
