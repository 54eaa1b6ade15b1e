"""What is asked of the small card, row by row."""

import pytest
from small_card import FACTORY_PIN, Client

from harness.api import Refused

WRONG = "00000000"


@pytest.fixture
def small(rig):
    """The card, just powered up in its home state."""
    rig.power.on()
    rig.wait_until_up()
    return Client(rig)


def refused(status):
    return pytest.raises(Refused, match=f"status {status}")


def test_each_wrong_pin_costs_a_try_and_the_right_one_gives_them_back(small):
    for left in (2, 1):
        with refused(f"63C{left}"):
            small.verify(WRONG)
        assert small.tries() == left
    small.verify(FACTORY_PIN)
    assert small.tries() == 3


def test_after_three_wrong_pins_the_right_one_is_refused_too(small):
    for left in (2, 1, 0):
        with refused(f"63C{left}"):
            small.verify(WRONG)
    with refused("6983"):
        small.verify(FACTORY_PIN)


def test_the_file_is_written_behind_the_pin_only(small, power, rig):
    with refused("6982"):
        small.update("new")
    small.verify(FACTORY_PIN)
    small.update("new")
    assert small.read() == "new"
    power.cycle()
    rig.wait_until_up()
    with refused("6982"):
        Client(rig).update("other")


def test_a_changed_pin_takes_the_place_of_the_old_one(small):
    small.change(FACTORY_PIN, "87654321")
    with refused("63C2"):
        small.verify(FACTORY_PIN)
    small.verify("87654321")


def test_an_unknown_instruction_is_refused(small):
    with refused("6D00"):
        small.card.command("unknown", 0xEE)
