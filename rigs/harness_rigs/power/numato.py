"""Numato Lab USB relay modules: text on a serial port (CDC-ACM, any baud), ended by CR, answered by a prompt.

    on      "relay on X" CR      -> the command itself, then ">"
    off     "relay off X" CR     -> likewise
    state   "relay read X" CR    -> the command itself, "on" or "off", then ">"

X counts from 0, as one hexadecimal digit, and beyond 15 goes on with the alphabet (32 relays: 0-9, A-V).
Source: Numato Lab's documentation of its USB relay modules, "Available commands".
"""

from __future__ import annotations

import re
import string

from pydantic import Field

from harness.api import ActuatorRequest
from harness_rigs.power.board_errors import Unexpected
from harness_rigs.power.serialline import ANSWER_S, SerialChannel, SerialRelayOptions, serial_driver

PROMPT = b">"
DIGITS = string.digits + string.ascii_uppercase


class NumatoOptions(SerialRelayOptions):
    """`[rig.power]` of a Numato module."""

    channel: int = Field(default=0, ge=0, le=31)


class Numato(SerialChannel):
    """One relay of a Numato module."""

    driver = "numato"
    baud = 115200

    def __init__(self, request: ActuatorRequest):
        super().__init__(request)
        self._digit = DIGITS[self.number]

    def command(self, active: bool) -> bytes:
        return f"relay {'on' if active else 'off'} {self._digit}\r".encode()

    def answered(self) -> None:
        self._answer_to(*(self.command(active).rstrip(b"\r") for active in (True, False)))

    def read(self) -> bool:
        asked = f"relay read {self._digit}".encode()
        self.send(asked + b"\r")
        answer = self._answer_to(asked)
        found = re.fullmatch(rb"\s*(on|off)\s*>", answer)
        if not found:
            raise Unexpected(
                repr(answer.decode("ascii", "replace")),
                f'"on" or "off" for relay {self._digit}',
                "a module does not answer for a relay that it does not have: see `channel`, which counts from 0",
            )
        return found[1] == b"on"

    def _answer_to(self, *asked: bytes) -> bytes:
        """What follows our own command. An answer before it is to the cutter's command: the cutter reads none."""
        heard = b""
        while (part := self._port.read_until(PROMPT)).endswith(PROMPT):
            heard += part
            for command in asked:
                if command in heard:
                    return bytes(heard.rpartition(command)[2])
        heard += part
        raise Unexpected(
            repr(heard.decode("ascii", "replace")),
            f'"{asked[0].decode()}" again and a prompt ">" within {ANSWER_S:g} s',
        )


NUMATO = serial_driver(Numato, "Numato Lab USB relay modules", NumatoOptions)
