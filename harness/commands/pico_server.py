"""`keyharness serve`: serve rigs over HTTP, with the paths of Yubico's Pico rig.

    GET /SECRET/                        the rigs, as JSON
    GET /SECRET/usbN/power/on|off
    GET /SECRET/usbN/touch/on|off

Any page in a browser can send a GET request. So the path has a secret in it, the server listens on the loopback
interface only, and it refuses a request that names another host (DNS rebinding) or comes from a page of another site.
The paths are those that python-fido2's tests/device/__init__.py asks for.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TextIO

from harness.base.errors import CallerError, KeyharnessError
from harness.commands.rig_thread import RigThread
from harness.model.rig import Rig
from harness.run.session import Session

HOST = "127.0.0.1"
HELD_S = 10.0
"""Seconds after which a touch ends by itself: as long as python-fido2's own timer."""
DONE_LIMIT_S = 60.0
"""Limit of a request. The drivers have limits of their own; this one only keeps a request from waiting for ever."""
PROOF_LIMIT_S = 3.0
"""How long an answer to `power/on` waits until the key has said who it is. A program that drives a Pico rig waits 5 s
for it, and talks to the key as soon as it has it."""
REQUEST_LIMIT_S = 5.0
"""Limit from the moment that a request may come to the end of its header, however slowly it drips in."""
_PATH = re.compile(r"/usb(?P<number>[0-9]{1,4})/(?P<what>power|touch)/(?P<how>on|off)")


class PicoServer(ThreadingHTTPServer):
    """The HTTP server.

    :param threads: the rigs by number, from 1.
    :param request_limit_s: limit of a request's header, in seconds.
    :raises OSError: the port is taken.
    """

    daemon_threads = True
    block_on_close = False
    # With SO_REUSEPORT a second server would silently get half of the requests.
    allow_reuse_port = False

    def __init__(
        self,
        port: int,
        threads: Mapping[int, RigThread],
        log: TextIO,
        request_limit_s: float = REQUEST_LIMIT_S,
    ):
        super().__init__((HOST, port), _Handler)
        self.request_limit_s = request_limit_s
        self.threads, self.log = threads, log
        self.prefix = f"/{secrets.token_hex(16)}"

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}{self.prefix}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that hangs up; write down any other error, which is a bug."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.log.write(f"a request failed: {type(error).__name__}: {error}\n")


class _Refused(Exception):
    def __init__(self, code: int, why: str):
        super().__init__(why)
        self.code, self.why = code, why


class _Handler(BaseHTTPRequestHandler):
    server: PicoServer
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_LIMIT_S
    server_version, sys_version = "keyharness", ""
    _limit: threading.Timer | None = None

    def handle_one_request(self) -> None:
        """Read and answer one request. A limit of each read alone would let a client drip for ever."""
        self._limit = threading.Timer(self.server.request_limit_s, self._cut_off)
        self._limit.daemon = True
        self._limit.start()
        try:
            super().handle_one_request()
        finally:
            self._limit.cancel()

    def _cut_off(self) -> None:
        # The client may have gone meanwhile.
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        if self._limit is not None:
            # The header is here. What a rig has to do has limits of its own.
            self._limit.cancel()
        try:
            self._refuse_strangers()
            body = self._done(self.path.removeprefix(self.server.prefix))
        except _Refused as refused:
            self._answer(refused.code, {"error": refused.why})
        except TimeoutError:
            self._answer(504, {"error": "the rig has not done it yet"})
        except KeyharnessError as error:
            # 409: the rig does not allow this; 502: the rig failed.
            self._answer(409 if isinstance(error, CallerError) else 502, {"error": str(error)})
        else:
            self._answer(200, body)

    def _refuse_strangers(self) -> None:
        port = self.server.server_port
        hosts = [f"{HOST}:{port}", f"localhost:{port}"]
        if self.headers.get_all("Host", []) not in [[host] for host in hosts]:
            raise _Refused(421, "this is not the host that was asked for")
        origin = self.headers.get("Origin")
        site = self.headers.get("Sec-Fetch-Site", "none")
        if origin not in (None, *(f"http://{host}" for host in hosts)) or site not in ("none", "same-origin"):
            raise _Refused(403, "pages of other sites are not served")
        head = self.path[: len(self.server.prefix)]
        if not hmac.compare_digest(head.encode(), self.server.prefix.encode()):
            raise _Refused(404, "nothing is here")

    def _done(self, path: str) -> dict[str, Any]:
        if path in ("", "/"):
            return {
                "rigs": {f"usb{number}": _state(thread) for number, thread in self.server.threads.items()}
            }
        match = _PATH.fullmatch(path)
        thread = self.server.threads.get(int(match["number"])) if match else None
        if match is None or thread is None:
            there = ", ".join(f"usb{number}" for number in self.server.threads)
            raise _Refused(404, f"there are: {there}, each with power/on, power/off, touch/on, touch/off")
        on = match["how"] == "on"
        do: Callable[[], None]
        if match["what"] == "power":
            do = lambda: thread.power(on)  # noqa: E731
        else:
            do = thread.press if on else thread.release
        thread.ask(do, DONE_LIMIT_S)
        self.server.log.write(f'rig "{thread.rig.name}": {match["what"]} {match["how"]}\n')
        self.server.log.flush()
        state = _state(thread)
        if match["what"] == "power" and on:
            with suppress(TimeoutError):
                thread.ask(thread.ask_key, PROOF_LIMIT_S)
        return state

    def _answer(self, code: int, body: Mapping[str, Any]) -> None:
        text = json.dumps(body, sort_keys=True).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: actions are logged where they happen, and refused requests must not fill the log."""


def _state(thread: RigThread) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        return {
            "rig": thread.rig.name,
            "power": "on" if thread.rig.power.is_on else "off",
            "touch": "on" if thread.touched else "off",
        }

    return thread.ask(look, DONE_LIMIT_S)


def _prove(session: Session, rig: Rig) -> None:
    """Prove that the key on a rig is the one that the bench names. An emulator's key is its files: it is not asked."""
    if rig.evidence_kind == "hardware":
        session.claims.prove(rig)


def serve(session: Session, port: int, out: TextIO, held_s: float = HELD_S) -> int:
    """Give rigs power and serve them until SIGINT or SIGTERM; then put their power back. Return 0.

    :param port: 0 means any free port.
    :raises CallerError: the port is taken.
    :raises RigError: one of the rigs is in use, does not switch on, or has another key in it than the bench names.
    """
    rigs = [session.rig(name) for name in session.rig_names]
    for rig in rigs:
        session.claims.take(rig, write=False)
    threads: dict[int, RigThread] = {}
    try:
        server = PicoServer(port, threads, out)
    except OSError as error:
        raise CallerError(
            "--port",
            found=f"{port}: {error.strerror}",
            expected="a free port",
            mend="--port 0 finds one",
        ) from None
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for number, rig in enumerate(rigs, 1):
            threads[number] = RigThread(rig, held_s, partial(_prove, session, rig))
        for thread in threads.values():
            # A program that drives a Pico rig looks for the key first, and switches later.
            thread.ask(thread.give_power, DONE_LIMIT_S)
        for number, rig in enumerate(rigs, 1):
            out.write(f'  {server.url}/usb{number}   rig "{rig.name}": {rig.reached_by or "on USB"}\n')
        if (
            first := next((number for number, rig in enumerate(rigs, 1) if not rig.reached_by), None)
        ) is not None:
            out.write(
                "python-fido2's device tests, in a checkout of it: "
                f"python -m pytest tests/device --controller {server.url} --pico-port {first}\n"
            )
        out.write("ends by Ctrl-C, and puts the power back as it was\n")
        out.flush()
        server.serve_forever()
    except KeyboardInterrupt:
        out.write("ended\n")
    finally:
        server.server_close()
        for thread in threads.values():
            thread.close(DONE_LIMIT_S)
        signal.signal(signal.SIGTERM, before)
    return 0
