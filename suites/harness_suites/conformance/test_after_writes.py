"""Writes that follow others in one boot: what was changed before must last, whatever is written then.

A firmware that writes back a copy of its state as it was at power-up, or that forgets a member of a record when it
writes it anew, loses what no single write shows. So each case begins with a power cycle, changes, writes something
else, cycles the power again and looks at all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from fido2.ctap1 import ApduError, Ctap1
from fido2.ctap2 import Config, LargeBlobs
from fido2.ctap2.pin import ClientPin
from fido2.webauthn import PublicKeyCredentialUserEntity

from harness_suites.conformance.ceremonies import (
    ERR,
    GA,
    account,
    check,
    get_all,
    ident,
    make_accounts,
    make_resident,
    make_without_pin,
    management,
    named,
    option,
    room_for,
)
from harness_suites.conformance.device import HASH, RP, Authenticator, not_offered, refused, unless_refused
from harness_suites.conformance.pinuv import OTHER_PIN, OTHER_RP, WRONG_PIN, P, fresh_info, tries

NEEDS = ("clientPin", "rk", "credMgmt")
SALT = hashlib.sha256(b"salt of the case").digest()
BLOB = bytes(range(32))
ARRAY = [{1: b"\x5a" * 40, 2: b"\xa5" * 12, 3: 20}]
LOGINS = 6
"""Enough that a counter that went back to power-up is below one that was seen, also where its steps are random."""
ACCOUNTS = 10
CHALLENGE = hashlib.sha256(b"a challenge").digest()


def stored_with(authenticator: Authenticator) -> dict[str, Any]:
    """Return the inputs of every extension that a credential keeps something of and that the key offers."""
    inputs: dict[str, Any] = {"credProtect": 2, "hmac-secret": True, "credBlob": BLOB}
    inputs |= {"largeBlobKey": True, "thirdPartyPayment": True}
    return {name: value for name, value in inputs.items() if authenticator.has(name)}


def shown(authenticator: Authenticator, made: Any) -> dict[str, Any]:
    """Log in with the PIN and every extension; return what the key shows of the credential, its names left out."""
    offered = stored_with(authenticator)
    inputs: dict[str, Any] = {name: True for name in ("credBlob", "thirdPartyPayment") if name in offered}
    inputs |= {"largeBlobKey": True} if "largeBlobKey" in offered else {}
    protocol = authenticator.client_pin().protocol
    shared = b""
    if "hmac-secret" in offered:
        agreed = authenticator.ctap.client_pin(protocol.VERSION, ClientPin.CMD.GET_KEY_AGREEMENT)
        key, shared = protocol.encapsulate(agreed[ClientPin.RESULT.KEY_AGREEMENT])
        salt = protocol.encrypt(shared, SALT)
        proof = protocol.authenticate(shared, salt)
        inputs["hmac-secret"] = {1: key, 2: salt, 3: proof, 4: protocol.VERSION}
    assertion = authenticator.get(
        made, extensions=inputs or None, **authenticator.auth(HASH, GA, RP["id"], protocol.VERSION)
    )
    check(assertion, made)
    outputs = dict(assertion.auth_data.extensions or {})
    secret = outputs.pop("hmac-secret", None)
    listed = {
        bytes(one[7]["id"]): one
        for one in management(authenticator).enumerate_creds(hashlib.sha256(RP["id"].encode()).digest())
    }[ident(made)]
    return {
        "outputs": outputs,
        "secret": protocol.decrypt(shared, secret) if secret else None,
        "large blob key": assertion.large_blob_key,
        # Without the user (6) and the number of those listed (9), which the first one of a listing has.
        "listed": {key: value for key, value in listed.items() if key not in (6, 9)},
    }


def rename(authenticator: Authenticator, made: Any, number: int) -> None:
    """Give an account another name."""
    user = PublicKeyCredentialUserEntity(id=account(number)["id"], name="renamed", display_name="Renamed")
    management(authenticator).update_user_info(named(made), user)


def names(authenticator: Authenticator) -> dict[bytes, str | None]:
    """Return the name of each account of RP, as credential management lists it."""
    found = management(authenticator).enumerate_creds(hashlib.sha256(RP["id"].encode()).digest())
    return {bytes(one[6]["id"]): one[6].get("name") for one in found}


@pytest.mark.case("CTAP 2.1, 6.8.6", needs=NEEDS)
def test_a_rename_leaves_all_else_that_is_stored_with_the_credential(with_pin):
    """The secret of the hmac-secret extension above all: disks are encrypted with it."""
    older, newer = make_accounts(with_pin, 2, extensions=stored_with(with_pin))
    before = [shown(with_pin, one) for one in (older, newer)]
    order = [ident(one) for one in get_all(with_pin, uv=True)]
    rename(with_pin, older, 0)
    for when in ("in the same boot", "after a power cycle"):
        for whose, made, was in zip(("renamed", "other"), (older, newer), before, strict=True):
            now = shown(with_pin, made)
            changed = [what for what, value in was.items() if now[what] != value]
            assert not changed, f"{' and '.join(changed)} of the {whose} credential, {when}"
        with_pin.power_cycle()
    assert [ident(one) for one in get_all(with_pin, uv=True)] == order, "the order of creation has changed"
    assert names(with_pin)[account(0)["id"]] == "renamed"


# Changes of one boot


def _unprotected(authenticator: Authenticator) -> dict[str, Any]:
    """Ask for a credential that a login without a PIN finds: a key's default level may be another one (12.1)."""
    return {"extensions": {"credProtect": 1}} if authenticator.has("credProtect") else {}


def _protection(made: Any) -> int:
    """The level of credProtect that the key has given a credential."""
    return int((made.auth_data.extensions or {}).get("credProtect", 1))


class Changes:
    """What a case has changed since power-up, and what must be found after the next one."""

    def __init__(self, authenticator: Authenticator):
        self._key = authenticator
        self._info = authenticator.info
        self._minimum = self._info.min_pin_length
        self._blobs: list[Any] | None = None
        self._told = False
        self._left = authenticator.tries_max
        self._counter = 0
        self.plain = authenticator.make(**_unprotected(authenticator))
        """A credential that is not discoverable, to log in with."""
        if _protection(self.plain) == 3:
            not_offered("a login without a PIN: each credential is protected by it (credProtect 3)")
        self.accounts = make_accounts(authenticator, 3)

    def config(self) -> Config:
        return Config(self._key.ctap, *self._key.token(P.AUTHENTICATOR_CFG))

    def raise_minimum(self) -> None:
        """Raise the minimum length of a PIN, and let RP know of it; nothing where the key does not offer it."""
        if not option(self._key, "setMinPINLength"):
            return
        listed = "minPinLength" in self._info.extensions and self._info.max_rpids_for_min_pin > 0
        self._minimum += 1
        # The second time the list is left out, and stays.
        self.config().set_min_pin_length(self._minimum, [RP["id"]] if listed and not self._told else None)
        self._told = self._told or listed

    def write_blobs(self) -> None:
        """Write the large-blob array; nothing where there is none."""
        if not option(self._key, "largeBlobs"):
            return
        LargeBlobs(self._key.ctap, *self._key.token(P.LARGE_BLOB_WRITE)).write_blob_array(ARRAY)
        self._blobs = ARRAY

    def change_pin(self) -> None:
        assert self._key.pin is not None
        self._key.client_pin().change_pin(self._key.pin, OTHER_PIN)
        self._key.pin = OTHER_PIN

    def rename_and_delete(self) -> None:
        """Rename the first account and delete the last one."""
        rename(self._key, self.accounts[0], 0)
        management(self._key).delete_cred(named(self.accounts[2]))

    def guess(self) -> None:
        """Enter a wrong PIN."""
        with refused(ERR.PIN_INVALID):
            self._key.client_pin().get_pin_token(WRONG_PIN)
        self._left -= 1

    def log_in(self) -> None:
        """Use every way that asks for no PIN: an assertion, a registration, and U2F."""
        key = self._key
        for _ in range(LOGINS):
            self._counter = max(self._counter, key.get(self.plain).auth_data.counter)
        if option(key, "makeCredUvNotRqd"):
            self._counter = max(self._counter, make_without_pin(key, rp=OTHER_RP).auth_data.counter)
        if "U2F_V2" in key.info.versions:
            with suppress(ApduError), key.touch():
                handle = Ctap1(key.device).register(CHALLENGE, hashlib.sha256(b"u2f").digest()).key_handle
                Ctap1(key.device).authenticate(CHALLENGE, hashlib.sha256(b"u2f").digest(), handle)

    def last(self) -> None:
        """Cycle the power; check that everything is as it was left."""
        key = self._key
        before = fresh_info(key)
        key.power_cycle()
        assert tries(key) == self._left, "PIN tries"
        after = key.info
        for what in ("options", "min_pin_length", "force_pin_change", "aaguid", "versions"):
            assert getattr(after, what) == getattr(before, what), what
        assert after.min_pin_length == self._minimum, "the minimum length of a PIN"
        assertion = key.get(self.plain)
        check(assertion, self.plain)
        counter = assertion.auth_data.counter
        assert counter > self._counter or counter == self._counter == 0, "the signature counter"
        if self._told:
            outputs = key.make(rp=RP, extensions={"minPinLength": True}).auth_data.extensions or {}
            assert outputs.get("minPinLength") == after.min_pin_length, "RP is not on the list any more"
        if self._blobs is not None:
            assert list(LargeBlobs(key.ctap).read_blob_array()) == self._blobs, "the large-blob array"

    def last_accounts(self) -> None:
        """Check that the first account has its new name, and that the last one is gone."""
        listed = {account(0)["id"]: "renamed", account(1)["id"]: account(1)["name"]}
        assert names(self._key) == listed, "the accounts that are listed, and their names"
        found = get_all(self._key, uv=True)
        left = [ident(self.accounts[1]), ident(self.accounts[0])]
        assert [ident(one) for one in found] == left, "the credentials that assert, the newest first"
        for assertion, made in zip(found, reversed(self.accounts[:2]), strict=True):
            check(assertion, made)


def begun(authenticator: Authenticator) -> Changes:
    """Make the credentials of a case, and begin another boot."""
    if authenticator.info.options.get("alwaysUv"):
        not_offered("a login without a PIN: alwaysUv is on")
    changes = Changes(authenticator)
    authenticator.power_cycle()
    return changes


@pytest.mark.case("CTAP 2.1, 6.5.5.6, 6.8.5, 6.8.6, 6.10, 6.11.4", needs=NEEDS)
def test_what_was_changed_in_a_boot_lasts_when_somebody_logs_in_and_guesses_then(with_pin):
    changes = begun(with_pin)
    changes.change_pin()
    changes.raise_minimum()
    changes.write_blobs()
    changes.rename_and_delete()
    changes.log_in()
    changes.guess()
    changes.log_in()
    changes.last()
    changes.last_accounts()
    assert with_pin.client_pin().get_pin_token(OTHER_PIN)


@pytest.mark.case("CTAP 2.1, 6.5.5.6, 6.10, 6.11.4", needs=NEEDS)
def test_what_was_changed_in_a_boot_lasts_when_the_pin_is_changed_then(with_pin):
    changes = begun(with_pin)
    changes.log_in()
    changes.rename_and_delete()
    changes.raise_minimum()
    changes.write_blobs()
    changes.change_pin()
    changes.last()
    changes.last_accounts()


@pytest.mark.case("CTAP 2.1, 6.5.5.6, 6.11.2, 6.11.4", needs=(*NEEDS, "authnrCfg"))
def test_what_was_changed_in_a_boot_lasts_when_settings_are_changed_then(with_pin):
    changes = begun(with_pin)
    changes.log_in()
    changes.change_pin()
    changes.raise_minimum()
    changes.rename_and_delete()
    for _ in range(2 if "alwaysUv" in with_pin.info.options else 0):
        # On, and off again where the key allows it.
        unless_refused(lambda: changes.config().toggle_always_uv(), ERR.OPERATION_DENIED)
    changes.raise_minimum()
    if fresh_info(with_pin).options.get("alwaysUv"):
        not_offered("alwaysUv cannot be switched off")
    changes.last()
    changes.last_accounts()


@pytest.mark.case("CTAP 2.1, 6.11.4 (forceChangePin)", needs=(*NEEDS, "setMinPINLength"))
def test_the_duty_to_change_the_pin_lasts_when_somebody_logs_in_then(with_pin):
    changes = begun(with_pin)
    changes.config().set_min_pin_length(force_change_pin=True)
    # Some keys refuse to be used at all until the PIN was changed.
    unless_refused(changes.log_in)
    with_pin.power_cycle()
    assert with_pin.info.force_pin_change, "forcePINChange in getInfo"
    assert unless_refused(lambda: with_pin.client_pin().get_pin_token(with_pin.pin)) is None, (
        "the PIN is taken"
    )


@pytest.mark.case("CTAP 2.1, 6.5.5.7 (pinRetries)", needs="clientPin")
def test_a_wrong_pin_stays_counted_until_the_right_one_was_entered(with_pin):
    """Neither a power cycle nor what needs no PIN gives a try back."""
    changes = begun(with_pin)
    changes.guess()
    with_pin.power_cycle()
    assert tries(with_pin) == with_pin.tries_max - 1, "PIN tries after a power cycle"
    changes.log_in()
    assert tries(with_pin) == with_pin.tries_max - 1, "PIN tries after a login without the PIN"
    changes.guess()
    changes.log_in()
    changes.last()


def _renames(authenticator: Authenticator, made: Any) -> Callable[[], object]:
    manager = management(authenticator)
    user = PublicKeyCredentialUserEntity(id=account(0)["id"], name="renamed")
    return lambda: manager.update_user_info(named(made), user)


def _deletes(authenticator: Authenticator, made: Any) -> Callable[[], object]:
    manager = management(authenticator)
    return lambda: manager.delete_cred(named(made))


def _registers(authenticator: Authenticator, made: Any) -> Callable[[], object]:
    authorised = authenticator.auth(HASH, P.MAKE_CREDENTIAL, RP["id"])
    return lambda: make_resident(authenticator, account(1), **authorised)


def _asserts(authenticator: Authenticator, made: Any) -> Callable[[], object]:
    authorised = authenticator.auth(HASH, GA, RP["id"])
    return lambda: authenticator.get(made, **authorised)


def _writes_blobs(authenticator: Authenticator, made: Any) -> Callable[[], object]:
    if not option(authenticator, "largeBlobs"):
        not_offered("getInfo does not say largeBlobs")
    blobs = LargeBlobs(authenticator.ctap, *authenticator.token(P.LARGE_BLOB_WRITE))
    return lambda: blobs.write_blob_array(ARRAY)


def _configures(authenticator: Authenticator, made: Any) -> Callable[[], object]:
    if not option(authenticator, "setMinPINLength"):
        not_offered("getInfo does not say setMinPINLength")
    config = Config(authenticator.ctap, *authenticator.token(P.AUTHENTICATOR_CFG))
    return lambda: config.set_min_pin_length(authenticator.info.min_pin_length)


@pytest.mark.case("CTAP 2.1, 6.5.5.7 (pinRetries)", needs=("clientPin", "rk"))
@pytest.mark.parametrize(
    "use",
    [_renames, _deletes, _registers, _asserts, _writes_blobs, _configures],
    ids=lambda use: use.__name__[1:],
)
def test_a_wrong_pin_stays_counted_whatever_an_earlier_token_is_used_for(with_pin, use):
    """The right PIN alone gives a try back, and not what somebody does who has entered it before."""
    made = make_resident(with_pin, account(0))
    act = use(with_pin, made)
    with refused(ERR.PIN_INVALID):
        with_pin.client_pin().get_pin_token(WRONG_PIN)
    # A key may let a wrong PIN end the token.
    unless_refused(act, ERR.PIN_AUTH_INVALID)
    for when in ("in the same boot", "after a power cycle"):
        assert tries(with_pin) == with_pin.tries_max - 1, f"PIN tries {when}"
        with_pin.power_cycle()


@pytest.mark.case("CTAP 2.1, 6.6", needs=NEEDS)
def test_what_is_written_in_the_boot_of_a_reset_lasts(with_pin):
    """A key that goes on with what it knew before the reset loses it at the next power-up."""
    with_pin.power_cycle()
    with_pin.reset()
    with_pin.connect()
    assert with_pin.pin is not None
    with_pin.client_pin().set_pin(with_pin.pin)
    with_pin.connect()
    if with_pin.info.options.get("alwaysUv"):
        not_offered("a login without a PIN: alwaysUv is on")
    changes = Changes(with_pin)
    changes.raise_minimum()
    changes.write_blobs()
    changes.rename_and_delete()
    changes.log_in()
    changes.last()
    changes.last_accounts()


@pytest.mark.case("CTAP 2.1, 6.8.4; 6.2", needs=NEEDS)
def test_every_one_of_ten_accounts_is_listed_and_asserts_after_a_power_cycle(with_pin):
    made = {ident(one) for one in make_accounts(with_pin, ACCOUNTS)}
    with_pin.power_cycle()
    assert set(names(with_pin)) == {account(number)["id"] for number in range(ACCOUNTS)}, "listed accounts"
    assert {ident(one) for one in get_all(with_pin, uv=True)} == made, "accounts that assert"


@pytest.mark.case("CTAP 2.1, 6.8.3", needs=NEEDS)
def test_every_one_of_ten_relying_parties_is_listed_after_a_power_cycle(with_pin):
    rps = [{"id": f"rp-{number}.keyharness.example"} for number in range(ACCOUNTS)]
    with room_for("ten discoverable credentials"):
        made = {rp["id"]: ident(make_resident(with_pin, rp=rp)) for rp in rps}
    with_pin.power_cycle()
    manager = management(with_pin)
    listed = {one[3]["id"]: bytes(one[4]) for one in manager.enumerate_rps()}
    assert listed == {rp: hashlib.sha256(rp.encode()).digest() for rp in made}, "listed relying parties"
    for rp, known in made.items():
        (one,) = manager.enumerate_creds(listed[rp])
        assert bytes(one[7]["id"]) == known, f"the credential of {rp}"


@pytest.mark.case("WebAuthn 2, 4 (Credential ID; credential key pair)", needs="rk")
def test_credentials_of_different_boots_have_key_pairs_and_ids_of_their_own(blank):
    """A generator of random numbers that begins alike after each power-up makes the same key twice."""
    made = []
    for number in range(2):
        blank.power_cycle()
        made += [make_resident(blank, account(number)), blank.make()]
    assert len({ident(one) for one in made}) == len(made), "two credentials with one id"
    keys = {bytes(one.auth_data.credential_data.public_key[-2]) for one in made}
    assert len(keys) == len(made), "two credentials with one key pair"
