"""A card whose answer lacks what a case reads of it fails the case; the harness is not blamed."""

from __future__ import annotations

import pytest

from harness.twin.endpoints import ApduEndpoint
from harness_cards.curves import BY_NAME
from harness_openpgp.slots import Slot
from support.trial_card import TrialCard

OK = b"\x90\x00"
OPENPGP, HSM = "openpgp", "nitrokey-hsm2"
CAPABILITIES, COUNTER, ATTRIBUTES, FLAG = "00CA00C0", "00CA007A", "00CA00C1", "00CA00D6"
SIGN = "80680973"
CASES = {
    "a bit of DO C0": (OPENPGP, "openpgp/test_use::test_aes_needs_82", {}, CAPABILITIES, b""),
    "an object of DO 7A": (
        *(OPENPGP, "openpgp/test_data::test_the_signature_counter_has_three_bytes", {}),
        *(COUNTER, b""),
    ),
    "a touch flag": (
        *(OPENPGP, "openpgp/test_use::test_a_flag_of_another_form_is_refused", {"flag": "01"}),
        *(FLAG, b""),
    ),
    "an algorithm": (
        *(
            OPENPGP,
            "openpgp/test_data::test_the_attributes_name_an_algorithm_of_the_specification",
            {"slot": Slot.SIGN},
        ),
        *(ATTRIBUTES, b"\x31"),
    ),
    "a signature in DER": (
        *(
            HSM,
            "schsm/test_keys::test_each_curve_signs",
            {"curve": BY_NAME["brainpoolP192r1"]},
        ),
        *(SIGN, b"\x30"),
    ),
}
"""What is missing -> key, case, its parameters, the command (its first bytes), and what is answered to it."""


@pytest.mark.parametrize("what", CASES)
def test_the_case_fails(monkeypatch, what):
    key, case, parameters, command, instead = CASES[what]
    card = TrialCard(key)
    assert card.asked(case, **parameters) == "passed"
    whole, shortened = ApduEndpoint.exchange, []

    def exchange(endpoint: ApduEndpoint, apdu: bytes) -> bytes:
        answer = whole(endpoint, apdu)
        if not apdu.hex().upper().startswith(command):
            return answer
        shortened.append(apdu)
        return instead + OK

    monkeypatch.setattr(ApduEndpoint, "exchange", exchange)
    assert card.asked(case, **parameters) == "failed", card.said
    assert shortened
