"""Requirements that differ between the versions of CTAP: one table of the error codes.

A key says its versions in getInfo (CTAP 2.1, section 6.4). A case for a later version names it in `needs`. A case that
all versions ask, with different answers, names a row of ANSWERS.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from fido2.ctap import CtapError

from harness_suites.conformance.device import Authenticator, refused, refused_somehow, speaks

ERR = CtapError.ERR
Codes = tuple[CtapError.ERR, ...]
ANY: Codes = ()
"""Any error: the specification leaves the code to the key, or is silent."""

ANSWERS: dict[str, dict[str, Codes]] = {
    # CTAP 2.0, 5.5.3 has no step for it; 2.1, 6.5.5.4 step 4 and the like name the code.
    "clientPIN protocol that is not listed": {
        "FIDO_2_0": (ERR.INVALID_PARAMETER, ERR.PIN_AUTH_INVALID),
        "FIDO_2_1": (ERR.INVALID_PARAMETER,),
    },
    # CTAP 2.0, 5.1 step 4: UNSUPPORTED_OPTION or INVALID_OPTION; 2.1, 6.1.2 step 5.3: INVALID_OPTION.
    "built-in verification that is not there": {
        "FIDO_2_0": (ERR.UNSUPPORTED_OPTION, ERR.INVALID_OPTION),
        "FIDO_2_1": (ERR.INVALID_OPTION,),
    },
    # CTAP 2.1, 6.6: USER_ACTION_TIMEOUT; 2.0, 5.6 says OPERATION_DENIED if the user refuses, and no more.
    "reset that is not touched": {
        "FIDO_2_0": (ERR.OPERATION_DENIED, ERR.USER_ACTION_TIMEOUT, ERR.ACTION_TIMEOUT),
        "FIDO_2_1": (ERR.USER_ACTION_TIMEOUT,),
    },
    # CTAP 2.0 has extension codes from 0xE0 for it; 2.1, 12.5 names both.
    "hmac-secret salts that do not fit": {"FIDO_2_0": ANY, "FIDO_2_1": (ERR.INVALID_PARAMETER,)},
    "hmac-secret authentication that is wrong": {"FIDO_2_0": ANY, "FIDO_2_1": (ERR.PIN_AUTH_INVALID,)},
    # CTAP 2.1, 6.1.2 step 14.2.1.2 names the first; 6.6 and 8.2 have the second for the same. A case of its own asks
    # for the exact code.
    "request that is not touched": {
        "FIDO_2_0": (ERR.OPERATION_DENIED, ERR.USER_ACTION_TIMEOUT, ERR.ACTION_TIMEOUT),
        "FIDO_2_1": (ERR.OPERATION_DENIED, ERR.USER_ACTION_TIMEOUT),
    },
    # CTAP 2.1 had PIN_INVALID for both subcommands; its errata and 2.2 have PIN_POLICY_VIOLATION for permissions.
    "token with permissions while the PIN must be changed": {
        "FIDO_2_1": (ERR.PIN_POLICY_VIOLATION, ERR.PIN_INVALID),
        "FIDO_2_2": (ERR.PIN_POLICY_VIOLATION,),
    },
}
"""Situation -> first version that it holds for -> the codes with which a key must refuse."""


def codes_of(what: str, versions: Collection[str]) -> Codes:
    """Return the codes of a row of ANSWERS for a key of these versions."""
    row = ANSWERS[what]
    spoken = [version for version in row if speaks(versions, version)]
    return row[spoken[-1] if spoken else next(iter(row))]


@contextmanager
def refused_as(authenticator: Authenticator, what: str) -> Iterator[None]:
    """Check that the key refuses with a code that ANSWERS has for its version."""
    codes = codes_of(what, authenticator.info.versions)
    with refused(*codes) if codes else refused_somehow():
        yield
