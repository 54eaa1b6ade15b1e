"""Cases of the suites of cards: the sound twins pass them, and a key that is wrong in one place fails them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from harness_nitrokey_pro.twin import (
    firmware_commands,
    otp_commands,
    pin_commands,
    safe_commands,
    slots,
    user_page,
)
from harness_openpgp.algorithms import rsa
from harness_openpgp.slots import Slot
from harness_openpgp.twin import card as openpgp_card
from harness_openpgp.twin import data as openpgp_data
from harness_openpgp.twin import keys as openpgp_keys
from harness_openpgp.twin import pins as openpgp_pins
from harness_openpgp.twin import secrets as openpgp_secrets
from harness_openpgp.twin import state as openpgp_state
from harness_openpgp.twin import use as openpgp_use
from harness_schsm.twin import domains, elementary, generate, pins, use
from support.trial_card import TrialCard, change


@dataclass(frozen=True)
class Wrong:
    """A defect, and the case that fails for it.

    :ivar function: the part of the firmware that has it, where `old` is `new`.
    """

    case: str
    function: Any
    old: str
    new: str
    parameters: dict[str, Any] = field(default_factory=dict)


HSM = {
    "unblocking gives three tries": Wrong(
        "schsm/test_pins::test_unblocking_gives_as_many_tries_as_were_set_up",
        pins.reset_retry,
        "full = bytes([configuration.retries])",
        "full = bytes([3])",
        {"retries": 5, "pin": ""},
    ),
    "the right PIN gives three tries": Wrong(
        "schsm/test_pins::test_the_right_pin_gives_as_many_tries_back_as_were_set_up",
        pins._full,
        "else configuration.retries",
        "else 3",
        {"retries": 5},
    ),
    "the list of files ends early": Wrong(
        "schsm/test_files::test_every_file_is_listed_however_many_there_are",
        elementary.enumerate_objects,
        "for fid in found)",
        "for fid in found[:40])",
        {"count": 60},
    ),
    "a salt of 20 bytes": Wrong(
        "schsm/test_keys::test_pss_with_a_hash_that_the_card_computes",
        use._sign_rsa,
        "len(digest)",
        "20",
        {"number": 3},
    ),
    "key domain 2 is filed as 0": Wrong(
        "schsm/test_dkek::test_a_key_leaves_under_the_dkek_of_its_own_domain",
        generate.restrictions,
        "algorithms, number)",
        "algorithms, number if number != 2 else 0)",
    ),
    "a derived key replaces another one": Wrong(
        "schsm/test_keys::test_a_derived_key_replaces_no_key",
        use.derive,
        "require_free(card, p2)",
        "pass",
        {"place": 2},
    ),
    "a derived key is the difference of bits": Wrong(
        "schsm/test_keys::test_a_derived_key_is_the_sum_of_key_and_parameter",
        use.derive,
        "secret.d + int",
        "secret.d ^ int",
        {"number": 2**255 + 2**127 + 5},
    ),
    "a CMAC of the first 256 bytes": Wrong(
        "schsm/test_keys::test_each_byte_of_a_message_is_in_its_cmac",
        use._cmac,
        "update(data)",
        "update(data[:256])",
        {"length": 257},
    ),
    "a signature of the first 256 bytes": Wrong(
        "schsm/test_keys::test_each_byte_of_a_message_is_signed",
        use._sign_ec,
        "sign(data,",
        "sign(data[:256],",
        {"length": 257},
    ),
    "one kind of file is not listed": Wrong(
        "schsm/test_files::test_every_kind_of_file_can_be_written_and_deleted",
        elementary.enumerate_objects,
        "in PREFIXES:",
        "in PREFIXES[:3]:",
        {"fid": 0xCA09},
    ),
    "a domain that waits for shares is ended by anybody": Wrong(
        "schsm/test_dkek::test_ending_a_domain_needs_a_login",
        domains.manage,
        "    card.require_login()\n    if any",
        "    if domain.dkek is not None:\n        card.require_login()\n    if any",
        {"p1": 0x03, "taken": 1},
    ),
    "an AES key replaces another key": Wrong(
        "schsm/test_keys::test_a_new_aes_key_replaces_no_key",
        generate.generate_symmetric,
        "require_free(card, p1)",
        "pass",
        {"place": 2},
    ),
    "a derived key is filed in domain 0": Wrong(
        "schsm/test_keys::test_a_derived_key_stays_in_the_domain_of_the_one_that_it_comes_from",
        use.derive,
        "key.algorithms, key.domain",
        "key.algorithms, 0",
    ),
    "a shared point loses the zeros that it begins with": Wrong(
        "schsm/test_keys::test_a_shared_point_keeps_the_zeros_that_it_begins_with",
        use._agree,
        'b"\\x04" + x + _ord',
        'b"\\x04" + x.lstrip(b"\\0") + _ord',
    ),
    "keys from 80 on are not listed": Wrong(
        "schsm/test_keys::test_keys_of_high_numbers_are_listed_and_work",
        elementary.enumerate_objects,
        "for key_id in key_ids(card))",
        "for key_id in key_ids(card) if key_id < 0x80)",
        {"number": 0x80},
    ),
    "a blocked PIN can be changed": Wrong(
        "schsm/test_pins::test_a_blocked_pin_cannot_be_changed",
        pins.try_code,
        "if before == 0:",
        'before = before or defect == "pin-compared-first-change"\n    if before == 0:',
    ),
    "ending a transport PIN sets the usual options": Wrong(
        "schsm/test_pins::test_a_transport_pin_ends_and_the_other_options_stay",
        pins.change,
        "transport=False)",
        "transport=False, options=1)",
    ),
    "deleting a key deletes the data of its number": Wrong(
        "schsm/test_files::test_data_of_the_number_of_a_deleted_key_stay",
        elementary.delete,
        "card.files.remove(key_file(key_id))",
        "card.files.remove(key_file(key_id)); "
        "[card.files.remove(ef_file(one << 8 | key_id)) for one in PREFIXES]",
        {"fid": 0xCF09},
    ),
}
OPENPGP = {
    "the signature counter stops": Wrong(
        "openpgp/test_use::test_a_week_of_daily_use_leaves_the_tries_and_counts_each_signature",
        openpgp_use.sign,
        "COUNTER_MAX)",
        "5)",
    ),
    "a change of PW3 gives PW1 its tries back": Wrong(
        "openpgp/test_what_stays_apart::test_the_right_pin_gives_no_other_one_its_tries_back",
        openpgp_pins._set_pin,
        "    card.commit(",
        "    if which is Pin.ADMIN:\n        _set_tries(card, Pin.USER, FULL)\n    card.commit(",
        {"act": "change of PW3"},
    ),
    "the last byte of C4 is the mode of PW1": Wrong(
        "openpgp/test_what_stays_apart::test_the_first_byte_of_do_c4_is_the_mode_of_pw1",
        openpgp_data._put_small,
        "bool(data[0])",
        "bool(data[-1])",
        {"content": b"\1\0\0\0"},
    ),
    "an environment goes round the flag": Wrong(
        "openpgp/test_use::test_an_environment_goes_round_no_flag",
        openpgp_card.OpenPgpApplication._needs_touch,
        "slot = card.session.swapped.get(slot, slot)",
        "pass",
    ),
    "PW1 for signatures shows a private object": Wrong(
        "openpgp/test_data::test_pw1_for_signatures_neither_writes_nor_shows_a_private_object",
        openpgp_data.get,
        "if not card.session.other:",
        "if not card.session.other and not card.session.sign:",
        {"tag": 0x0103},
    ),
    "PW1 for signatures writes a private object": Wrong(
        "openpgp/test_data::test_pw1_for_signatures_neither_writes_nor_shows_a_private_object",
        openpgp_data.put,
        "if not card.session.other:",
        "if not card.session.other and not card.session.sign:",
        {"tag": 0x0101},
    ),
    "a deciphered message loses zeros": Wrong(
        "openpgp/test_use::test_zeros_of_a_deciphered_message_come_back",
        openpgp_use._unpadded,
        "return block[end + 1 :]",
        'return block[end + 1 :].lstrip(b"\\0")',
        {"secret": b"\0\0begins with zeros"},
    ),
    "a new key clears the date of another one": Wrong(
        "openpgp/test_keys::test_a_new_key_leaves_the_other_slots_alone",
        openpgp_keys._store,
        "    state = card.state\n",
        "    state = card.state\n"
        "    last = state.slot(Slot.AUTHENTICATE)\n"
        "    state = state.with_slot(Slot.AUTHENTICATE, replace(last, date=bytes(4)))\n",
        {"slot": Slot.SIGN},
    ),
    "another algorithm drops the flag": Wrong(
        "openpgp/test_use::test_a_flag_stays_with_another_algorithm",
        openpgp_keys.set_algorithm,
        "algorithm=algorithm)\n    after",
        "algorithm=algorithm, touch=0)\n    after",
        {"slot": Slot.DECIPHER, "flag": 2},
    ),
    "a new key clears the fingerprint of an authority": Wrong(
        "openpgp/test_keys::test_the_fingerprint_of_an_authority_stays_with_a_new_key",
        openpgp_state.KeySlot.emptied,
        "fingerprint=EMPTY,",
        "fingerprint=EMPTY, ca=EMPTY,",
        {"slot": Slot.DECIPHER},
    ),
    "one touch serves until the power goes": Wrong(
        "openpgp/test_use::test_each_use_asks_for_a_touch_of_its_own",
        openpgp_card.OpenPgpApplication.resume,
        "    return self._finished(command)",
        "    self._needs_touch = lambda command: False\n    return self._finished(command)",
        {"slot": Slot.SIGN},
    ),
    "a new key keeps the date of the one before": Wrong(
        "openpgp/test_keys::test_a_new_key_takes_no_date_over_without_the_fingerprint",
        openpgp_state.KeySlot.emptied,
        "fingerprint=EMPTY, date=bytes(DATE))",
        "fingerprint=EMPTY)",
        {"slot": Slot.DECIPHER, "way": "generate"},
    ),
    "an imported key keeps the date of the one before": Wrong(
        "openpgp/test_keys::test_a_new_key_takes_no_date_over_without_the_fingerprint",
        openpgp_keys._store,
        "    full = replace(kept,",
        "    kept = replace(kept, date=before.date) if origin == IMPORTED else kept\n    full = replace(kept,",
        {"slot": Slot.SIGN, "way": "import"},
    ),
    "an RSA key is kept with the usual exponent": Wrong(
        "openpgp/test_keys::test_an_imported_rsa_key_of_another_exponent_works_or_is_refused",
        openpgp_secrets.sealed,
        "3: secret.e}",
        "3: 65537}",
        {"slot": Slot.SIGN},
    ),
    "the usual exponent is shown of every RSA key": Wrong(
        "openpgp/test_keys::test_an_imported_rsa_key_of_another_exponent_works_or_is_refused",
        openpgp_keys._store,
        "public=secrets.public_of(secret))",
        "public=secrets.public_of(replace(secret, e=65537)))",
        {"slot": Slot.DECIPHER},
    ),
    "a number loses the zeros that it begins with": Wrong(
        "openpgp/test_keys::test_an_imported_number_may_begin_with_zeros",
        openpgp_secrets.imported,
        'int.from_bytes(private, "big")',
        'int.from_bytes(private.lstrip(b"\\0").ljust(len(private), b"\\0"), "big")',
        {"slot": Slot.SIGN, "name": "secp256r1", "form": "whole"},
    ),
    "a short number is filled up at its end": Wrong(
        "openpgp/test_keys::test_an_imported_number_may_begin_with_zeros",
        openpgp_secrets.imported,
        'int.from_bytes(private, "big")',
        'int.from_bytes(private.ljust(32, b"\\0"), "big")',
        {"slot": Slot.DECIPHER, "name": "secp256r1", "form": "shortened, no public key"},
    ),
    "a KDF is set once": Wrong(
        "openpgp/test_lifecycle::test_a_kdf_takes_the_place_of_the_one_before",
        openpgp_data._put_file,
        "    if len(data) > most:",
        "    if tag == KDF and data != NO_KDF and card.files.read(name):\n        return\n    if len(data) > most:",
        {"kind": "as long"},
    ),
    "a shorter KDF leaves the end of the one before": Wrong(
        "openpgp/test_lifecycle::test_a_kdf_takes_the_place_of_the_one_before",
        openpgp_data._put_file,
        "    if len(data) > most:",
        "    if tag == KDF:\n"
        '        data += (card.files.read(name) or b"")[len(data) :]\n'
        "    if len(data) > most:",
        {"kind": "shorter"},
    ),
    "signatures of RSA are not counted": Wrong(
        "openpgp/test_use::test_signatures_of_every_kind_of_key_count",
        openpgp_use.sign,
        "card.save(replace(state, counter=counter))",
        "isinstance(secret, RsaPrivate) or card.save(replace(state, counter=counter))",
        {"algorithm": rsa(2048)},
    ),
}
PRO = {
    "a temporary password serves for two TOTP codes": Wrong(
        "pro/test_otp::test_the_users_temporary_password_serves_once_for_each_kind_of_code",
        otp_commands.code,
        'return finish(device, {"code": code, **about})\n    code =',
        'return Status.OK, {"code": code, **about}\n    code =',
        {"slot": 0x20},
    ),
    "the first slot takes the duty to enter a PIN": Wrong(
        "pro/test_otp::test_a_slot_that_is_written_or_erased_leaves_the_configuration",
        slots.Slots._changes,
        "before = self._pages.read(page)",
        'before = self._pages.read(page)[:3] + b"\\0" + self._pages.read(page)[4:]',
        {"slot": 0x10},
    ),
    "a factory reset leaves the user's temporary password": Wrong(
        "pro/test_reset::test_a_factory_reset_ends_what_the_user_was_allowed",
        firmware_commands.factory_reset,
        "device.admin_temporary = device.user_temporary",
        "device.admin_temporary",
    ),
    "a secret stays for the next slot": Wrong(
        "pro/test_what_stays_apart::test_what_was_sent_for_one_slot_does_not_serve_for_the_next_one",
        otp_commands.write_slot,
        'device.name, device.secret = b"", bytes(reports.SECRET)',
        'device.name = b""',
    ),
    "a name stays for the next slot": Wrong(
        "pro/test_what_stays_apart::test_what_was_sent_for_one_slot_does_not_serve_for_the_next_one",
        otp_commands.write_slot,
        'device.name, device.secret = b"", bytes(reports.SECRET)',
        "device.secret = bytes(reports.SECRET)",
    ),
    "the configuration is read once in a boot": Wrong(
        "pro/test_what_stays_apart::test_the_configuration_takes_effect_at_once",
        otp_commands.code,
        "device.slots.config[3] == 1",
        'device.__dict__.setdefault("at_first", device.slots.config)[3] == 1',
    ),
    "a wrong user PIN leaves the temporary password": Wrong(
        "pro/test_what_stays_apart::test_a_wrong_user_pin_ends_the_users_temporary_password",
        pin_commands.user,
        'device.user_temporary = b""',
        "pass",
    ),
    "the counter of signatures stops after an update": Wrong(
        "pro/test_update::test_in_the_week_after_an_update_no_counter_goes_astray",
        openpgp_use.sign,
        "COUNTER_MAX)",
        "5)",
    ),
    "who is logged in unblocks without the PIN": Wrong(
        "pro/test_what_stays_apart::test_unblocking_asks_for_the_admin_pin_though_the_admin_is_logged_in",
        pin_commands.unblock,
        "if not device.card.verify(",
        "if not device.admin_temporary and not device.card.verify(",
    ),
    "a refused time moves the clock": Wrong(
        "pro/test_what_stays_apart::test_a_time_that_was_refused_does_not_move_the_clock",
        otp_commands.time,
        'forced = integer(values, "set") == 1',
        'forced = integer(values, "set") == 1; device.told = device.told and (time, device.uptime_us())',
    ),
    "a full counter page forgets what was passed over": Wrong(
        "pro/test_what_stays_apart::test_a_counter_that_is_passed_over_goes_on_beyond_its_page",
        slots.Slots.use,
        "self.counter(number) + steps) %",
        "self.counter(number) + 1) %",
    ),
    "a factory reset leaves the safe open": Wrong(
        "pro/test_reset::test_a_factory_reset_closes_the_safe",
        firmware_commands.factory_reset,
        "device.safe.close()",
        "pass",
    ),
    "the hidden slot compares six digits": Wrong(
        "pro/test_otp::test_each_digit_of_a_code_counts",
        otp_commands.verify,
        "slot.digits) == code",
        "6) == code % 10**6",
        {"digits": 8},
    ),
    "the admin's temporary password makes codes": Wrong(
        "pro/test_what_stays_apart::test_the_admins_temporary_password_makes_no_code",
        otp_commands.code,
        'not same(device.user_temporary, octets(values, "temporary")):',
        'not (same(device.user_temporary, octets(values, "temporary")) or device.is_admin(values)):',
    ),
    "a refused code of the hidden slot counts": Wrong(
        "pro/test_what_stays_apart::test_a_code_that_the_hidden_slot_refuses_is_not_counted",
        otp_commands.code,
        "if slot.number == HIDDEN:",
        "if slot.number == HIDDEN and device.slots.use(HIDDEN):",
    ),
    "the old firmware password serves until the power goes": Wrong(
        "pro/test_what_stays_apart::test_a_changed_firmware_password_is_in_force_at_once",
        user_page.UserPage.opens_bootloader,
        "return hashed(password, self.content[SALT:][:SALT_BYTES]) == self.content[HASH:][:KEY_BYTES]",
        'page = self.__dict__.setdefault("at_first", self.content)\n'
        "    return hashed(password, page[SALT:][:SALT_BYTES]) == page[HASH:][:KEY_BYTES]",
    ),
    "a new safe leaves the old one open": Wrong(
        "pro/test_what_stays_apart::test_an_entry_that_was_written_after_a_new_safe_is_there",
        safe_commands.new_aes_key,
        "    device.safe.close()\n",
        "",
    ),
    "a firmware password is written with the page of before": Wrong(
        "pro/test_what_stays_apart::test_a_new_safe_stays_when_the_firmware_password_is_changed_in_the_same_boot",
        user_page.UserPage.with_fields,
        "content = self.content",
        'content = self.__dict__.setdefault("at_first", self.content)',
    ),
    "a factory reset leaves copies of pages": Wrong(
        "pro/test_reset::test_after_a_factory_reset_no_secret_of_a_slot_is_on_the_flash",
        slots.Slots._write,
        "    pages.commit(changes)",
        "    pages.rewrite(127, next(iter(changes.values()))); pages.commit(changes)",
    ),
}
KEYS = {"nitrokey-hsm2": HSM, "openpgp": OPENPGP, "nitrokey-pro": PRO}
EVERY = [pytest.param(key, wrong, id=name) for key, found in KEYS.items() for name, wrong in found.items()]


@pytest.mark.parametrize(("key", "wrong"), EVERY)
def test_a_sound_key_passes(key, wrong):
    card = TrialCard(key)
    assert card.asked(wrong.case, **wrong.parameters) == "passed", card.said


@pytest.mark.parametrize(("key", "wrong"), EVERY)
def test_a_wrong_key_fails(monkeypatch, key, wrong):
    card = TrialCard(key)
    change(monkeypatch, wrong.function, wrong.old, wrong.new)
    assert card.asked(wrong.case, **wrong.parameters) == "failed", card.said


def test_a_card_with_flags_and_without_what_they_mean_is_asked_for_touches(monkeypatch):
    """DO 7F74 says what a card has besides its chip; a card may have the flags of D6 and not that object."""
    change(monkeypatch, openpgp_data._told, "simple[0x7F74]", "simple[-1]")
    card = TrialCard("openpgp")
    case = "openpgp/test_use::test_with_the_flag_a_key_is_used_after_a_touch"
    assert card.asked(case, slot=Slot.SIGN) == "passed", card.said


@pytest.mark.parametrize(
    ("case", "parameters"),
    [
        (
            "test_data::test_a_constructed_object_holds_what_the_simple_one_says",
            {"outer": 0x65, "inner": 0x5B},
        ),
        (
            "test_data::test_a_constructed_object_holds_what_the_simple_one_says",
            {"outer": 0x6E, "inner": 0x4F},
        ),
        ("test_data::test_the_discretionary_objects_hold_what_the_simple_ones_say", {"inner": 0xC4}),
        ("test_data::test_the_signature_counter_has_three_bytes", {}),
        ("test_use::test_each_signature_counts_one", {}),
        ("test_keys::test_another_algorithm_removes_the_key", {"slot": Slot.SIGN}),
    ],
)
def test_a_card_that_answers_a_constructed_object_with_its_own_tag_passes(monkeypatch, case, parameters):
    """SmartPGP and canokey-core do; other cards leave tag and length away."""
    plain = "return _told(card, tag)"
    whole = (
        "return (lambda told: tlv(tag, told) if tag in (0x65, 0x6E, 0x7A, 0xFA) else told)(_told(card, tag))"
    )
    change(monkeypatch, openpgp_data.get, plain, whole)
    card = TrialCard("openpgp")
    assert card.asked(f"openpgp/{case}", **parameters) == "passed", card.said
