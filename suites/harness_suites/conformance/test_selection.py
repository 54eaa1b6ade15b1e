"""authenticatorSelection: the user chooses a key by touching it (CTAP 2.1, section 6.9)."""

from __future__ import annotations

import pytest
from fido2.ctap import CtapError

from harness_suites.conformance.ceremonies import Presence, descriptor
from harness_suites.conformance.device import HASH, RP, refused
from harness_suites.conformance.versions import refused_as

ERR = CtapError.ERR


def select(authenticator, **more):
    return authenticator.ctap.selection(**more)


@pytest.mark.case("CTAP 2.1, 6.9 (evidence of user interaction)", needs="FIDO_2_1", withheld=True)
def test_a_selection_asks_for_a_touch(blank):
    presence = Presence()
    with blank.touch():
        select(blank, **presence.watched)
    assert presence.asked


@pytest.mark.waits(30)
@pytest.mark.case("CTAP 2.1, 6.9 (USER_ACTION_TIMEOUT)", needs="FIDO_2_1", withheld=True)
def test_a_selection_that_is_not_touched_times_out(blank):
    # A key on which the user can decline says OPERATION_DENIED for that.
    with refused(ERR.USER_ACTION_TIMEOUT, ERR.OPERATION_DENIED):
        select(blank)


@pytest.mark.case("CTAP 2.1, 11.2.9.1.5 and 6.9", needs="FIDO_2_1", withheld=True)
def test_a_selection_that_is_cancelled_ends_and_can_be_made_again(blank):
    with refused(ERR.KEEPALIVE_CANCEL):
        select(blank, **Presence(cancel=True).watched)
    with blank.touch():
        select(blank)


@pytest.mark.waits(30)
@pytest.mark.case("CTAP 2.1, 6.9 and 6.2.2 step 9", needs="FIDO_2_1", withheld=True)
@pytest.mark.parametrize("following", ["makeCredential", "getAssertion"])
def test_the_touch_of_a_selection_serves_no_other_request(blank, following):
    made = blank.make()
    with blank.touch():
        select(blank)
    with refused_as(blank, "request that is not touched"):
        if following == "makeCredential":
            blank.ctap.make_credential(HASH, RP, {"id": b"another"}, [{"type": "public-key", "alg": -7}])
        else:
            blank.ctap.get_assertion(RP["id"], HASH, [descriptor(made)])
