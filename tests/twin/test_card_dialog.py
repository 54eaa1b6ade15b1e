"""Chains of commands and answers in parts, as a card's firmware takes and gives them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.twin.card_dialog import CHAINED, GET_RESPONSE, CardDialog
from harness.twin.card_firmware import OK, Command


def command(data: bytes = b"", *, cla: int = 0, ins: int = 0xDA, le: int | None = None) -> Command:
    return Command(cla, ins, 0, 0x5E, data, le)


@given(st.binary(min_size=1, max_size=300), st.integers(1, 255))
def test_a_chain_is_the_command_that_was_cut_up(content, block):
    dialog = CardDialog(300)
    parts = [content[at : at + block] for at in range(0, len(content), block)]
    for part in parts[:-1]:
        assert dialog.take(command(part, cla=CHAINED)) == (b"", OK)
    assert dialog.take(command(parts[-1], le=256)) == command(content, le=256)


@given(st.binary(max_size=700), st.one_of(st.none(), st.integers(1, 256)), st.booleans())
def test_the_parts_of_an_answer_are_the_answer(content, le, wants_le):
    dialog = CardDialog(300)
    found, status = dialog.limited(content, OK, le, wants_le=wants_le)
    if le is None:
        assert found == (b"" if wants_le else content)
    while status >> 8 == 0x61:
        waiting = status & 0xFF or 256
        taken = dialog.take(command(ins=GET_RESPONSE, le=waiting))
        assert not isinstance(taken, Command)
        more, status = taken
        assert len(more) == waiting
        found += more
    assert (found, status) == (content, OK)


@pytest.mark.parametrize("cla", [0xA0, 0xB0, 0xFF])
def test_the_bit_of_chaining_means_nothing_in_other_classes(cla):
    assert CardDialog(300).take(command(b"x", cla=cla)) == command(b"x", cla=cla)


def test_a_chain_of_two_commands_is_refused_and_forgotten():
    dialog = CardDialog(300)
    dialog.take(command(b"x", cla=CHAINED))
    assert dialog.take(command(b"y", ins=0xDB)) == (b"", 0x6A80)
    assert dialog.take(command(b"z")) == command(b"z")


def test_a_chain_that_is_too_long_is_refused_and_forgotten():
    dialog = CardDialog(3)
    dialog.take(command(b"xx", cla=CHAINED))
    assert dialog.take(command(b"yy")) == (b"", 0x6700)
    assert dialog.take(command(b"zzz")) == command(b"zzz")


def test_an_answer_that_nobody_fetches_is_forgotten():
    dialog = CardDialog(300)
    dialog.limited(bytes(300), OK, 256)
    dialog.take(command(b"x"))
    assert dialog.take(command(ins=GET_RESPONSE, le=256)) == (b"", 0x6A86)
