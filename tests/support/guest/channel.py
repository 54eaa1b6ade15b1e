"""Commands to the guest's agent, from the host: frames of four bytes of length, then JSON (agent.py)."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from support.limits import HUNG_S


class GuestDied(Exception):
    """The machine ended, or does not answer: what it was doing, and the end of what it said."""


@dataclass(frozen=True)
class Done:
    """A command that has ended in the guest."""

    argv: tuple[str, ...]
    code: int
    out: str


class Channel:
    """The stream to the agent.

    :param last_words: the end of what the machine wrote, for errors.
    :param limit_s: how long the guest may be silent. Once it was, later commands fail at once.
    """

    def __init__(self, sock: socket.socket, last_words: Callable[[], str], limit_s: float = HUNG_S):
        self._sock, self._last_words = sock, last_words
        self._sock.settimeout(limit_s)
        self._hung_in = ""

    def wait_until_ready(self) -> None:
        """Wait for the agent's first frame.

        :raises GuestDied: it did not come.
        """
        self._frame("while it started", "")

    def run(self, argv: tuple[str, ...], cwd: str, write: Callable[[str], None]) -> Done:
        """Send a command and wait for its end.

        :raises GuestDied: the machine ended, or said nothing until the limit; names the command.
        """
        data = json.dumps({"argv": argv, "cwd": cwd}).encode()
        doing, out = f"in: {' '.join(argv)}", ""
        if self._hung_in:
            raise GuestDied(f"the virtual machine is not asked again: it ended or hung {self._hung_in}")
        self._send(len(data).to_bytes(4, "big") + data, doing)
        while True:
            frame = self._frame(doing, out)
            out += frame.get("out", "")
            write(frame.get("out", ""))
            if "code" in frame:
                return Done(argv, frame["code"], out)

    def close(self) -> None:
        self._sock.close()

    def _send(self, data: bytes, doing: str) -> None:
        try:
            self._sock.sendall(data)
        except OSError:
            raise self._died(doing, "") from None

    def _frame(self, doing: str, out: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self._exactly(int.from_bytes(self._exactly(4, doing, out), "big"), doing, out)
        )
        return found

    def _exactly(self, size: int, doing: str, out: str) -> bytes:
        got = b""
        while len(got) < size:
            try:
                piece = self._sock.recv(size - len(got))
            except OSError:
                # The limit has passed, or the other end is gone.
                piece = b""
            if not piece:
                raise self._died(doing, out)
            got += piece
        return got

    def _died(self, doing: str, out: str) -> GuestDied:
        self._hung_in = doing
        said = f"\nit had written:\n{out}" if out else ""
        return GuestDied(f"the virtual machine ended or does not answer, {doing}{said}\n{self._last_words()}")
