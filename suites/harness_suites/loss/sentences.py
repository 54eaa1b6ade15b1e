"""The thread "How to mitigate the loss of a Nitrokey Pro?", sentence by sentence, and the cases that answer it.

The sentences are those of its writers, shortened. A test sees that each case exists.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A sentence, what is found, and the cases that show it: names of test functions."""

    sentence: str
    found: str
    cases: tuple[str, ...]


ROWS = (
    Row(
        "what could be a good plan? in most cases I would recommend to have two ways to log in: by password and by key",
        "with the key lost, the password works; with neither, nobody enters",
        ("test_a_login_with_two_ways",),
    ),
    Row(
        "if we can bypass the key, which improvement of security does the key offer?",
        "a login by key shows nobody the password, and what was seen of it opens no second login",
        ("test_a_login_by_key_neither_needs_the_password_nor_can_be_replayed",),
    ),
    Row(
        "create the keys locally first, backup them and move the keys on the Nitrokey afterwards",
        "keys made off card work on the card and leave stubs on the host",
        ("test_keys_made_off_card_work_on_both_cards", "test_keytocard_leaves_stubs_on_the_host"),
    ),
    Row(
        "how can I push my secret keys export to a 2nd nitrokey and use it as a backup smartcard?",
        "import the backup, keytocard: decryption, signature and SSH login with card B, once its stubs are learned",
        (
            "test_card_b_decrypts_signs_and_logs_in",
            "test_with_the_stubs_of_card_a_the_owner_is_told_which_card_to_insert",
        ),
    ),
    Row(
        "how can I regain access to my encrypted contents in mail and on disks after loosing the nitrokey?",
        "a file that was encrypted before the loss is opened with card B",
        (
            "test_a_file_encrypted_before_the_loss_is_opened_with_card_b",
            "test_the_secret_of_a_disk_is_the_same_on_card_b",
        ),
    ),
    Row(
        "how can I use my backup to decrypt stuff after loosing my nitrokey?",
        "import it into an empty keyring: no card is needed",
        ("test_the_backup_alone_decrypts_signs_and_logs_in",),
    ),
    Row(
        "is it possible to again get ssh access to a server by using the saved keys?",
        "yes, with the key to authenticate in the backup",
        ("test_the_backup_alone_decrypts_signs_and_logs_in",),
    ),
    Row(
        "keys created normally with the NK remain on the NK so one can never duplicate them",
        "no command reads a private key, and no other card has it",
        ("test_no_command_reads_a_private_key", "test_a_key_made_on_the_card_is_on_no_other_card"),
    ),
    Row(
        "the key backup created during on-device generation: the only ingredient is the encryption subkey",
        "restored without the card it decrypts, and neither signs nor logs in",
        ("test_generation_on_the_card_backs_up_the_encryption_subkey_alone",),
    ),
    Row(
        "one would think that gpg --export-secret-keys will not only export the encryption key; I am not sure",
        "after keytocard and save it exports stubs: that is no backup",
        ("test_an_export_of_stubs_is_no_backup",),
    ),
    Row(
        "and then you delete them from the computer",
        "gpg does so when the owner saves; who leaves without saving may still have some on the host",
        ("test_keytocard_left_without_saving_loses_no_key",),
    ),
    Row(
        "cannot trust a single device that can crash",
        "a reset that was cut anywhere never leaves an old key under new PINs",
        ("test_after_a_reset_that_was_broken_off_no_old_key_works",),
    ),
)
