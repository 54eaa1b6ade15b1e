"""A twin that is a HID device of its own host, and clients that use it; runs in the guest.

    module support.guest.uhid_client COMMAND ...

Starts `keyharness twin --uhid`, waits for its node, and runs each command (a line for the shell) with the path of the
node as $NODE. Then the twin is killed, and its node has to go.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from harness.host.host import here
from harness.host.uevents import wait_until
from support.guest.agent import keyharness
from support.guest.plugged import LIMIT_S

OPTIONS = ("--uhid", "--touch", "always", "--state", "uhid-state")


def node() -> Path | None:
    """The node of the device that this host's uhid has; None while there is none."""
    found = Path("/sys/devices/virtual/misc/uhid").glob("*/hidraw/*")
    return next((Path("/dev") / one.name for one in found if (Path("/dev") / one.name).exists()), None)


def main(*commands: str) -> None:
    twin = os.fork()
    if twin == 0:
        os._exit(keyharness(["twin", "nitrokey3-mini", *OPTIONS]))
    code = 1
    try:
        shown = wait_until(here(), node, LIMIT_S)
        print("node", shown, flush=True)
        for command in commands:
            environment = {**os.environ, "NODE": str(shown)}
            code = subprocess.run(["sh", "-ec", command], env=environment, check=False).returncode
            if code:
                break
    finally:
        os.kill(twin, signal.SIGKILL)
        os.waitpid(twin, 0)
    print("gone", wait_until(here(), lambda: node() is None or None, LIMIT_S), flush=True)
    sys.exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
