"""Cases whose parameters Allure cannot tell apart; run by the tests of the report in a child."""

import pytest

from harness.report import allure_labels


@pytest.mark.parametrize("nonce", [bytes(8), b"\xff" * 8, bytes(range(8))], ids=["zeros", "ones", "counting"])
def test_nonce(nonce, request):
    allure_labels.label_case(suite="conformance", case=request.node.callspec.id)
    assert len(nonce) == 8
