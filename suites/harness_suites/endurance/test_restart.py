"""Does the key keep what it has acknowledged when it is only switched off and on?"""

from __future__ import annotations

import pytest

from harness.api import restart_breaches


def test_a_clean_restart_changes_nothing(rig, home):
    """No cut: the power goes when nothing is under way. Otherwise no later loss could be blamed on a cut."""
    if not home.lasting:
        pytest.skip(f"not judged: {rig.remark}")
    breaches = restart_breaches(rig, home)
    if breaches:
        pytest.fail(
            "; ".join(f"{breach.severity.value} {breach.outcome}: {breach.text}" for breach in breaches),
            pytrace=False,
        )
