"""hmac-secret outputs and credProtect levels outlive what is done to a key (F12, F13)."""

from __future__ import annotations

import pytest

from harness.campaign.recording import UncutFault
from support.nitrokey import found, walked

CUTS = 16


@pytest.mark.parametrize(
    ("act", "defect", "what"),
    [
        ("fido2.client_pin.change", "secret-changes-with-pin", ("fido2.hmac_secret", "lost")),
        (
            "fido2.make_credential.protected",
            "protection-after-credential",
            ("fido2.new_credential", "torn"),
        ),
    ],
)
def test_it_is_found_by_cuts(act, defect, what):
    assert what in found(walked(act, defect, cuts=CUTS))
    assert not walked(act, cuts=CUTS).findings


@pytest.mark.parametrize(
    ("defect", "item"),
    [
        ("secret-of-the-boot", "fido2.hmac_secret lost"),
        ("protection-forgotten", "fido2.cred_protect loosened"),
    ],
)
def test_what_is_wrong_from_the_start_is_found_before_the_first_cut(defect, item):
    """After each cut it would be wrong in the same way, and count as kept."""
    with pytest.raises(UncutFault, match=item):
        walked("fido2.get_assertion", defect, cuts=2)


def test_a_reset_makes_other_secrets_and_leaves_no_protected_credential():
    result = walked("fido2.reset", cuts=CUTS)
    assert not result.findings
    ends = [row for row in result.rows if row["outcome"] == "new"]
    assert ends
    for row in ends:
        assert row["changed"]["fido2.hmac_secret"][1] == ()
        assert row["changed"]["fido2.cred_protect"][1] == "absent"
