"""Find out whose key it is: credentials that are not ours, and the mark on a key without a serial."""

from __future__ import annotations

import secrets

from fido2.ctap import CtapError
from fido2.ctap2 import CredentialManagement

from harness.api import Rig, candidates
from harness_fido2.client import ES256, FIDO2_PIN, Fido, challenge, manages_credentials

OURS = ".keyharness.example"
"""Suffix of every relying party that Keyharness registers credentials for. Nobody can own a name in .example."""
MARKER_RP = f"marker{OURS}"
TRIES_KEPT = 4
"""With fewer PIN tries left, none is spent to find out whose key it is."""
FIELD = CredentialManagement.RESULT


def foreign(rig: Rig) -> list[str]:
    """Describe what the application holds that we did not make. Only counts: names of relying parties are private.

    Spends a PIN try for each PIN that may be ours; the right PIN restores the counter.
    """
    client = Fido(rig)
    options = client.info.options
    if not options.get("clientPin"):
        # Without a PIN the key lists nothing; our own canaries are looked for elsewhere.
        return []
    left = client.tries()
    if left < TRIES_KEPT:
        return [f"a PIN is set, and only {left} tries are left to find out whether it is ours"]
    pin = _ours(client, candidates(rig, FIDO2_PIN)[: left - TRIES_KEPT + 1])
    if pin is None:
        return ["a PIN is set that is none of ours"]
    if not manages_credentials(client.info):
        return []
    manager = client.management(pin)
    if not manager.get_metadata()[FIELD.EXISTING_CRED_COUNT]:
        return []
    others = [rp for rp in manager.enumerate_rps() if not str(rp[FIELD.RP].get("id", "")).endswith(OURS)]
    return [f"credentials of {len(others)} relying parties that are not ours"] if others else []


def unseen(rig: Rig) -> str | None:
    """Describe what the application may hold although the key cannot list it; None if it lists everything."""
    info = Fido(rig).info
    if manages_credentials(info) and info.options.get("clientPin"):
        return "credentials that are not resident: a key keeps no list of those"
    if manages_credentials(info):
        return "any credential: without a PIN a key lists none"
    return "any credential: this key lists none"


def _ours(client: Fido, pins: list[str]) -> str | None:
    for pin in pins:
        try:
            client.pin().get_pin_token(pin)
        except CtapError as error:
            if error.code != CtapError.ERR.PIN_INVALID:
                return None
        else:
            return pin
    return None


def marker(rig: Rig) -> str | None:
    """Read the mark that the key got at its enrolment: the user handle of a credential of our own relying party.

    Costs neither a touch nor a count.
    """
    client = Fido(rig)
    try:
        found = client.ctap.get_assertion(MARKER_RP, challenge("get", MARKER_RP), options={"up": False})
    except CtapError:
        return None
    user = found.user or {}
    return bytes(user["id"]).hex() if user.get("id") else None


def keep_mark(rig: Rig) -> int:
    """Mark the key again if a reset removed the mark that identifies it. Returns its number of marks."""
    kind, _, value = (rig.identity or "").partition(":")
    if kind != "marker":
        return 0
    if marker(rig) != value:
        mark(rig, value)
    return 1


def mark(rig: Rig, value: str | None = None) -> str:
    """Mark an empty key, so that it differs from others of its model. Returns the mark.

    :param value: the earlier mark, if a reset removed it.
    """
    made = value or secrets.token_hex(16)
    client = Fido(rig)
    with rig.touch.pressing():
        client.ctap.make_credential(
            challenge("mark", made),
            {"id": MARKER_RP, "name": MARKER_RP},
            {"id": bytes.fromhex(made), "name": "keyharness", "displayName": "Keyharness test key"},
            ES256,
            options={"rk": True},
        )
    return made
