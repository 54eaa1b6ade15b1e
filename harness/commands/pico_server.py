"""`keyharness serve`: rigs by the HTTP paths of Yubico's Pico rig, for programs that drive one.

    GET /SECRET/                        what there is, as JSON
    GET /SECRET/usbN/power/on|off
    GET /SECRET/usbN/touch/on|off

A GET that does something can be sent by any page that a browser shows, so there is a secret in the path, only
the loopback interface is served, and a request that names another host (DNS rebinding) or comes from another
site's page is refused. The paths are those that python-fido2's tests/device/__init__.py asks for.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TextIO

from harness.base.errors import CallerError, KeyharnessError
from harness.commands.rig_thread import Hand
from harness.run.session import Session

HOST = "127.0.0.1"
HELD_S = 10.0
"""A touch ends after so long, if nobody has ended it: as long as python-fido2's own timer gives it."""
DONE_LIMIT_S = 60.0
"""Switching has its own limits in the drivers; this one only keeps a request from waiting for ever."""
REQUEST_LIMIT_S = 5.0
_PATH = re.compile(r"/usb(?P<number>[0-9]{1,4})/(?P<what>power|touch)/(?P<how>on|off)")


class Offering(ThreadingHTTPServer):
    """The server, with its rigs in hand.

    :param hands: by number, from 1.
    :raises OSError: the port is taken.
    """

    daemon_threads = True
    block_on_close = False
    # Two of these must not share a port, whoever comes later.
    allow_reuse_port = False

    def __init__(self, port: int, hands: Mapping[int, Hand], log: TextIO):
        super().__init__((HOST, port), _Handler)
        self.hands, self.log = hands, log
        self.prefix = f"/{secrets.token_hex(16)}"

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}{self.prefix}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no event; anything else is a bug, and is said to be one."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.log.write(f"a request failed: {type(error).__name__}: {error}\n")


class _Refused(Exception):
    def __init__(self, code: int, why: str):
        super().__init__(why)
        self.code, self.why = code, why


class _Handler(BaseHTTPRequestHandler):
    server: Offering
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_LIMIT_S
    server_version, sys_version = "keyharness", ""

    def do_GET(self) -> None:
        try:
            self._refuse_strangers()
            body = self._done(self.path.removeprefix(self.server.prefix))
        except _Refused as refused:
            self._answer(refused.code, {"error": refused.why})
        except TimeoutError:
            self._answer(504, {"error": "the rig has not done it yet"})
        except KeyharnessError as error:
            # 409: a wish that this rig does not grant; 502: a rig that does not do what it is asked.
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
            return {"rigs": {f"usb{number}": _state(hand) for number, hand in self.server.hands.items()}}
        match = _PATH.fullmatch(path)
        hand = self.server.hands.get(int(match["number"])) if match else None
        if match is None or hand is None:
            there = ", ".join(f"usb{number}" for number in self.server.hands)
            raise _Refused(404, f"there are: {there}, each with power/on, power/off, touch/on, touch/off")
        on = match["how"] == "on"
        do: Callable[[], None]
        if match["what"] == "power":
            do = lambda: hand.power(on)  # noqa: E731
        else:
            do = hand.press if on else hand.release
        hand.ask(do, DONE_LIMIT_S)
        self.server.log.write(f'rig "{hand.rig.name}": {match["what"]} {match["how"]}\n')
        self.server.log.flush()
        return _state(hand)

    def _answer(self, code: int, body: Mapping[str, Any]) -> None:
        text = json.dumps(body, sort_keys=True).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """What was done is said where it is done; who was refused must not fill a log."""


def _state(hand: Hand) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        return {
            "rig": hand.rig.name,
            "power": "on" if hand.rig.power.is_on else "off",
            "touch": "on" if hand.touched else "off",
        }

    return hand.ask(look, DONE_LIMIT_S)


def serve(session: Session, port: int, out: TextIO, held_s: float = HELD_S) -> int:
    """Offer rigs until SIGINT or SIGTERM; then put their power back. Returns 0.

    :param port: 0 is any that is free.
    :raises CallerError: the port is taken.
    :raises RigError: one of the rigs is in use.
    """
    rigs = [session.rig(name) for name in session.rig_names]
    for rig in rigs:
        session.claims.take(rig, write=False)
    hands: dict[int, Hand] = {}
    try:
        server = Offering(port, hands, out)
    except OSError as error:
        raise CallerError(
            "--port",
            found=f"{port}: {error.strerror}",
            expected="a port that is free",
            mend="--port 0 finds one",
        ) from None
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        hands.update({number: Hand(rig, held_s) for number, rig in enumerate(rigs, 1)})
        for number, rig in enumerate(rigs, 1):
            out.write(f'  {server.url}/usb{number}   rig "{rig.name}"\n')
        out.write(f"python-fido2's device tests: --controller {server.url} --pico-port 1\n")
        out.write("ends by Ctrl-C, and puts the power back as it was\n")
        out.flush()
        server.serve_forever()
    except KeyboardInterrupt:
        out.write("ended\n")
    finally:
        server.server_close()
        for hand in hands.values():
            hand.close(DONE_LIMIT_S)
        signal.signal(signal.SIGTERM, before)
    return 0
