"""Does what is written and undone give back all the room that it took?"""

from __future__ import annotations

import pytest

from harness.api import drifts, glass_box, session_of


def test_paired_writes_take_no_room(rig, home, pytestconfig):
    """No cut: register and delete, rename and back, change and change back, 500 times altogether."""
    if glass_box(rig) is None:
        pytest.skip("the blocks are counted inside a simulated key; a real one would wear out")
    found = drifts(rig, home, processes=session_of(pytestconfig).processes())
    if not found:
        pytest.skip("the key's applications write nothing that can be undone")
    wrong = [drift.text for drift in found if drift.text]
    if wrong:
        pytest.fail("S2 lost: " + "; ".join(wrong), pytrace=False)
