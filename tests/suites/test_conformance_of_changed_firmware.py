"""A case that its firmware breaks in one place fails, and the same case of the sound firmware passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.api import Touched
from harness.twin import littlefs_store
from harness_fido2.twin import (
    authenticator,
    clientpin,
    credentials,
    credmgmt,
    crypto,
    getassertion,
    hid,
    largeblobs,
    makecredential,
    u2f,
)
from harness_fido2.twin.features import TRIES
from harness_fido2.twin.persistent_state import PersistentState
from harness_fido2.twin.status import Status, StatusError
from harness_fido2.twin.verification import PRESENT, VERIFIED
from harness_nitrokey3.twin import admin, card, settings
from harness_suites.conformance import test_after_writes, test_client_pin
from harness_suites.conformance.ceremonies import LONG_NAMES
from support.trial_key import TrialKey, changed_members

Patch = pytest.MonkeyPatch
Change = Callable[[Patch], None]


def power_cycle_before_blocked(patch: Patch) -> None:
    """Three wrong PINs in a row are told before the last try is."""
    check = clientpin._check_pin

    def checked(app, *more):
        try:
            check(app, *more)
        except StatusError as refused:
            if refused.status == Status.PIN_BLOCKED and app.tries_now == 0:
                raise StatusError(Status.PIN_AUTH_BLOCKED) from None
            raise

    patch.setattr(clientpin, "_check_pin", checked)


def middle_without(flag: int) -> Change:
    """An assertion that is neither the first nor the last loses a flag."""

    def change(patch: Patch) -> None:
        made = getassertion._assert

        def asserted(app, work, credential):
            return made(
                app, replace(work, flags=work.flags & ~flag) if work is app.pending else work, credential
            )

        patch.setattr(getassertion, "_assert", asserted)

    return change


def middle_present(patch: Patch) -> None:
    made = getassertion._assert

    def asserted(app, work, credential):
        return made(
            app, replace(work, flags=work.flags | PRESENT) if work is app.pending else work, credential
        )

    patch.setattr(getassertion, "_assert", asserted)


def stored(**cut: int) -> Change:
    """The user's members are cut when they are stored; in RAM they stay whole."""

    def change(patch: Patch) -> None:
        encode = credentials._encode

        def shorter(epoch, credential):
            user = {name: value[: cut.get(name)] for name, value in credential.user.items()}
            return encode(epoch, replace(credential, user=user))

        patch.setattr(credentials, "_encode", shorter)

    return change


def hidden_ones_counted(patch: Patch) -> None:
    """The number of credentials is that of all of the relying party."""
    get = getassertion.get_assertion

    def counted(app, members):
        response = yield from get(app, members)
        if 0x05 in response:
            response[0x05] = len(app.residents.of(crypto.sha256(members[0x01].encode())))
        return response

    patch.setitem(authenticator._WITH_PARAMETERS, 0x02, counted)


def destructive_without_touch(patch: Patch) -> None:
    for name, field in settings.FIELDS.items():
        patch.setitem(settings.FIELDS, name, field._replace(touch=field.touch and not field.destructive))


def free_blocks_wrap(patch: Patch) -> None:
    told = admin.Admin._status

    def wrapped(self, data):
        whole = yield from told(self, data)
        free = self._platform.store("internal").free_blocks()
        return whole[:1] + bytes((free & 0xFF,)) + whole[2:]

    patch.setattr(admin.Admin, "_status", wrapped)


def order_is_a_count(patch: Patch) -> None:
    add = credentials.ResidentCredentials.add

    def counted(self, credential, limit):
        add(self, replace(credential, order=self.count()), limit)

    patch.setattr(credentials.ResidentCredentials, "add", counted)


def same_length_not_written(patch: Patch) -> None:
    write = littlefs_store.Store.write

    def saving(self, path, data):
        if path != largeblobs.PATH or len(self.read(path) or b"") != len(data):
            write(self, path, data)

    patch.setattr(littlefs_store.Store, "write", saving)


def one_byte_of_channels(patch: Patch) -> None:
    init = hid.HidFirmware._init

    def wraps(self, channel, nonce):
        self._channels %= 255
        init(self, channel, nonce)

    patch.setattr(hid.HidFirmware, "_init", wraps)


def check_only_waits(patch: Patch) -> None:
    perform = u2f._perform

    def waiting(app, apdu):
        if apdu.instruction == u2f.AUTHENTICATE and apdu.p1 == u2f.CHECK_ONLY:
            yield from u2f._present()
        return (yield from perform(app, apdu))

    patch.setattr(u2f, "_perform", waiting)


def three_tries_again(patch: Patch) -> None:
    """What is signed gives the tries of this boot back, as a right PIN does."""
    count = PersistentState.next_counter

    def counted(self):
        if (app := self.__dict__.get("app")) is not None:
            app.tries_now = 3
        return count(self)

    patch.setattr(PersistentState, "next_counter", counted)
    made = authenticator.Authenticator.__init__

    def make(self, *more):
        made(self, *more)
        self.persistent.app = self

    patch.setattr(authenticator.Authenticator, "__init__", make)


def every_setting_forgotten(patch: Patch) -> None:
    reset = settings.Settings.reset
    patch.setattr(settings.Settings, "reset", lambda self, application=None: reset(self))


def rp_ids_in_lower_case(patch: Patch) -> None:
    read = makecredential._read

    def lower(app, members):
        request = read(app, members)
        return replace(request, rp_id=request.rp_id.lower())

    patch.setattr(makecredential, "_read", lower)


def blocks_in_the_wrong_order(patch: Patch) -> None:
    status = admin.Admin._status

    def swapped(self, data):
        told = yield from status(self, data)
        return told[:2] + told[3:1:-1] + told[4:]

    patch.setattr(admin.Admin, "_status", swapped)


def many_bytes_stored_shorter(patch: Patch) -> None:
    """The flash has room for 63 bytes of a name that is not ASCII; in RAM it stays whole."""
    encode = credentials._encode

    def shorter(epoch, credential):
        user = {
            name: value
            if isinstance(value, bytes) or value.isascii()
            else value.encode()[:63].decode(errors="ignore")
            for name, value in credential.user.items()
        }
        return encode(epoch, replace(credential, user=user))

    patch.setattr(credentials, "_encode", shorter)


def names_cut(*, stored_only: bool = False, errors: str = "replace", size: int = 64) -> Change:
    """Longer names are cut at a byte; what is left of a character becomes another one, or goes."""

    def cut(user):
        return {
            name: value if isinstance(value, bytes) else value.encode()[:size].decode(errors=errors)
            for name, value in user.items()
        }

    def change(patch: Patch) -> None:
        if not stored_only:
            for module in (makecredential, credmgmt):
                patch.setattr(
                    module,
                    "names_of",
                    lambda app, user: cut({n: user[n] for n in ("name", "displayName") if user.get(n)}),
                )
            return
        whole, encode = makecredential.NAME_MAX * 4, credentials._encode
        patch.setattr(makecredential, "NAME_MAX", whole)
        patch.setattr(
            credentials,
            "_encode",
            lambda epoch, made: encode(epoch, replace(made, user=cut(made.user))),
        )

    return change


LAST = "test_client_pin::test_a_last_try_that_is_the_third_in_a_row_tells_that_the_pin_is_blocked_for_good"
NEXT = "test_get_assertion::test_a_next_assertion_asks_for_no_touch_and_claims_what_the_first_did"
SILENT = "test_get_assertion::test_a_next_assertion_after_a_silent_one_claims_no_presence"
VERIFIES = "test_get_assertion::test_verification_of_the_first_assertion_holds_for_the_next"
LONGEST = "test_discoverable::test_the_longest_handle_names_and_rp_id_outlive_a_power_cycle"
CHECKS = "test_u2f::test_check_only_asks_for_no_touch"
OTHERS = "test_admin::test_the_reset_of_one_application_leaves_the_settings_of_the_others"
AS_IT_COMES = "test_discoverable::test_an_rp_id_is_taken_as_it_comes"
UNCOUNTED = "test_cred_protect::test_credentials_that_are_not_told_are_not_counted"
NEWEST = "test_discoverable::test_a_new_account_is_the_newest_after_older_ones_were_deleted"
SAME_LENGTH = "test_large_blobs::test_an_array_of_the_same_length_takes_the_place_of_another"
LISTED = "test_admin::test_settings_are_listed_with_what_changing_them_takes"
ROOM = "test_admin::test_there_is_room_in_both_file_systems"
CHANNELS = "test_ctaphid::test_every_init_gives_another_channel"

MANY_BYTES = "test_discoverable::test_the_longest_names_of_many_byte_characters_outlive_a_power_cycle"
EARLIER = "test_after_writes::test_a_wrong_pin_stays_counted_whatever_an_earlier_token_is_used_for"
BLOCK = "test_client_pin::test_what_needs_no_pin_does_not_lift_the_block"

ROWS: dict[str, tuple[Change, str]] = {
    "the last try tells of a power cycle": (power_cycle_before_blocked, LAST),
    "the second of four is not present": (middle_without(PRESENT), NEXT),
    "the second of three is not verified": (middle_without(VERIFIED), VERIFIES),
    "the second of three is present": (middle_present, SILENT),
    "a handle of 63 bytes": (stored(id=63), LONGEST),
    "a name of 63 bytes": (stored(name=63), LONGEST),
    "a display name of 63 bytes": (stored(displayName=63), LONGEST),
    "check-only waits for a touch": (check_only_waits, CHECKS),
    "the reset of one application forgets every setting": (every_setting_forgotten, OTHERS),
    "an RP id is stored in lower case": (rp_ids_in_lower_case, AS_IT_COMES),
    "free blocks have their bytes in the wrong order": (blocks_in_the_wrong_order, ROOM),
    "credentials that are not told are counted": (hidden_ones_counted, UNCOUNTED),
    "the order is the number of credentials": (order_is_a_count, NEWEST),
    "an array of the same length is not written": (same_length_not_written, SAME_LENGTH),
    "a setting that deletes data asks for no touch": (destructive_without_touch, LISTED),
    "the free blocks are told modulo 256": (free_blocks_wrap, ROOM),
    "63 bytes are stored of a name that is not ASCII": (many_bytes_stored_shorter, MANY_BYTES),
    "channels are numbered by one byte": (one_byte_of_channels, CHANNELS),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_case_fails_the_changed_firmware_alone(monkeypatch: Patch, row: tuple[Change, str]) -> None:
    change, case = row
    sound = TrialKey(monkeypatch)
    assert sound.asked(case) == "passed", sound.said
    with monkeypatch.context() as patch:
        change(patch)
        key = TrialKey(patch)
        assert key.asked(case) == "failed", key.said


BEGINS = "test_discoverable::test_what_is_told_of_a_longer_name_is_its_beginning"
NEW_NAME = "test_credential_management::test_what_is_told_of_a_longer_new_name_is_its_beginning"
RP_NAME = "test_credential_management::test_what_is_told_of_the_name_of_an_rp_is_its_beginning"
SAME_BOOT, NEXT_BOOT = "the same boot", "the next boot"
CUTS = {
    "half a character becomes another one": (names_cut(), SAME_BOOT),
    "half a character becomes another one on the flash": (names_cut(stored_only=True), NEXT_BOOT),
    "60 bytes are kept": (names_cut(errors="ignore", size=60), SAME_BOOT),
    "60 bytes are stored": (names_cut(stored_only=True, errors="ignore", size=60), NEXT_BOOT),
}


@pytest.mark.parametrize("case", [BEGINS, NEW_NAME], ids=["made", "renamed"])
@pytest.mark.parametrize(("change", "boot"), CUTS.values(), ids=CUTS)
def test_a_name_that_is_cut_in_another_way_fails(
    monkeypatch: Patch, case: str, change: Change, boot: str
) -> None:
    sound = TrialKey(monkeypatch)
    assert sound.asked(case, boot=boot) == "passed", sound.said
    with monkeypatch.context() as patch:
        change(patch)
        key = TrialKey(patch)
        assert key.asked(case, boot=boot) == "failed", key.said


def cut_inside(request: bytes, response: bytes) -> bytes | None:
    """The response with the first 64 bytes of the name, the last three of which are part of a character."""
    name = LONG_NAMES["name"].encode()
    return response.replace(b"\x78\x3d" + name[:61], b"\x78\x40" + name[:64])


@pytest.mark.parametrize("case", [BEGINS, NEW_NAME], ids=["made", "renamed"])
def test_a_name_that_is_cut_inside_a_character_is_a_deviation(monkeypatch: Patch, case: str) -> None:
    """WebAuthn leaves it to clients to mend such a name."""
    key = TrialKey(monkeypatch, cut_inside)
    assert key.asked(case, boot=SAME_BOOT) == "deviation", key.said
    assert "is cut inside a character" in key.said


LISTED_NAMES = {
    "no name": ("passed", None),
    "whole": ("passed", LONG_NAMES["name"]),
    "cut at a character": ("passed", LONG_NAMES["name"][:16]),
    "half a character is another one": ("failed", LONG_NAMES["name"][:16] + "\ufffd"),
    "of another RP": ("failed", "Other"),
}


@pytest.mark.parametrize(("found", "name"), LISTED_NAMES.values(), ids=LISTED_NAMES)
def test_the_name_of_an_rp_may_be_left_out_or_cut_at_a_character(
    monkeypatch: Patch, found: str, name: str | None
) -> None:
    def tell(asked: dict[int, Any], members: dict[int, Any]) -> None:
        if 3 in members and name:
            members[3]["name"] = name

    key = TrialKey(monkeypatch, changed_members(0x0A, tell))
    assert key.asked(RP_NAME) == found, key.said


@pytest.mark.parametrize("use", ["_log_in", "_register", "_use_u2f"])
def test_a_use_that_lifts_the_block_of_this_boot_fails(monkeypatch: Patch, use: str) -> None:
    asked = {"use": getattr(test_client_pin, use)}
    sound = TrialKey(monkeypatch)
    assert sound.asked(BLOCK, **asked) == "passed", sound.said
    three_tries_again(monkeypatch)
    key = TrialKey(monkeypatch)
    assert key.asked(BLOCK, **asked) == "failed", key.said


USES = ["_renames", "_deletes", "_registers", "_asserts", "_writes_blobs", "_configures"]


@pytest.mark.parametrize("use", USES)
def test_a_use_of_a_token_that_gives_a_try_back_fails(monkeypatch: Patch, use: str) -> None:
    asked = {"use": getattr(test_after_writes, use)}
    sound = TrialKey(monkeypatch)
    assert sound.asked(EARLIER, **asked) == "passed", sound.said
    authorised = authenticator.Authenticator.authorised

    def generous(self, *more):
        found = authorised(self, *more)
        self.persistent.change(tries=TRIES)
        return found

    monkeypatch.setattr(authenticator.Authenticator, "authorised", generous)
    key = TrialKey(monkeypatch)
    assert key.asked(EARLIER, **asked) == "failed", key.said
    assert key.said.startswith("PIN tries in the same boot"), key.said


def statuses(wrong: Callable[[list[int], int], int]) -> Change:
    """Keepalives say another status: `wrong` gets what the message said before, and what it should say now."""

    def change(patch: Patch) -> None:
        keep = hid.HidFirmware._keepalive

        def keepalive(self, message, status):
            said = message.__dict__.setdefault("said", [])
            keep(self, message, wrong(said, status))
            said.append(status)

        patch.setattr(hid.HidFirmware, "_keepalive", keepalive)

    return change


WAITS = "test_ctaphid::test_while_a_touch_is_waited_for_every_keepalive_says_so"
RESETS = "test_reset::test_once_touched_a_reset_no_longer_asks_for_a_touch"
UNTOUCHED = "test_ctaphid::test_what_ends_without_a_touch_never_says_that_it_waits_for_one"
LATER_WORK = statuses(lambda said, status: 2 if len(said) >= 6 else status)
STATUSES: dict[str, tuple[Change, str, dict[str, str]]] = {
    "the second says that the key works": (
        statuses(lambda said, status: 1 if said[-1:] == [2] else status),
        WAITS,
        {},
    ),
    "every third says that the key works": (
        statuses(lambda said, status: 1 if len(said) % 3 == 2 else status),
        WAITS,
        {},
    ),
    "a long reset asks for a second touch": (LATER_WORK, RESETS, {}),
    **{
        f"{what} asks for a touch": (statuses(lambda said, status: 2), UNTOUCHED, {"what": what})
        for what in ("a change of the PIN", "a rename", "a deletion")
    },
}


@pytest.mark.parametrize(("change", "case", "asked"), STATUSES.values(), ids=STATUSES)
def test_a_keepalive_of_another_status_fails(
    monkeypatch: Patch, change: Change, case: str, asked: dict[str, str]
) -> None:
    sound = TrialKey(monkeypatch)
    assert sound.asked(case, **asked) == "passed", sound.said
    change(monkeypatch)
    key = TrialKey(monkeypatch)
    assert key.asked(case, **asked) == "failed", key.said
    assert "keepalive" in key.said.lower(), key.said


BY_CARD = "test_admin::test_without_a_touch_nothing_is_reset_over_the_card_interface"


@pytest.mark.parametrize("command", [0x84, 0x85, 0x51])
def test_a_command_that_asks_for_no_touch_over_the_card_interface_fails(
    monkeypatch: Patch, command: int
) -> None:
    sound = TrialKey(monkeypatch)
    assert sound.asked(BY_CARD, command=command) == "passed", sound.said
    run = card.CardSide._run

    def granted(self, touched):
        run(self, touched)
        if self._wait is not None and self._instruction == command:
            self._wait = None
            run(self, Touched.GRANTED)

    monkeypatch.setattr(card.CardSide, "_run", granted)
    key = TrialKey(monkeypatch)
    assert key.asked(BY_CARD, command=command) == "failed", key.said
