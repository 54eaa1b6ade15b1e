"""The same with GnuPG and OpenSSH as clients, for cards that are in readers of a daemon (pcscd)."""

from __future__ import annotations

from harness_suites.loss.gnupg_story import Use

ALL = Use(signs=True, decrypts=True, logs_in=True, opens_old=True)
NOTHING = Use(signs=False, decrypts=False, logs_in=False, opens_old=False)


def serial_of(aid: str) -> str:
    """Maker and number, as gpg shows them."""
    return aid[16:28]


def test_keytocard_left_without_saving_loses_no_key(story):
    """GnuPG 2.2 has replaced some keys on the host by stubs before `save`: those are on the card."""
    assert len(story.left_on_host) == 3
    assert all(here or there for here, there in zip(story.left_on_host, story.left_on_card, strict=True))
    assert story.left_on_card == [True, True, True]
    assert any(story.left_on_host), "who leaves without saving has not moved the keys, but copied some"


def test_keytocard_leaves_stubs_on_the_host(story):
    assert len(story.stubs) == 3
    assert len(set(story.stubs)) == 1
    assert story.with_a == ALL


def test_with_the_stubs_of_card_a_the_owner_is_told_which_card_to_insert(story):
    """gpg asks for the serial number that the stub names, although card B has the same keys."""
    assert story.refused
    assert serial_of(story.card_a) in story.asked_for.replace(" ", "")


def test_card_b_decrypts_signs_and_logs_in(story):
    assert (story.with_b.signs, story.with_b.decrypts, story.with_b.logs_in) == (True, True, True)


def test_a_file_encrypted_before_the_loss_is_opened_with_card_b(story):
    assert story.with_b.opens_old


def test_the_backup_alone_decrypts_signs_and_logs_in(story):
    assert story.restored == ALL


def test_an_export_of_stubs_is_no_backup(story):
    """It looks like one: gpg writes a file without a warning, and imports it without an error."""
    assert story.stub_export == NOTHING
    stubs, backup = story.stub_size
    assert 0 < stubs < backup


def test_generation_on_the_card_backs_up_the_encryption_subkey_alone(story):
    """And a keyring cannot import the file: it takes another card (`bkuptocard`) to decrypt with it."""
    assert story.generated_files == 1
    assert not story.importable
    assert story.generated == Use(signs=False, decrypts=True, logs_in=False, opens_old=True)
