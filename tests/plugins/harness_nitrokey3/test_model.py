"""The model: same seed, same bytes; names that do not exist; what a boot makes of damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.ctap import CtapError
from fido2.ctap2.pin import ClientPin
from fido2.hid import CTAPHID

from harness.base.errors import CallerError
from harness.twin.image import BoardState
from harness.twin.model import TwinOptions
from harness_nitrokey3.twin import factory, personality
from harness_nitrokey3.twin.model import MODEL
from support.twin import ES256, HASH, RP, SEED, damaged, make, open_ctap2, open_device, open_sdk, replug


def _use(seed: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[BoardState, list[bytes]]:
    monkeypatch.setattr("os.urandom", lambda count: bytes(count))
    board = make(seed=seed)
    ctap = open_ctap2(board)
    said = []
    for resident in (False, True):
        made = ctap.make_credential(HASH, RP, {"id": b"u"}, ES256, options={"rk": resident})
        said.append(bytes(made.auth_data) + made.att_stmt["sig"])
    said.append(ctap.get_assertion("example.com", HASH).signature)
    return board.state(), said


def test_the_same_seed_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    state, said = _use(SEED, monkeypatch)
    again, said_again = _use(SEED, monkeypatch)
    assert said == said_again
    assert state.digest() == again.digest()
    other, said_other = _use(b"another seed", monkeypatch)
    assert not set(said) & set(said_other)
    assert state.digest() != other.digest()


def test_a_state_and_its_boots_say_all(monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = _use(SEED, monkeypatch)
    answers = []
    for _ in range(2):
        board = make()
        board.load(state)
        board.power_on()
        answers.append(open_ctap2(board).get_assertion("example.com", HASH).signature)
    assert answers[0] == answers[1]


def test_personalities_and_defects_have_names() -> None:
    sound = {"reference": "v1.8.3", "reference-1.9": "v1.9.0"}
    assert sound.items() <= dict(MODEL.personalities).items()
    assert {
        "late-journal-replay",
        "no-journal",
        "format-on-unmountable",
        "fresh-on-missing-state",
        "pin-compared-first",
        "counter-in-ram",
        "reset-wrong-order",
        "zero-length-file",
    } <= set(MODEL.defects)
    assert all(defect.source and defect.title for defect in MODEL.defects.values())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (TwinOptions(personality="refrence"), "reference"),
        (TwinOptions(defects=("no-jurnal",)), "no-journal"),
        (TwinOptions(layer="save"), "safe"),
        (TwinOptions(defects=("no-journal", "late-journal-replay")), "one flash layer"),
    ],
)
def test_what_does_not_exist_is_the_callers_fault(options: TwinOptions, named: str) -> None:
    with pytest.raises(CallerError, match=named):
        MODEL.build(options, SEED)


def test_the_layer_is_the_benchs_or_the_defects_or_the_personalitys() -> None:
    assert MODEL.layer(TwinOptions()) == "safe"
    assert MODEL.layer(TwinOptions(defects=("no-journal",))) == "unjournaled"
    assert MODEL.layer(TwinOptions(defects=("no-journal",), layer="safe")) == "safe"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("[personalities.reference.fido2]", "[personalities.reference.fido]"), "fido"),
        (('boot = "panic"', 'boot = "hope"'), "boot"),
        (('version = "1.8.3"', 'version = "1.8"'), "version"),
        (("always_uv = false", 'always_uv = "no"'), "always_uv"),
        (("skip_touch_ms = 0", ""), "skip_touch_ms"),
        (("title =", "titel ="), "titel"),
        (("[personalities", "[[personalities"), "cannot be read"),
    ],
)
def test_a_personality_file_that_is_wrong_says_where(
    tmp_path: Path, change: tuple[str, str], where: str
) -> None:
    path = tmp_path / "personalities.toml"
    path.write_text(personality.FILE.read_text().replace(*change))
    with pytest.raises(CallerError, match=where):
        personality.read(path)


def test_the_attestation_certificate_is_as_webauthn_wants_it() -> None:
    made = factory.batch(SEED)
    leaf, root = (x509.load_der_x509_certificate(der) for der in (made.certificate, made.root))
    leaf.verify_directly_issued_by(root)
    subject = {part.oid._name: part.value for part in leaf.subject}
    assert leaf.version is x509.Version.v3
    assert subject["organizationalUnitName"] == "Authenticator Attestation"
    assert len(subject["countryName"]) == 2
    assert subject["organizationName"]
    assert subject["commonName"]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    oid = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
    extension = leaf.extensions.get_extension_for_oid(oid)
    assert not extension.critical
    assert extension.value.value == b"\x04\x10" + factory.AAGUID
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)


def test_a_damaged_state_is_an_error_that_shows_and_not_a_fresh_key() -> None:
    board = make()
    ClientPin(open_ctap2(board)).set_pin("1234")
    board.load(damaged(board, "safe"))
    board.power_on()
    with pytest.raises(CtapError, match="INTEGRITY_FAILURE"):
        open_ctap2(board)
    assert open_sdk(board).admin.status().init_status == 0x20
    # What helps is a CTAP reset, within ten seconds of power-up.
    board.power_off()
    board.power_on()
    assert open_device(board).call(CTAPHID.CBOR, b"\x07") == b"\0"
    assert replug(board).info.options["clientPin"] is False
    assert open_sdk(board).admin.status().init_status == 0


def test_an_external_flash_that_does_not_mount_is_formatted_and_says_so() -> None:
    board = make()
    state = board.state()
    for page in range(4):
        state = state.with_page("efs", page, bytes(4096))
    board.load(state)
    board.power_on()
    assert open_sdk(board).admin.status().init_status == 0x04
    replug(board)
    assert open_sdk(board).admin.status().init_status == 0


def test_an_internal_flash_that_does_not_mount_halts_the_firmware() -> None:
    board = make()
    state = board.state()
    for page in range(2, 20):
        state = state.with_page("ifs", page, bytes(4096))
    board.load(state)
    board.power_on()
    assert board.panicked
    assert board.firmware is None
