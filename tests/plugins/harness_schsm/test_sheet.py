"""What is known of the applet from its public clients, each fact with the cases that ask for it.

A fact without a case shows here; a case that is renamed or removed is missed here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.paths import ROOT

SUITES, TESTS = ROOT / "suites/harness_suites", ROOT / "tests/plugins"
FACTS = {
    # Selection
    "SELECT shows options, type and version in object 85": "select_shows_the_applet_and_its_version",
    "an EF's control parameters carry its size": "a_file_shows_its_size",
    "85 and 86 have no reference data": "biometric_templates_are_not_there",
    "ENUMERATE lists keys with their files, in any order": "every_key_is_listed_with_its_files",
    "challenges of up to 1,024 bytes": "challenges_have_any_length_up_to_1024_and_differ",
    "a long command comes extended or in a chain": "a_request_too_long_for_a_short_command_may_come_in_a_chain",
    "SELECT of the applet drops every login": "a_login_ends_with_the_selection_of_the_applet",
    "secure messaging is not offered": "secure_messaging_is_refused_where_it_was_not_agreed",
    # EF 2F02
    "2F02 is the device's certificate and its issuer's": "the_device_descends_from_the_root",
    "a twin does not descend from the maker's root": "it_does_not_descend_from_another_root",
    "names are country, holder and sequence": "names_have_country_holder_and_sequence",
    "roles 00 and 80": "roles_are_device_and_issuer",
    "dates are six digits": "dates_are_six_digits",
    "the serial number is CHR without its last five": "what_the_key_shows_as_serial_number_is_the_name_of_the_device",
    # Files
    "2F03 is written by --label": "the_label_of_the_token_is_a_file",
    "descriptions show a label": "a_description_shows_its_label",
    "CD needs the PIN to read": "protected_data_are_read_behind_the_pin_only",
    "6282 is the end, and its data are kept": "the_end_of_a_file_is_told_by_fewer_bytes",
    "53 00 makes an empty file": "an_empty_file_can_be_made",
    "long files come in blocks": "what_was_written_in_blocks_is_read_back",
    # PINs and states
    "VERIFY without data tells the tries": "the_pins_say_their_tries_without_cost",
    "never initialised: 6A88": "a_new_card_has_never_been_initialized",
    "transport PIN: 6984 until it is changed": "a_transport_pin_must_be_changed_before_anything_else",
    "a wrong SO-PIN at INITIALIZE costs a try": "a_wrong_so_pin_changes_nothing_and_costs_a_try",
    "sc-hsm-tool exits with 0 then": "a_wrong_so_pin_is_said_in_words_and_costs_one_try",
    "a spent use counter": "a_key_with_a_use_counter_signs_so_often_and_never_again",
    "algorithms that are not in the key's list": "a_key_may_do_only_what_its_list_allows",
    "not logged in: 6982": "nothing_is_done_before_a_login",
    "no DKEK: 6D00": "a_card_without_a_dkek_does_not_know_the_command",
    "a blob of another DKEK: Wrapped key does not match DKEK": "a_wrapped_key_is_refused_by_a_card_with_another_dkek",
    "6 digits have 3 tries at most, 7 have 5": "short_pins_have_few_tries_and_no_pin_is_shorter_than_six",
    "C_Login as SO sends nothing": "a_login_of_the_so_always_succeeds_and_its_first_use_costs_the_try",
    "C_InitToken sets six raw bytes as PIN": "a_token_that_pkcs11_has_initialised_has_a_user_pin_of_raw_bytes",
    "clients map letters of SO-PINs differently": "an_so_pin_with_letters_that_one_library_set_costs_the_other_a_try",
    "the option decides whether the SO-PIN unblocks": "without_the_option_nobody_can_unblock",
    "option 20 unblocks and sets no PIN": "with_option_20_the_so_pin_unblocks_and_sets_no_pin",
    # Keys
    "GENERATE answers an authenticated request": "an_ec_key_comes_with_a_request_that_the_device_attests",
    "RSA of 1024 to 4096 bits": "an_rsa_key_comes_with_a_request_that_the_device_attests",
    "curves are sent in full": "each_curve_signs",
    "AES of three sizes": "aes_keys_of_each_size_encrypt_and_decrypt",
    "ECDH answers 04, x and y": "both_sides_agree_on_a_point",
    "PSS with equal hash and MGF": "pss_with_a_hash_that_the_card_computes",
    "EC keys are derived by a number": "a_derived_key_is_the_sum_of_key_and_parameter",
    "OpenSC's key pair in its order": "each_cut_leaves_no_key_a_key_that_can_be_described_or_all_of_it",
    "--force deletes first": "a_forced_restore_that_is_cut_leaves_the_key_or_none_and_the_blob_leads_on",
    # DKEK, blobs, public keys
    "a share file is salted and enciphered": "a_share_file_is_deciphered_and_imported",
    "the DKEK is the XOR of the shares": "shares_may_come_in_any_order",
    "the check value comes with the last share": "the_check_value_comes_with_the_last_share",
    "0 shares: a random DKEK": "a_random_dkek_has_no_shares_and_is_another_one_each_time",
    "blobs of EC, RSA and AES keys": "an_aes_key_decrypts_on_the_second_card",
    "RSA blobs with and without primes": "an_rsa_key_without_its_primes_signs_on_the_card",
    "a blob has a MAC": "a_changed_blob_is_refused",
    "key domains: create, delete, reset": "an_empty_domain_that_is_reset_asks_for_its_shares_again",
    "PKA: total, missing, required, authenticated": (
        "the_state_shows_total_missing_required_and_authenticated"
    ),
    "PKA: a key of a trusted device": "a_key_is_registered_only_where_its_device_is_trusted",
    "PKA: an answer to a challenge": "the_answer_to_an_earlier_challenge_is_refused",
}
"""A fact -> its case, without "test_"."""


def _cases() -> set[str]:
    folders: list[Path] = [SUITES / "schsm", SUITES / "lifecycle", TESTS / "harness_nitrokey_hsm2"]
    texts = [file.read_text() for folder in folders for file in folder.glob("test_*.py")]
    return {name for text in texts for name in re.findall(r"^def test_(\w+)", text, re.MULTILINE)}


@pytest.fixture(scope="module")
def cases() -> set[str]:
    return _cases()


def test_each_fact_has_its_case(cases):
    assert {fact: case for fact, case in FACTS.items() if case not in cases} == {}


def test_a_case_stands_for_one_fact():
    assert len(set(FACTS.values())) == len(FACTS)
