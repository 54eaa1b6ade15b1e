"""Format CTAPHID messages as lines of text, for `keyharness twin --trace`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fido2 import cbor
from fido2.ctap import STATUS, CtapError
from fido2.ctap2 import Ctap2

COMMANDS = {
    0x01: "PING",
    0x03: "MSG",
    0x04: "LOCK",
    0x06: "INIT",
    0x08: "WINK",
    0x10: "CBOR",
    0x11: "CANCEL",
    0x3B: "KEEPALIVE",
    0x3F: "ERROR",
}
HID_ERRORS = {
    0x01: "INVALID_CMD",
    0x02: "INVALID_PAR",
    0x03: "INVALID_LEN",
    0x04: "INVALID_SEQ",
    0x05: "MSG_TIMEOUT",
    0x06: "CHANNEL_BUSY",
    0x0A: "LOCK_REQUIRED",
    0x0B: "INVALID_CHANNEL",
    0x7F: "OTHER",
}
_CTAP2 = {int(command): command.name for command in Ctap2.CMD}
BYTES_SHOWN = 48


@dataclass
class _Partial:
    command: int
    size: int
    data: bytearray = field(default_factory=bytearray)


class CtaphidTracer:
    """Assembles packets of both directions into messages, one line each; other endpoints are shown as bytes.

    :param vendor: names of vendor commands, by CTAPHID command byte.
    """

    def __init__(self, vendor: dict[int, str] | None = None):
        self._names = {**COMMANDS, **(vendor or {})}
        self._partial: dict[tuple[bool, bytes], _Partial] = {}

    def packet(self, endpoint: str, to_host: bool, data: bytes) -> list[str]:
        arrow = "<-" if to_host else "->"
        if endpoint != "ctaphid":
            return [f"{arrow} {endpoint} {_shown(data)}"]
        if len(data) < 7:
            return [f"{arrow} short packet {data.hex()}"]
        channel, rest = data[:4], data[4:]
        key = (to_host, channel)
        if rest[0] & 0x80:
            partial = _Partial(rest[0] & 0x7F, int.from_bytes(rest[1:3], "big"))
            body = rest[3:]
        else:
            known = self._partial.get(key)
            if known is None:
                return [f"{arrow} {channel.hex()} stray continuation {rest[0]}"]
            partial, body = known, rest[1:]
        partial.data += body[: partial.size - len(partial.data)]
        if len(partial.data) < partial.size:
            self._partial[key] = partial
            return []
        self._partial.pop(key, None)
        return [f"{arrow} {channel.hex()} {self._message(partial.command, bytes(partial.data), to_host)}"]

    def _message(self, command: int, data: bytes, to_host: bool) -> str:
        name = self._names.get(command, f"command {command:#04x}")
        if command == 0x3B and data:
            return f"{name} {_status(data[0])}"
        if command == 0x3F and data:
            return f"{name} {HID_ERRORS.get(data[0], f'{data[0]:#04x}')}"
        if command == 0x10 and data:
            head = _error(data[0]) if to_host else _CTAP2.get(data[0], f"command {data[0]:#04x}")
            return f"{name} {head} {_decoded(data[1:])}".rstrip()
        return f"{name} {_shown(data)}".rstrip()


def _status(code: int) -> str:
    try:
        return STATUS(code).name.lower()
    except ValueError:
        return f"{code:#04x}"


def _error(code: int) -> str:
    if code == 0:
        return "ok"
    try:
        return CtapError.ERR(code).name
    except ValueError:
        return f"error {code:#04x}"


def _decoded(data: bytes) -> str:
    if not data:
        return ""
    try:
        value, rest = cbor.decode_from(data)
    except Exception:
        # Whatever is wrong with it: a trace shows what was there.
        return f"not CBOR: {_shown(data)}"
    return _diagnostic(value) + (f" and {len(rest)} bytes more" if rest else "")


def _diagnostic(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_diagnostic(k)}: {_diagnostic(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_diagnostic, value)) + "]"
    if isinstance(value, bytes):
        return f"h'{_shown(value)}'"
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(data: bytes) -> str:
    if len(data) <= BYTES_SHOWN:
        return data.hex()
    return f"{data[:BYTES_SHOWN].hex()}... ({len(data)} bytes)"
