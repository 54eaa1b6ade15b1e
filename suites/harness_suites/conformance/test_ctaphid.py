"""CTAPHID: channels, framing, arbitration, time-outs, cancelling, keepalives (CTAP 2.1, section 11.2)."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from hashlib import sha256
from unittest.mock import patch

import pytest
from fido2 import cbor
from fido2.ctap import STATUS
from fido2.hid import CAPABILITY, CTAPHID
from fido2.webauthn import PublicKeyCredentialUserEntity

from harness.api import NOT_OFFERED, deviates
from harness_suites.conformance.ceremonies import GA, make_resident, management, named
from harness_suites.conformance.device import ES256, HASH, RP, USER, not_offered
from harness_suites.conformance.hidframes import (
    BROADCAST,
    ERR,
    FIRST,
    FRAME_MAX,
    NEXT,
    NONCE,
    Wire,
    capabilities,
    parts,
    pattern,
)

GET_INFO = b"\x04"
MAKE_CREDENTIAL = b"\x01" + cbor.encode({1: HASH, 2: RP, 3: USER, 4: [ES256]})
"""Waits for a touch on any key without a PIN, unless alwaysUv is on."""
ERR_PUAT_REQUIRED = 0x36
"""CTAP2_ERR_PUAT_REQUIRED (8.2)."""
STALL_US = 5_000_000
"""By now a key should have backed out of a message that is not continued. 11.2.5.2 leaves the period open, so a key
that takes longer deviates, and no more."""
CHANNELS = 300
"""More than a counter of 8 bits gives: a browser and an agent that run for days allocate as many."""
KEEPALIVE_US, JITTER_US = 100_000, 100_000
"""11.2.9.1.7, and what a host's scheduling may add."""


@pytest.fixture
def wire(blank):
    return Wire(blank)


def wait_for_touch(wire, channel):
    """Start a request that waits for a touch; return when the key asks for it."""
    wire.send(channel, CTAPHID.CBOR, MAKE_CREDENTIAL)
    for _ in range(100):
        message = wire.message()
        if (message.command, message.data) == (CTAPHID.CBOR, bytes((ERR_PUAT_REQUIRED,))):
            not_offered("a request that waits for a touch without a PIN: alwaysUv is on")
        assert message.is_keepalive, f"{message}, before any touch"
        assert message.channel == channel
        if message.data == b"\x02":
            return
    raise AssertionError("100 keepalives, and none says that a touch is needed")


def cancel(wire, channel):
    """Cancel the request in a channel. The response is a CTAP status, not a CTAPHID error (11.2.9.1.5)."""
    wire.first(channel, CTAPHID.CANCEL)
    message = wire.answer(channel)
    assert (message.command, message.data) == (CTAPHID.CBOR, bytes((ERR.KEEPALIVE_CANCEL,)))


def unallocated(wire):
    """Return a channel that the key has not allocated."""
    return wire.allocate() ^ 0x00A5_5A00


# Channels


@pytest.mark.case("CTAP 2.1, 11.2.9.1.3", any_state=True)
@pytest.mark.parametrize("nonce", [NONCE, bytes(8), b"\xff" * 8], ids=["counting", "zeros", "ones"])
def test_init_on_the_broadcast_channel_gives_a_channel_and_the_nonce_back(wire, nonce):
    message = wire.call(BROADCAST, CTAPHID.INIT, nonce)
    assert message.command == CTAPHID.INIT
    assert len(message.data) >= 17
    assert message.data[:8] == nonce
    assert int.from_bytes(message.data[8:12], "big") not in (0, BROADCAST)


@pytest.mark.case("CTAP 2.1, 11.2.7", any_state=True)
def test_the_protocol_version_is_2(wire):
    assert wire.call(BROADCAST, CTAPHID.INIT, NONCE).data[12] == 2


@pytest.mark.case("CTAP 2.1, 11.2.9.1.3", any_state=True)
def test_a_key_that_answers_getinfo_says_that_it_has_cbor(blank, wire):
    assert CAPABILITY.CBOR in CAPABILITY(wire.call(BROADCAST, CTAPHID.INIT, NONCE).data[16])


@pytest.mark.case("CTAP 2.1, 11.2.3", any_state=True)
def test_every_init_gives_another_channel(wire):
    channels = [wire.allocate() for _ in range(CHANNELS)]
    assert len(set(channels)) == CHANNELS


@pytest.mark.case("CTAP 2.1, 11.2.9.1.3", any_state=True)
def test_init_in_a_channel_answers_there_and_keeps_the_channel(wire):
    channel = wire.allocate()
    assert wire.resynchronise(channel) == []
    wire.echoes(channel)


@pytest.mark.case("CTAP 2.1, 11.2.9.1.3", any_state=True)
def test_a_new_channel_leaves_the_old_one_usable(wire):
    first = wire.allocate()
    second = wire.allocate()
    wire.echoes(first)
    wire.echoes(second)
    wire.echoes(first)


@pytest.mark.case("CTAP 2.1, 11.2.9.1.3 (BCNT is 8) and 11.2.9.1.6", any_state=True)
@pytest.mark.parametrize("size", [0, 7, 9])
def test_init_of_a_wrong_length_is_refused(wire, size):
    wire.send(BROADCAST, CTAPHID.INIT, bytes(size))
    wire.refuses(BROADCAST, ERR.INVALID_LENGTH)
    wire.echoes(wire.allocate())


@pytest.mark.case("CTAP 2.1, 11.2.3 (channel 0 is reserved)", any_state=True)
@pytest.mark.parametrize(
    "command, data",
    [(CTAPHID.INIT, NONCE), (CTAPHID.PING, b"x"), (CTAPHID.CBOR, GET_INFO)],
    ids=["INIT", "PING", "CBOR"],
)
def test_nothing_is_served_on_channel_0(wire, command, data):
    wire.send(0, command, data)
    wire.refuses(0, ERR.INVALID_CHANNEL)
    wire.echoes(wire.allocate())


@pytest.mark.case("CTAP 2.1, 11.2.3 (the broadcast channel is for allocation)", any_state=True)
@pytest.mark.parametrize(
    "command, data",
    [(CTAPHID.PING, b"x"), (CTAPHID.CBOR, GET_INFO), (CTAPHID.MSG, b"\0\3\0\0\0\0\0"), (CTAPHID.WINK, b"")],
    ids=["PING", "CBOR", "MSG", "WINK"],
)
def test_the_broadcast_channel_serves_nothing_but_init(wire, command, data):
    wire.send(BROADCAST, command, data)
    wire.refuses(BROADCAST, ERR.INVALID_CHANNEL)
    wire.echoes(wire.allocate())


@pytest.mark.case("CTAP 2.1, 11.2.9.1.6 (the CID is not valid)", any_state=True)
@pytest.mark.parametrize(
    "command, data",
    [(CTAPHID.PING, b"x"), (CTAPHID.CBOR, GET_INFO)],
    ids=["PING", "CBOR"],
)
def test_a_channel_that_was_not_allocated_is_refused(wire, command, data):
    channel = unallocated(wire)
    wire.send(channel, command, data)
    wire.refuses(channel, ERR.INVALID_CHANNEL)
    wire.echoes(wire.allocate())


@pytest.mark.case("CTAP 2.1, 11.2.9.1.3 (synchronises a channel)", any_state=True)
def test_init_on_a_channel_that_was_not_allocated_is_refused_or_makes_it_one(wire):
    """The text has INIT for allocated channels and for the broadcast one; most keys accept any channel but 0."""
    channel = unallocated(wire)
    wire.send(channel, CTAPHID.INIT, NONCE)
    answer = wire.message()
    if answer.command == CTAPHID.INIT:
        assert answer.channel == channel
        assert answer.data[:8] == NONCE
        wire.echoes(int.from_bytes(answer.data[8:12], "big"))
    else:
        assert (answer.channel, answer.command, answer.data) == (
            channel,
            CTAPHID.ERROR,
            bytes((ERR.INVALID_CHANNEL,)),
        )
    wire.echoes(wire.allocate())


@pytest.mark.case("CTAP 2.1, 11.2.3", any_state=True)
def test_transactions_of_several_channels_take_turns_without_mixing(wire):
    channels = [wire.allocate() for _ in range(4)]
    for turn in range(3):
        for number, channel in enumerate(channels):
            wire.echoes(channel, bytes((turn, number)) * (40 + 17 * number))
            if number == turn:
                message = wire.call(channel, CTAPHID.CBOR, GET_INFO)
                assert (message.command, message.data[0]) == (CTAPHID.CBOR, 0)


@pytest.mark.case("CTAP 2.1, 11.2.5.1 (between transactions no state is kept)", any_state=True)
def test_an_error_in_one_channel_is_nothing_to_another(wire):
    broken, sound = wire.allocate(), wire.allocate()
    wire.first(broken, CTAPHID.PING, pattern(200))
    wire.next(broken, 1)
    wire.refuses(broken, ERR.INVALID_SEQ)
    wire.echoes(sound, pattern(200))


# Message and packet structure


@pytest.mark.case("CTAP 2.1, 11.2.4 and 11.2.9.1.4", any_state=True)
@pytest.mark.parametrize(
    "size",
    [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + NEXT - 1, FIRST + NEXT, FIRST + NEXT + 1, 1024],
)
def test_a_ping_is_echoed(wire, size):
    # 1024 bytes is the least that a key must take (6.4, maxMsgSize).
    wire.echoes(wire.allocate(), pattern(size))


@pytest.mark.case("CTAP 2.1, 6.4 (maxMsgSize) and 11.2.9.1.4", any_state=True)
def test_a_ping_as_long_as_the_longest_message_is_echoed(blank, wire):
    size = min(blank.info.max_msg_size, FRAME_MAX)
    wire.echoes(wire.allocate(), pattern(size))


@pytest.mark.case("CTAP 2.1, 11.2.4 and 11.2.9.1.6", any_state=True)
def test_a_ping_as_long_as_the_framing_allows_is_echoed_or_refused_for_its_length(blank, wire):
    channel = wire.allocate()
    message = wire.call(channel, CTAPHID.PING, pattern(FRAME_MAX))
    if message.command == CTAPHID.ERROR and blank.info.max_msg_size < FRAME_MAX:
        # No buffer as large as the framing is asked for: refused by its first packet, the rest is ignored.
        assert message.data == bytes((ERR.INVALID_LENGTH,))
    else:
        assert (message.command, message.data) == (CTAPHID.PING, pattern(FRAME_MAX))
    wire.echoes(channel)


@pytest.mark.case("CTAP 2.1, 11.2.4 (at most 7609 bytes) and 11.2.9.1.6", any_state=True)
@pytest.mark.parametrize("size", [FRAME_MAX + 1, 0xFFFF])
@pytest.mark.parametrize("command", [CTAPHID.PING, CTAPHID.CBOR], ids=["PING", "CBOR"])
def test_a_length_that_the_framing_cannot_carry_is_refused(wire, command, size):
    channel = wire.allocate()
    wire.first(channel, command, pattern(FIRST), size)
    # No section names the code; what matters is that the key does not wait for what cannot come.
    message = wire.answer(channel)
    assert message.command == CTAPHID.ERROR, f"{message}, instead of an error"
    if message.data != bytes((ERR.INVALID_LENGTH,)):
        deviates(f"refused with {message.data.hex()}; recommended: {ERR.INVALID_LENGTH!r}")
    wire.resynchronise(channel)
    wire.echoes(channel)


@pytest.mark.case("CTAP 2.1, 11.2.4 (unused bytes)", any_state=True)
def test_what_fills_a_packet_up_is_no_part_of_the_message(wire):
    channel = wire.allocate()
    head = channel.to_bytes(4, "big") + bytes((0x80 | CTAPHID.PING,))
    wire.raw((head + b"\0\x05right").ljust(64, b"\xee"))
    assert wire.answer(channel).data == b"right"
    data = pattern(FIRST + 5)
    wire.first(channel, CTAPHID.PING, data)
    wire.raw((channel.to_bytes(4, "big") + b"\0" + data[FIRST:]).ljust(64, b"\xee"))
    assert wire.answer(channel).data == data


@pytest.mark.case("CTAP 2.1, 11.2.4 (unused bytes SHOULD be set to zero)", any_state=True, level="SHOULD")
def test_what_fills_a_packet_of_the_key_up_is_zero_as_recommended(wire):
    channel = wire.allocate()
    wire.echoes(channel, b"\xee" * 300)
    short = wire.call(channel, CTAPHID.PING, b"x")
    longer = wire.call(channel, CTAPHID.PING, b"y" * (FIRST + 3))
    assert not any(short.padding)
    assert not any(longer.padding)


@pytest.mark.case("CTAP 2.1, 11.2.9.1.2 (BCNT is at least 1)", any_state=True)
def test_a_cbor_message_without_a_command_byte_is_refused(wire):
    # By CTAPHID for its length or its content, or by CTAP with a status (8.2): the table leaves it open.
    channel = wire.allocate()
    message = wire.call(channel, CTAPHID.CBOR, b"")
    assert message.command in (CTAPHID.ERROR, CTAPHID.CBOR)
    assert message.data in (
        bytes((code,)) for code in (ERR.INVALID_LENGTH, ERR.INVALID_PARAMETER, ERR.INVALID_COMMAND)
    )
    wire.echoes(channel)


# Packet sequencing


@pytest.mark.case("CTAP 2.1, 11.2.5.4 and 11.2.9.1.6", any_state=True)
@pytest.mark.parametrize(
    "sequence",
    [(1,), (0, 2), (0, 0), (0, 1, 0), (127,)],
    ids=["starts with 1", "leaves 1 out", "says 0 twice", "goes back to 0", "starts with 127"],
)
def test_a_continuation_out_of_order_ends_the_message(wire, sequence):
    channel = wire.allocate()
    data = pattern(400)
    wire.first(channel, CTAPHID.PING, data)
    for number in sequence:
        wire.next(channel, number, data[:NEXT])
    wire.refuses(channel, ERR.INVALID_SEQ)
    # What still comes of the message belongs to nothing.
    wire.next(channel, (sequence[-1] + 1) & 0x7F, data[:NEXT])
    wire.echoes(channel, data)


@pytest.mark.case("CTAP 2.1, 11.2.5.4 (spurious continuation packets are ignored)", any_state=True)
@pytest.mark.parametrize("sequence", [0, 5, 127])
def test_a_continuation_without_a_beginning_is_ignored(wire, sequence):
    channel = wire.allocate()
    wire.next(channel, sequence, b"\x01" * NEXT)
    wire.echoes(channel)


@pytest.mark.case("CTAP 2.1, 11.2.5.4 (spurious continuation packets are ignored)", any_state=True)
def test_a_continuation_after_the_end_of_a_message_is_ignored(wire):
    channel = wire.allocate()
    wire.echoes(channel, pattern(FIRST + NEXT))
    wire.next(channel, 1, b"surplus")
    wire.next(channel, 0, b"surplus")
    wire.echoes(channel)


@pytest.mark.case("CTAP 2.1, 11.2.5.4 and 11.2.5.1", any_state=True)
def test_a_continuation_in_another_channel_does_no_harm_to_a_message(wire):
    channel, other = wire.allocate(), wire.allocate()
    data = pattern(FIRST + NEXT + 10)
    wire.first(channel, CTAPHID.PING, data)
    wire.next(other, 0, b"\xee" * NEXT)
    wire.next(other, 1, b"\xee" * NEXT)
    for sequence, part in enumerate(parts(data)):
        wire.next(channel, sequence, part)
    message = wire.message()
    while message.channel == other:
        # Ignored as spurious (11.2.5.4), or refused because the key is busy (11.2.5.1): both can be read.
        assert (message.command, message.data) == (CTAPHID.ERROR, bytes((ERR.CHANNEL_BUSY,)))
        message = wire.message()
    assert (message.channel, message.command, message.data) == (channel, CTAPHID.PING, data)


@pytest.mark.case("CTAP 2.1, 11.2.5.4 and 11.2.9.1.6", any_state=True)
@pytest.mark.parametrize("command", [CTAPHID.PING, CTAPHID.CBOR], ids=["PING", "CBOR"])
def test_a_second_beginning_in_the_middle_of_a_message_is_refused(wire, command):
    channel = wire.allocate()
    wire.first(channel, CTAPHID.PING, pattern(300))
    wire.first(channel, command, GET_INFO)
    # No clause says what the answer is, an error or that to the second message: any, and no damage.
    wire.answer(channel)
    assert wire.resynchronise(channel) == []
    wire.echoes(channel, pattern(300))


# Arbitration


@pytest.mark.case("CTAP 2.1, 11.2.5.1", any_state=True)
@pytest.mark.parametrize(
    "command, data",
    [
        (CTAPHID.PING, b"me first"),
        (CTAPHID.CBOR, GET_INFO),
        (CTAPHID.MSG, b"\0\3\0\0\0\0\0"),
        (CTAPHID.WINK, b""),
    ],
    ids=["PING", "CBOR", "MSG", "WINK"],
)
def test_another_channel_is_told_that_the_key_is_busy_with_a_message(blank, wire, command, data):
    channel, other = wire.allocate(), wire.allocate()
    ping = pattern(FIRST + NEXT)
    wire.first(channel, CTAPHID.PING, ping)
    wire.send(other, command, data)
    # A key without the command may say so first.
    offered = capabilities(blank)
    has = {CTAPHID.MSG: CAPABILITY.NMSG not in offered, CTAPHID.WINK: CAPABILITY.WINK in offered}
    wire.refuses(other, ERR.CHANNEL_BUSY, *([] if has.get(command, True) else [ERR.INVALID_COMMAND]))
    wire.next(channel, 0, ping[FIRST:])
    assert wire.answer(channel).data == ping
    wire.echoes(other)


@pytest.mark.case("CTAP 2.1, 11.2.5.1", any_state=True, withheld=True)
@pytest.mark.parametrize(
    "command, data", [(CTAPHID.PING, b"me first"), (CTAPHID.CBOR, GET_INFO)], ids=["PING", "CBOR"]
)
def test_another_channel_is_told_that_the_key_is_busy_waiting_for_a_touch(wire, command, data):
    channel, other = wire.allocate(), wire.allocate()
    wait_for_touch(wire, channel)
    wire.send(other, command, data)
    message = wire.message()
    while message.is_keepalive:
        message = wire.message()
    assert (message.channel, message.command) == (other, CTAPHID.ERROR)
    assert message.data == bytes((ERR.CHANNEL_BUSY,))
    cancel(wire, channel)
    wire.echoes(other)


@pytest.mark.case("CTAP 2.1, 11.2.5.1", any_state=True, withheld=True)
def test_a_second_request_in_a_channel_that_waits_for_a_touch_is_refused(wire):
    channel = wire.allocate()
    wait_for_touch(wire, channel)
    wire.send(channel, CTAPHID.PING, b"meanwhile")
    # No clause says what the answer is, or which of the two requests it ends: any, and no damage.
    assert not wire.answer(channel).is_keepalive
    wire.resynchronise(channel)
    wire.echoes(channel)


@pytest.mark.case("CTAP 2.1, 11.2.5.1 and 11.2.9.1.3", any_state=True)
@pytest.mark.parametrize("own", [False, True], ids=["broadcast", "allocated"])
def test_init_of_another_application_does_no_harm_to_a_message(wire, own):
    channel, other = wire.allocate(), wire.allocate()
    asker = other if own else BROADCAST
    data = pattern(FIRST + NEXT)
    wire.first(channel, CTAPHID.PING, data)
    wire.send(asker, CTAPHID.INIT, NONCE)
    answer = wire.answer(asker)
    # Served, since it is no transaction of a channel in use, or turned away as busy.
    assert answer.command == CTAPHID.INIT or answer.data == bytes((ERR.CHANNEL_BUSY,))
    wire.next(channel, 0, data[FIRST:])
    assert wire.answer(channel).data == data


@pytest.mark.case("CTAP 2.1, 11.2.5.1 and 11.2.9.1.3", any_state=True, withheld=True)
@pytest.mark.parametrize("own", [False, True], ids=["broadcast", "allocated"])
def test_init_of_another_application_does_not_end_a_wait_for_a_touch(blank, wire, own):
    channel, other = wire.allocate(), wire.allocate()
    asker = other if own else BROADCAST
    wait_for_touch(wire, channel)
    wire.send(asker, CTAPHID.INIT, NONCE)
    message = wire.message()
    while message.is_keepalive:
        message = wire.message()
    assert message.channel == asker
    assert message.command == CTAPHID.INIT or message.data == bytes((ERR.CHANNEL_BUSY,))
    with blank.touch():
        done = wire.answer(channel)
    assert (done.command, done.data[0]) == (CTAPHID.CBOR, 0)


# Abort and re-synchronization


@pytest.mark.case("CTAP 2.1, 11.2.5.3", any_state=True)
@pytest.mark.parametrize("sent", [0, 2])
def test_init_in_its_channel_discards_a_message(wire, sent):
    channel = wire.allocate()
    data = pattern(400)
    rest = list(enumerate(parts(data)))
    wire.first(channel, CTAPHID.PING, data)
    for sequence, part in rest[:sent]:
        wire.next(channel, sequence, part)
    assert wire.resynchronise(channel) == []
    for sequence, part in rest[sent:]:
        wire.next(channel, sequence, part)
    wire.echoes(channel, pattern(150))


@pytest.mark.case("CTAP 2.1, 11.2.5.3", any_state=True)
def test_init_in_its_channel_lets_others_in(wire):
    channel, other = wire.allocate(), wire.allocate()
    wire.first(channel, CTAPHID.PING, pattern(400))
    wire.resynchronise(channel)
    wire.echoes(other)


@pytest.mark.case("CTAP 2.1, 11.2.5.3 and 11.2.9.1.3 (as quickly as possible)", any_state=True, withheld=True)
def test_init_in_its_channel_ends_a_wait_for_a_touch(blank, wire):
    channel, other = wire.allocate(), wire.allocate()
    wait_for_touch(wire, channel)
    for message in wire.resynchronise(channel):
        # A key may still say how the request ended.
        ended = (message.command, message.data) == (CTAPHID.CBOR, bytes((ERR.KEEPALIVE_CANCEL,)))
        assert message.is_keepalive or ended, f"{message}, before the answer to INIT"
    with blank.touch():
        wire.echoes(channel)
        wire.echoes(other)


@pytest.mark.case("CTAP 2.1, 11.2.5.3", any_state=True)
def test_init_after_an_error_finds_the_key_ready(wire):
    channel = wire.allocate()
    wire.first(channel, CTAPHID.PING, pattern(400))
    wire.next(channel, 3)
    wire.refuses(channel, ERR.INVALID_SEQ)
    assert wire.resynchronise(channel) == []
    wire.echoes(channel)


# Transaction time-out


def stalled(wire, clock, channel, sent):
    """Leave a message unfinished until the key must have backed out of it."""
    data = pattern(400)
    wire.first(channel, CTAPHID.PING, data)
    for sequence, part in list(enumerate(parts(data)))[:sent]:
        wire.next(channel, sequence, part)
    clock.wait_us(STALL_US)


def served_after_timeout(wire, channel, stalled_channel):
    """Check that a PING in `channel` is answered, perhaps after the time-out of the stalled channel."""
    wire.send(channel, CTAPHID.PING, b"my turn")
    message = wire.message()
    if (message.channel, message.command) == (stalled_channel, CTAPHID.ERROR):
        assert message.data == bytes((ERR.TIMEOUT,))
        message = wire.message()
    assert (message.channel, message.command, message.data) == (channel, CTAPHID.PING, b"my turn")


@pytest.mark.case("CTAP 2.1, 11.2.5.2 and 11.2.9.1.6 (ERR_MSG_TIMEOUT)", any_state=True, level="SHOULD")
@pytest.mark.parametrize("sent", [0, 3])
def test_an_application_that_stalls_does_not_lock_the_key(blank, wire, sent):
    channel, other = wire.allocate(), wire.allocate()
    stalled(wire, blank.rig.clock, channel, sent)
    served_after_timeout(wire, other, channel)


@pytest.mark.case("CTAP 2.1, 11.2.5.2", any_state=True, level="SHOULD")
def test_an_application_that_stalled_can_start_again(blank, wire):
    channel = wire.allocate()
    stalled(wire, blank.rig.clock, channel, 1)
    served_after_timeout(wire, channel, channel)


@pytest.mark.case("CTAP 2.1, 11.2.5.2 and 11.2.5.4", any_state=True, level="SHOULD")
def test_a_continuation_that_comes_after_the_time_out_is_ignored(blank, wire):
    channel = wire.allocate()
    stalled(wire, blank.rig.clock, channel, 1)
    wire.next(channel, 1, pattern(NEXT))
    served_after_timeout(wire, channel, channel)


@pytest.mark.case("CTAP 2.1, 11.2.5.2 and 11.2.5.4", any_state=True)
def test_an_application_that_is_slow_but_steady_is_served(blank, wire):
    channel = wire.allocate()
    data = pattern(300)
    wire.first(channel, CTAPHID.PING, data)
    for sequence, part in enumerate(parts(data)):
        blank.rig.clock.wait_us(30_000)
        wire.next(channel, sequence, part)
    assert wire.answer(channel).data == data


# Cancelling


@pytest.mark.case("CTAP 2.1, 11.2.9.1.5", any_state=True, withheld=True)
def test_cancel_ends_a_wait_for_a_touch_and_is_not_answered_itself(wire):
    channel = wire.allocate()
    wait_for_touch(wire, channel)
    cancel(wire, channel)
    wire.echoes(channel)


@pytest.mark.case("CTAP 2.1, 11.2.9.1.5", any_state=True, withheld=True)
def test_cancel_in_another_channel_does_not_end_a_wait_for_a_touch(blank, wire):
    channel, other = wire.allocate(), wire.allocate()
    wait_for_touch(wire, channel)
    wire.first(other, CTAPHID.CANCEL)
    for _ in range(3):
        message = wire.message()
        assert (message.channel, message.is_keepalive) == (channel, True), f"{message}, after the CANCEL"
    with blank.touch():
        done = wire.answer(channel)
    assert (done.command, done.data[0]) == (CTAPHID.CBOR, 0)
    wire.echoes(other)


@pytest.mark.case("CTAP 2.1, 11.2.9.1.5 (while no request is processed it is ignored)", any_state=True)
def test_cancel_in_an_idle_channel_is_ignored(wire):
    channel = wire.allocate()
    wire.first(channel, CTAPHID.CANCEL)
    wire.first(channel, CTAPHID.CANCEL)
    wire.echoes(channel)
    message = wire.call(channel, CTAPHID.CBOR, GET_INFO)
    assert message.data[0] == 0, "a CANCEL that came before a request cancelled it"


@pytest.mark.case("CTAP 2.1, 11.2.9.1.5 (on a non-active CID it is ignored)", any_state=True)
@pytest.mark.parametrize("where", ["unallocated", "broadcast"])
def test_cancel_in_a_channel_that_is_not_active_is_ignored(wire, where):
    wire.first(unallocated(wire) if where == "unallocated" else BROADCAST, CTAPHID.CANCEL)
    # An answer to the CANCEL would come before this one.
    wire.send(BROADCAST, CTAPHID.INIT, NONCE)
    message = wire.message()
    assert (message.channel, message.command) == (BROADCAST, CTAPHID.INIT), f"{message}, to a CANCEL"


@pytest.mark.case("CTAP 2.1, 11.2.9.1.5 (transaction semantics do not apply)", any_state=True)
def test_cancel_between_two_packets_of_a_message_is_ignored(wire):
    channel = wire.allocate()
    data = pattern(FIRST + NEXT)
    wire.first(channel, CTAPHID.PING, data)
    wire.first(channel, CTAPHID.CANCEL)
    wire.next(channel, 0, data[FIRST:])
    assert wire.answer(channel).data == data


@pytest.mark.case("CTAP 2.1, 11.2.9.1.5", any_state=True, withheld=True)
def test_after_a_cancel_the_same_request_can_be_made_again(blank, wire):
    channel = wire.allocate()
    for _ in range(2):
        wait_for_touch(wire, channel)
        cancel(wire, channel)
    with blank.touch():
        message = wire.call(channel, CTAPHID.CBOR, MAKE_CREDENTIAL)
    assert (message.command, message.data[0]) == (CTAPHID.CBOR, 0)


# Keepalives


@pytest.mark.case("CTAP 2.1, 11.2.9.1.7", any_state=True, withheld=True, level="SHOULD")
def test_keepalives_come_at_least_every_100_ms(wire):
    channel = wire.allocate()
    wait_for_touch(wire, channel)
    times = [wire.message().at_us for _ in range(10)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    cancel(wire, channel)
    assert max(gaps) <= KEEPALIVE_US + JITTER_US


@pytest.mark.case("CTAP 2.1, 11.2.9.1.7", any_state=True, withheld=True)
def test_a_keepalive_is_one_byte_that_says_processing_or_touch_needed(blank, wire):
    channel = wire.allocate()
    wire.send(channel, CTAPHID.CBOR, MAKE_CREDENTIAL)
    said = set()
    with blank.touch(delay_us=350_000):
        while (message := wire.message()).is_keepalive:
            assert message.channel == channel
            said.add(message.data)
    if message.data == bytes((ERR_PUAT_REQUIRED,)):
        not_offered("a request that waits for a touch without a PIN: alwaysUv is on")
    assert message.data[0] == 0
    assert b"\x02" in said
    assert said <= {b"\x01", b"\x02"}


@pytest.mark.case("CTAP 2.1, 11.2.9.1.7 (and whenever the status changes)", any_state=True, withheld=True)
def test_once_touched_a_key_no_longer_asks_for_a_touch(blank, wire):
    channel = wire.allocate()
    wait_for_touch(wire, channel)
    with blank.touch(delay_us=0):
        statuses = []
        while (message := wire.message()).is_keepalive:
            statuses.append(message.data[0])
    assert message.data[0] == 0
    after = statuses[statuses.index(1) :] if 1 in statuses else []
    assert 2 not in after, f"keepalives {statuses}"


@pytest.mark.case("CTAP 2.1, 11.2.9.1.7 (STATUS_UPNEEDED)", any_state=True, withheld=True)
def test_while_a_touch_is_waited_for_every_keepalive_says_so(wire):
    """Who reads another status takes the words "touch your key" away."""
    channel = wire.allocate()
    wait_for_touch(wire, channel)
    said = [wire.message() for _ in range(10)]
    cancel(wire, channel)
    for message in said:
        assert message.is_keepalive, f"{message}, before any touch"
        assert message.data == b"\x02", f"{message}, while a touch is waited for"


UNTOUCHED = {
    "getInfo": lambda key, made: key.ctap.get_info(),
    "a token": lambda key, made: key.token(GA, RP["id"]),
    "a silent assertion": lambda key, made: key.get(
        made, options={"up": False}, **key.auth(HASH, GA, RP["id"])
    ),
    "a change of the PIN": lambda key, made: key.client_pin().change_pin(key.pin, key.pin[::-1]),
    "a list of accounts": lambda key, made: management(key).enumerate_creds(
        sha256(RP["id"].encode()).digest()
    ),
    "a rename": lambda key, made: management(key).update_user_info(
        named(made), PublicKeyCredentialUserEntity(id=USER["id"], name="new")
    ),
    "a deletion": lambda key, made: management(key).delete_cred(named(made)),
}


@pytest.mark.case("CTAP 2.1, 11.2.9.1.7 (STATUS_PROCESSING)", needs=("clientPin", "rk"), withheld=True)
@pytest.mark.parametrize("what", UNTOUCHED)
def test_what_ends_without_a_touch_never_says_that_it_waits_for_one(with_pin, what):
    """Who reads that a touch is needed asks the user for one, and the key may take it for its next request."""
    made = make_resident(with_pin)
    with statuses_of(with_pin) as said:
        UNTOUCHED[what](with_pin, made)
    assert STATUS.UPNEEDED not in said, f"a keepalive asks for a touch, and {what} ends without one"


@contextmanager
def statuses_of(key):
    """Note the statuses of the keepalives of each request."""
    said: set[int] = set()
    call = key.device.call

    def noting(command, data=b"", event=None, on_keepalive=None):
        return call(command, data, event, said.add)

    with patch.object(key.device, "call", noting):
        yield said


# Optional commands


@pytest.mark.case("CTAP 2.1, 11.2.9.2.1 and 11.2.9.1.3", any_state=True)
def test_wink_does_what_the_capability_says(blank, wire):
    channel = wire.allocate()
    wire.send(channel, CTAPHID.WINK)
    if CAPABILITY.WINK in capabilities(blank):
        message = wire.answer(channel)
        assert (message.command, message.data) == (CTAPHID.WINK, b"")
    else:
        wire.refuses(channel, ERR.INVALID_COMMAND)
    wire.echoes(channel)


@pytest.mark.case("CTAP 2.1, 11.2.9.1.1 and 11.2.9.1.3 (CAPABILITY_NMSG)", any_state=True)
def test_msg_is_there_unless_the_capability_says_that_it_is_not(blank, wire):
    channel = wire.allocate()
    wire.send(channel, CTAPHID.MSG, b"\0\3\0\0\0\0\0")
    if CAPABILITY.NMSG in capabilities(blank):
        wire.refuses(channel, ERR.INVALID_COMMAND)
    else:
        message = wire.answer(channel)
        assert message.command == CTAPHID.MSG
        assert len(message.data) >= 2
    wire.echoes(channel)


# Commands from 0x40 are the vendor's (11.2.9.3), and some of them do things that cannot be undone.
@pytest.mark.case("CTAP 2.1, 11.2.9.1.6 (ERR_INVALID_CMD)", any_state=True)
@pytest.mark.parametrize("command", [0x00, 0x02, 0x05, 0x07, 0x12, 0x20, CTAPHID.KEEPALIVE, CTAPHID.ERROR])
def test_a_command_that_does_not_exist_is_refused(wire, command):
    channel = wire.allocate()
    wire.send(channel, command, b"\x01")
    wire.refuses(channel, ERR.INVALID_COMMAND)
    wire.echoes(channel)


@pytest.mark.case("CTAP 2.1, 11.2.9.1.6 (ERR_INVALID_CMD)", any_state=True)
def test_a_long_message_for_a_command_that_does_not_exist_does_no_harm(wire):
    # A key may refuse the first packet or the whole message; the rest of it belongs to nothing.
    channel = wire.allocate()
    wire.send(channel, 0x20, pattern(300))
    wire.refuses(channel, ERR.INVALID_COMMAND)
    wire.echoes(channel)


# Channel locking


@pytest.fixture
def locked(wire):
    """A channel that holds the lock for 10 seconds, and another one."""
    channel, other = wire.allocate(), wire.allocate()
    message = wire.call(channel, CTAPHID.LOCK, b"\x0a")
    if (message.command, message.data) == (CTAPHID.ERROR, bytes((ERR.INVALID_COMMAND,))):
        pytest.skip(f"{NOT_OFFERED}: CTAPHID_LOCK")
    assert (message.command, message.data) == (CTAPHID.LOCK, b"")
    yield channel, other
    wire.call(channel, CTAPHID.LOCK, b"\0")


@pytest.mark.case("CTAP 2.1, 11.2.6 and 11.2.9.2.2", any_state=True)
def test_a_lock_keeps_others_out_until_it_is_released(wire, locked):
    channel, other = locked
    wire.send(other, CTAPHID.PING, b"x")
    # "Will fail": the table of errors has two that say so.
    wire.refuses(other, ERR.CHANNEL_BUSY, ERR.LOCK_REQUIRED)
    wire.echoes(channel)
    wire.call(channel, CTAPHID.LOCK, b"\0")
    wire.echoes(other)


@pytest.mark.case("CTAP 2.1, 11.2.9.2.2 (up to 10 seconds)", any_state=True)
def test_a_lock_ends_by_itself(blank, wire, locked):
    blank.rig.clock.wait_us(10_500_000)
    wire.echoes(locked[1])


@pytest.mark.case("CTAP 2.1, 11.2.9.2.2 (lock time 0 to 10)", any_state=True)
def test_a_lock_of_more_than_ten_seconds_is_refused(wire, locked):
    wire.send(locked[0], CTAPHID.LOCK, b"\x0b")
    wire.refuses(locked[0], ERR.INVALID_PARAMETER)


@pytest.mark.case("CTAP 2.1, 11.2.9.2.2", any_state=True)
def test_a_lock_is_refused_or_given_and_then_released(wire):
    """Only the answer tells whether a key has LOCK. A time of 0 is harmless on any key."""
    channel, other = wire.allocate(), wire.allocate()
    message = wire.call(channel, CTAPHID.LOCK, b"\0")
    given = (message.command, message.data) == (CTAPHID.LOCK, b"")
    refused = (message.command, message.data) == (CTAPHID.ERROR, bytes((ERR.INVALID_COMMAND,)))
    assert given or refused, f"{message} to LOCK"
    wire.echoes(other)
