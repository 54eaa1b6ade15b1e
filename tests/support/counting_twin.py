"""`keyharness twin`, of which the power goes before a chosen command of a client.

    python counting_twin.py CONTROL ARGUMENTS OF `keyharness twin`...

CONTROL is a folder: `cut` holds a number n (0: never), and the twin dies when the nth command APDU since its start
arrives, before the card sees it. So a cut after the answer to a command is the cut before the next one. `count` is
written with the number of commands so far, the fatal one among them. `commands` gets each of the others, a line of hex
digits.

If CONTROL has a file `hold` with the first bytes of a command in hex, the first such command waits: the twin writes
into the FIFO `held`, so that who reads it knows, and goes on when somebody opens the FIFO `go`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from harness.cli.main import main
from harness.twin.server import Server


def counted(control: Path) -> None:
    """Count what is delivered to the card, and die in time."""
    deliver, seen = Server._deliver, [0]
    fatal = int((control / "cut").read_text())
    hold = control / "hold"
    held = [bytes.fromhex(hold.read_text())] if hold.exists() else []
    commands = (control / "commands").open("w", buffering=1)

    def count(self, endpoint, sock, packet):
        seen[0] += 1
        (control / "count").write_text(str(seen[0]))
        if seen[0] == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        commands.write(packet.hex() + "\n")
        if held and packet.startswith(held[0]):
            held.clear()
            (control / "held").write_text("!")
            (control / "go").open().close()
        deliver(self, endpoint, sock, packet)

    Server._deliver = count


if __name__ == "__main__":
    counted(Path(sys.argv[1]))
    main(["twin", *sys.argv[2:]])
