"""Drive a rig of `keyharness serve` over HTTP, and its key by python-fido2; runs in the guest.

    module support.guest.serve_client BENCH PORT

Writes a line for each thing that was seen. The paths are those that python-fido2's own device tests ask of a Pico rig.
"""

from __future__ import annotations

import os
import signal
import sys
import urllib.request

from harness.host.host import here
from harness.host.uevents import wait_until
from support.guest.agent import keyharness
from support.guest.glitch_client import opened, register
from support.guest.plugged import DEVICES, LIMIT_S


def served(bench: str) -> tuple[int, str]:
    """A process that serves the first rig of a bench; its number and the rig's address."""
    out, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writer, 1)
        os._exit(keyharness(["serve", "--bench", bench]))
    os.close(writer)
    lines = []
    for line in os.fdopen(out):
        lines.append(line)
        if line.startswith("ends by"):
            return pid, lines[0].split()[0]
    raise SystemExit("".join(lines))


def main(bench: str, port: str) -> None:
    pid, address = served(bench)
    print("served at", address, flush=True)

    def ask(path: str) -> None:
        with urllib.request.urlopen(f"{address.rstrip('/')}/{path}", timeout=LIMIT_S) as answer:
            answer.read()

    try:
        first = (DEVICES / port / "devnum").read_text()
        ask("power/off")
        gone = wait_until(here(), lambda: not (DEVICES / port).exists() or None, LIMIT_S)
        print("gone", gone, flush=True)
        ask("power/on")
        key = opened(port)
        print("enumerated anew", (DEVICES / port / "devnum").read_text() != first, flush=True)
        ask("touch/off")
        ask("touch/on")
        register(key)
        print("registered", flush=True)
        key.device.close()
    finally:
        os.kill(pid, signal.SIGTERM)
        print("served until told, code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
