"""Keys that break a rule of CTAPHID's framing, or of time: the case that asks for the rule says so of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fido2 import cbor

from harness_fido2.twin import authenticator, hid, pinproto
from harness_fido2.twin.hid import HidFirmware
from support.trial_key import TrialKey, changed_members, options

MAKE, GET, PIN, RESET, CONFIG = 1, 2, 6, 7, 0x0D
PING, CBOR, WINK, INIT, ERROR = 0x01, 0x10, 0x08, 0x06, 0x3F
INVALID_LEN, INVALID_SEQ, MSG_TIMEOUT, BUSY, INVALID_CHANNEL, INVALID_CMD = 3, 4, 5, 6, 0x0B, 1
Patch = Callable[[pytest.MonkeyPatch], None]
Row = tuple[Patch, dict[str, Any], str, dict[str, Any], str]


def sound(patch: pytest.MonkeyPatch) -> None:
    """Change nothing."""


def constant(module: Any, name: str, value: int) -> Patch:
    return lambda patch: patch.setattr(module, name, value)


def other_error(was: int, now: int) -> Patch:
    """Another code of CTAPHID_ERROR."""
    error = HidFirmware._error

    def changed(self: HidFirmware, channel: int, code: int) -> None:
        error(self, channel, now if code == was else code)

    return lambda patch: patch.setattr(HidFirmware, "_error", changed)


def silent(was: int) -> Patch:
    """Answer nothing where this error belongs."""
    error = HidFirmware._error

    def changed(self: HidFirmware, channel: int, code: int) -> None:
        if code != was:
            error(self, channel, code)

    return lambda patch: patch.setattr(HidFirmware, "_error", changed)


def answers(edit: Callable[[int, bytes], bytes]) -> Patch:
    """Edit the content of each answer: (command, content) -> content."""
    respond = HidFirmware._respond

    def changed(self: HidFirmware, channel: int, command: int, data: bytes) -> None:
        respond(self, channel, command, edit(command, data))

    return lambda patch: patch.setattr(HidFirmware, "_respond", changed)


def padded_with(byte: bytes) -> Patch:
    class Padded(bytes):
        def ljust(self, width: int, fill: bytes = b"\0") -> bytes:
            return bytes(self).ljust(width, byte)

    def respond(self: HidFirmware, channel: int, command: int, data: bytes) -> None:
        prefix = channel.to_bytes(4, "big")
        first = Padded(prefix + bytes((0x80 | command,)) + len(data).to_bytes(2, "big") + data[:57])
        self._board.send(hid.ENDPOINT, first.ljust(hid.REPORT_SIZE))
        for sequence, at in enumerate(range(57, len(data), 59)):
            packet = Padded(prefix + bytes((sequence,)) + data[at : at + 59])
            self._board.send(hid.ENDPOINT, packet.ljust(hid.REPORT_SIZE))

    return lambda patch: patch.setattr(HidFirmware, "_respond", respond)


def any_length(patch: pytest.MonkeyPatch) -> None:
    """Take each length that a first packet says, also one that the framing cannot carry."""
    patch.setattr(HidFirmware, "_objection", lambda self, command, size: 0)


def one_channel(patch: pytest.MonkeyPatch) -> None:
    """Give every program the same channel."""
    init = HidFirmware._init

    def changed(self: HidFirmware, channel: int, nonce: bytes) -> None:
        if channel == hid.BROADCAST:
            self._channels = 0
        init(self, channel, nonce)

    patch.setattr(HidFirmware, "_init", changed)


def any_order(patch: pytest.MonkeyPatch) -> None:
    """Take continuations in any order."""
    go_on = HidFirmware._continue

    def changed(self: HidFirmware, channel: int, sequence: int, data: bytes) -> None:
        message = self._message
        go_on(self, channel, message.sequence if message is not None else sequence, data)

    patch.setattr(HidFirmware, "_continue", changed)


def token_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Time does not end a token."""
    constant(pinproto, "INITIAL_USE_US", 10**12)(patch)
    constant(pinproto, "USE_MAX_US", 10**12)(patch)


def members(request: bytes) -> dict[int, Any]:
    return dict(cbor.decode(request[1:])) if len(request) > 1 else {}


def verified_by_anything() -> dict[str, Any]:
    """A key that says a user was verified, whatever token there was."""

    def rewrite(request: bytes) -> bytes:
        found = members(request)
        if request[0] != MAKE or 8 not in found:
            return request
        return request[:1] + cbor.encode({n: value for n, value in found.items() if n not in (8, 9)})

    def edit(asked: dict[int, Any], made: dict[int, Any]) -> None:
        if 8 in asked:
            data = made[2]
            made[2] = data[:32] + bytes((data[32] | 4,)) + data[33:]

    return {"changes": (changed_members(MAKE, edit),), "rewrite": rewrite}


def short_lists() -> dict[str, Any]:
    def before(request: bytes) -> bytes | None:
        return b"\x15" if request[0] == GET and len(members(request).get(3) or ()) > 3 else None

    return {"before": before}


def minimum_outlives_reset() -> dict[str, Any]:
    """A new minimum PIN length is told after a reset, too."""
    raised: list[int] = []

    def before(request: bytes) -> bytes | None:
        found = members(request) if request[0] == CONFIG else {}
        if found.get(1) == 3 and 1 in (found.get(2) or {}):
            raised.append(found[2][1])
        return None

    def edit(asked: dict[int, Any], found: dict[int, Any]) -> None:
        if raised:
            found[0x0D] = max(raised)

    return {"changes": (changed_members(4, edit),), "before": before}


def u2f(instruction: int, was: bytes, now: bytes) -> dict[str, Any]:
    return {"u2f": lambda request, answer: now if request[1] == instruction and answer == was else None}


TOO_LONG = "test_ctaphid::test_a_length_that_the_framing_cannot_carry_is_refused"
ORDER = "test_ctaphid::test_a_continuation_out_of_order_ends_the_message"
PADDING = "test_ctaphid::test_what_fills_a_packet_of_the_key_up_is_zero_as_recommended"
STALL = "test_ctaphid::test_an_application_that_stalls_does_not_lock_the_key"
KEEPALIVES = "test_ctaphid::test_keepalives_come_at_least_every_100_ms"
IN_USE = "test_ctaphid::test_another_channel_is_told_that_the_key_is_busy_with_a_message"
INIT_LENGTH = "test_ctaphid::test_init_of_a_wrong_length_is_refused"
UNUSED = "test_client_pin::test_a_token_that_is_not_used_in_time_dies"
UNUSED_MADE = "test_client_pin::test_a_token_that_is_not_used_in_time_makes_no_credential"
TEN_MINUTES = "test_client_pin::test_a_token_dies_after_ten_minutes_however_often_it_is_used"
LATE = "test_reset::test_ten_seconds_after_power_up_it_is_too_late"
EARLY = "test_reset::test_within_ten_seconds_of_power_up_it_is_not_too_late"
CHANNEL = "test_reset::test_the_ten_seconds_do_not_start_again_with_a_channel"
OLD_TOKEN = "test_reset::test_a_token_from_before_is_worth_nothing"
NO_HANDLE = "test_u2f::test_an_authentication_without_a_handle_is_refused"
U2F_OFF = "test_u2f::test_with_always_uv_u2f_signs_nothing"
LIST = "test_get_info::test_a_list_as_long_as_the_longest_is_searched_to_its_end"
DELIVERED_MINIMUM = "test_reset::test_the_minimum_pin_length_is_what_it_was_when_delivered"
PREVIEW = "test_credential_management::test_the_preview_command_counts_and_lists"
BUSY_WITH = {"command": PING, "data": b"me first"}
OVERLONG = {"command": CBOR, "size": 7610}

ROWS: dict[str, Row] = {
    # Lengths and order
    "a length too long": (sound, {}, TOO_LONG, OVERLONG, "passed"),
    "a length too long, another code": (other_error(INVALID_LEN, 0x7F), {}, TOO_LONG, OVERLONG, "deviation"),
    "a length too long, and waited for": (any_length, {}, TOO_LONG, OVERLONG, "deviation"),
    "a length of INIT": (sound, {}, INIT_LENGTH, {"size": 7}, "passed"),
    "a length of INIT, another code": (
        other_error(INVALID_LEN, 0x7F),
        {},
        INIT_LENGTH,
        {"size": 7},
        "failed",
    ),
    "a ping": (sound, {}, "test_ctaphid::test_a_ping_is_echoed", {"size": 1024}, "passed"),
    "a ping cut short": (
        answers(lambda command, data: data[:-1] if command == PING and len(data) > 57 else data),
        {},
        "test_ctaphid::test_a_ping_is_echoed",
        {"size": 1024},
        "failed",
    ),
    "order": (sound, {}, ORDER, {"sequence": (0, 2)}, "passed"),
    "any order": (any_order, {}, ORDER, {"sequence": (0, 2)}, "failed"),
    "order, another code": (other_error(INVALID_SEQ, 0x7F), {}, ORDER, {"sequence": (0, 2)}, "failed"),
    "padding": (sound, {}, PADDING, {}, "passed"),
    "padding of something": (padded_with(b"\xee"), {}, PADDING, {}, "deviation"),
    # Channels
    "busy": (sound, {}, IN_USE, BUSY_WITH, "passed"),
    "busy, another code": (other_error(BUSY, 0x7F), {}, IN_USE, BUSY_WITH, "failed"),
    "one channel for all": (
        one_channel,
        {},
        "test_ctaphid::test_every_init_gives_another_channel",
        {},
        "failed",
    ),
    "a channel that was not given": (
        other_error(INVALID_CHANNEL, 0x7F),
        {},
        "test_ctaphid::test_a_channel_that_was_not_allocated_is_refused",
        {"command": PING, "data": b"x"},
        "failed",
    ),
    "a command that is not there": (
        other_error(INVALID_CMD, 0x7F),
        {},
        "test_ctaphid::test_a_command_that_does_not_exist_is_refused",
        {"command": 0x3C},
        "failed",
    ),
    # Time
    "a stall": (sound, {}, STALL, {"sent": 0}, "passed"),
    "a stall that locks": (
        constant(hid, "PACKET_TIMEOUT_US", 60_000_000),
        {},
        STALL,
        {"sent": 0},
        "deviation",
    ),
    "keepalives": (sound, {}, KEEPALIVES, {}, "passed"),
    "rare keepalives": (constant(hid, "KEEPALIVE_US", 400_000), {}, KEEPALIVES, {}, "deviation"),
    "a token unused": (sound, {}, UNUSED, {"version": 2}, "passed"),
    "a token unused lives on": (token_for_ever, {}, UNUSED, {"version": 2}, "failed"),
    "a token unused makes one": (token_for_ever, {}, UNUSED_MADE, {}, "failed"),
    "ten minutes": (sound, {}, TEN_MINUTES, {}, "passed"),
    "more than ten minutes": (token_for_ever, {}, TEN_MINUTES, {}, "deviation"),
    "late": (sound, {}, LATE, {}, "passed"),
    "never late": (constant(authenticator, "RESET_WINDOW_US", 10**12), {}, LATE, {}, "failed"),
    "late too early": (constant(authenticator, "RESET_WINDOW_US", 5_000_000), {}, EARLY, {}, "failed"),
    "never late, a new channel": (
        constant(authenticator, "RESET_WINDOW_US", 10**12),
        {},
        CHANNEL,
        {"how": "new channel"},
        "failed",
    ),
    # The rest of the audit's rows
    "a token from before a reset": (sound, verified_by_anything(), OLD_TOKEN, {}, "failed"),
    "U2F without a handle signs": (
        sound,
        u2f(2, b"\x67\x00", b"\x90\x00"),
        NO_HANDLE,
        {"size": 64},
        "failed",
    ),
    "U2F signs under alwaysUv": (sound, u2f(2, b"\x69\x86", b"\x90\x00"), U2F_OFF, {"control": 3}, "failed"),
    "a list as long as the longest": (sound, {}, LIST, {"where": -1}, "passed"),
    "a list that is too long for it": (sound, short_lists(), LIST, {"where": -1}, "failed"),
    "a minimum after a reset": (sound, minimum_outlives_reset(), DELIVERED_MINIMUM, {}, "failed"),
    "the minimum as delivered": (sound, {}, DELIVERED_MINIMUM, {}, "passed"),
    "a preview that is not there": (
        sound,
        {"changes": (options(credentialMgmtPreview=True),)},
        PREVIEW,
        {},
        "failed",
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_case_is_right_about_a_key(monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    patch, of_key, case, parameters, expected = row
    patch(monkeypatch)
    of_key = dict(of_key)
    key = TrialKey(monkeypatch, *of_key.pop("changes", ()), **of_key)
    assert key.asked(case, **parameters) == expected, key.said
