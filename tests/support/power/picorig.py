"""A Pico rig: an HTTP server on loopback with ports and fingers."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class PicoRig:
    """:ivar state: by path, e.g. "/usb1/power"; :ivar heard: every path that was asked for."""

    def __init__(self, ports: int = 2, prefix: str = ""):
        self.state = {
            f"{prefix}/usb{n}/{what}": what == "power"
            for n in range(1, ports + 1)
            for what in ("power", "touch")
        }
        self.heard: list[str] = []
        self.changed = threading.Condition()
        self.garbage = False
        rig = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                with rig.changed:
                    rig.heard.append(self.path)
                    rig.changed.notify_all()
                    if rig.garbage:
                        self.wfile.write(b"\x13\x37\x42\r\n\r\n")
                        return
                    what, _, word = self.path.rpartition("/")
                    good = what in rig.state and word in ("on", "off")
                    if good:
                        rig.state[what] = word == "on"
                    body = b"ok" if good else b"no such port"
                    self.send_response(200 if good else 404)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{prefix}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
