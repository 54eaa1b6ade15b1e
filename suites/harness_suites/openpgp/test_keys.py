"""Generate, import and use keys of every algorithm; what a new key changes, and what cannot be read; row by row."""

from __future__ import annotations

import hashlib
from math import gcd

import pytest

from harness_cards.rsa import key_of
from harness_cards.tlv import tlv
from harness_openpgp.algorithms import (
    ECDH,
    ECDSA,
    ED25519,
    EDDSA,
    PUBLIC_WANTED,
    X25519,
    Algorithm,
    on_curve,
    rsa,
)
from harness_openpgp.client import ADMIN, OTHER, SIGN, OpenPgp, header_list
from harness_openpgp.home import DATE, message
from harness_openpgp.key_operations import host_key
from harness_openpgp.public_keys import DIGEST_INFO, PublicKey
from harness_openpgp.slots import Slot
from harness_openpgp.twin.traits import BRAINPOOL, NIST
from harness_suites.openpgp.common import (
    NO_REFERENCE,
    NOT_VERIFIED,
    WRONG_DATA,
    again,
    refused,
    require,
    require_version,
    set_algorithm,
)

SLOTS = pytest.mark.parametrize("slot", Slot, ids=lambda slot: slot.name.lower())
WEIERSTRASS = [*NIST, *BRAINPOOL, "secp256k1"]
SIGNING = [
    rsa(2048),
    rsa(3072),
    rsa(4096),
    *(on_curve(ECDSA, name) for name in WEIERSTRASS),
    on_curve(EDDSA, ED25519),
]
DECIPHERING = [
    rsa(2048),
    rsa(3072),
    rsa(4096),
    *(on_curve(ECDH, name) for name in WEIERSTRASS),
    on_curve(ECDH, X25519),
]
ROWS = [
    *((Slot.SIGN, one) for one in SIGNING),
    *((Slot.DECIPHER, one) for one in DECIPHERING),
    *((Slot.AUTHENTICATE, one) for one in SIGNING),
]


def named(value: Slot | Algorithm) -> str:
    if isinstance(value, Slot):
        return value.name.lower()
    return f"rsa{value.bits}" if value.is_rsa else value.name


def data_for(key: PublicKey) -> bytes:
    """A hash as long as the curve asks for, or DigestInfo."""
    digest = hashlib.sha256(b"keyharness").digest()
    return DIGEST_INFO + digest if key.algorithm.is_rsa else digest


def works(card: OpenPgp, mine, slot: Slot, key: PublicKey) -> bool:
    """Use a key after verifying what its use needs."""
    card.verify(mine.pw1, SIGN if slot is Slot.SIGN else OTHER)
    if slot is Slot.DECIPHER:
        cryptogram, right = key.cryptogram(b"keyharness" * 3)
        return card.decipher(cryptogram).rjust(len(right), b"\0") == right
    made = card.sign(data_for(key)) if slot is Slot.SIGN else card.authenticate(data_for(key))
    return key.verifies_data(made, data_for(key))


@pytest.mark.parametrize("slot, algorithm", ROWS, ids=named)
def test_a_generated_key_works_and_lasts(admin, mine, rig, slot, algorithm):
    set_algorithm(admin, slot, algorithm)
    admin.verify(mine.pw3, ADMIN)
    key = PublicKey(algorithm, admin.generate(slot))
    assert works(admin, mine, slot, key)
    card = again(rig)
    assert card.public(slot) == key.content
    assert works(card, mine, slot, key)


IMPORTS = [
    *((slot, name) for slot in Slot for name in WEIERSTRASS),
    (Slot.DECIPHER, X25519),
]


@pytest.mark.parametrize(
    "slot, name", IMPORTS, ids=lambda value: value if isinstance(value, str) else named(value)
)
@pytest.mark.parametrize("public", [True, False], ids=["with public key", "without"])
def test_an_imported_key_works_under_the_hosts_public_key(admin, mine, rig, slot, name, public):
    made = host_key(slot, name)
    set_algorithm(admin, slot, made.algorithm)
    admin.verify(mine.pw3, ADMIN)
    parts = made.parts if public else {0x92: made.parts[0x92]}
    # The last byte of the attributes says whether the card wants it (specification 3.4, section 4.4.3.9).
    if public and admin.get(slot.attributes)[-1] == PUBLIC_WANTED:
        admin.import_key(slot, parts)
    else:
        kind = "with" if public else "without"
        status = admin.exchange(0xDB, 0x3F, 0xFF, header(slot, parts))[1]
        require(status == 0x9000, f"an import {kind} the public key")
    assert admin.public(slot) == made.public.content
    assert works(again(rig), mine, slot, made.public)


def header(slot: Slot, parts: dict[int, bytes]) -> bytes:
    return header_list(slot.crt, parts)


def rsa_parts(bits: int, *, modulus: bool = False) -> dict[int, bytes]:
    key = key_of(bits, 7)
    half = bits // 16
    parts = {
        0x91: key.e.to_bytes(4, "big"),
        0x92: key.p.to_bytes(half, "big"),
        0x93: key.q.to_bytes(half, "big"),
    }
    return {**parts, 0x97: key.n.to_bytes(bits // 8, "big")} if modulus else parts


@SLOTS
@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_an_imported_rsa_key_has_the_modulus_of_its_primes(admin, mine, slot, bits):
    set_algorithm_rsa(admin, slot, bits)
    admin.verify(mine.pw3, ADMIN)
    admin.import_key(slot, rsa_parts(bits))
    key = PublicKey(rsa(bits), admin.public(slot))
    assert int.from_bytes(key.part(0x81), "big") == key_of(bits, 7).n
    assert works(admin, mine, slot, key)


def set_algorithm_rsa(card: OpenPgp, slot: Slot, bits: int) -> None:
    if card.version >= (3, 0):
        set_algorithm(card, slot, rsa(bits))
    else:
        require(card.exchange(0xDA, 0, slot.attributes, rsa(bits).encoded())[1] == 0x9000, "this size")


def test_an_import_may_bring_the_modulus(admin, mine):
    set_algorithm_rsa(admin, Slot.SIGN, 2048)
    admin.verify(mine.pw3, ADMIN)
    admin.import_key(Slot.SIGN, rsa_parts(2048, modulus=True))
    assert works(admin, mine, Slot.SIGN, PublicKey(rsa(2048), admin.public(Slot.SIGN)))


@SLOTS
def test_an_imported_rsa_key_of_another_exponent_works_or_is_refused(admin, mine, rig, slot):
    """The attributes give the length of e, and the import gives e itself (specification 3.4, section 4.4.3.12)."""
    set_algorithm_rsa(admin, slot, 2048)
    key = key_of(2048, 7)
    e = next(one for one in (17, 257, 65539, 65543) if gcd(one, (key.p - 1) * (key.q - 1)) == 1)
    admin.verify(mine.pw3, ADMIN)
    before = admin.public(slot)
    take_or_refuse(admin, slot, {**rsa_parts(2048), 0x91: e.to_bytes(4, "big")}, before, "this exponent")
    card = again(rig)
    public = PublicKey(rsa(2048), card.public(slot))
    assert [int.from_bytes(public.part(tag), "big") for tag in (0x81, 0x82)] == [key.n, e]
    assert works(card, mine, slot, public)


def take_or_refuse(card: OpenPgp, slot: Slot, parts: dict[int, bytes], before: bytes, what: str) -> None:
    """Import a key, or skip if the card refuses that; the key before must be there then."""
    status = card.exchange(0xDB, 0x3F, 0xFF, header(slot, parts))[1]
    if status != 0x9000:
        assert card.public(slot) == before, "a refused import changed the key"
    require(status == 0x9000, f"an import with {what}")


@pytest.mark.parametrize("slot", [Slot.SIGN, Slot.DECIPHER], ids=named)
@pytest.mark.parametrize("name", ["secp256r1", "secp521r1", "brainpoolP256r1"])
@pytest.mark.parametrize("form", ["whole", "shortened", "shortened, no public key"])
def test_an_imported_number_may_begin_with_zeros(admin, mine, rig, slot, name, form):
    """Some hosts send such a number without them: a card refuses that, or takes the number for what it is."""
    algorithm = on_curve(ECDH if slot is Slot.DECIPHER else ECDSA, name)
    curve = algorithm.curve
    d = int.from_bytes(hashlib.sha512(b"begins with zeros").digest(), "big") >> 8 * (66 - curve.size)
    number = d.to_bytes(curve.size, "big")
    assert number[:2] == bytes(2)
    set_algorithm(admin, slot, algorithm)
    admin.verify(mine.pw3, ADMIN)
    # The last byte of the attributes says whether the card wants the public key (specification 3.4, section 4.4.3.9).
    wanted = admin.get(slot.attributes)[-1] == PUBLIC_WANTED
    public = {0x99: curve.point(d)} if wanted and form != "shortened, no public key" else {}
    if form == "whole":
        admin.import_key(slot, {0x92: number, **public})
    else:
        parts = {0x92: number.lstrip(b"\0"), **public}
        take_or_refuse(admin, slot, parts, admin.public(slot), f"a number that is {form}")
    key = PublicKey(algorithm, tlv(0x86, curve.point(d)))
    card = again(rig)
    assert card.public(slot) == key.content
    assert works(card, mine, slot, key)


# What a new key changes


@SLOTS
def test_a_generated_key_replaces_the_one_before_it(admin, mine, slot):
    before = admin.public(slot)
    after = admin.generate(slot)
    assert before != after
    assert admin.public(slot) == after
    assert before == mine.keys[slot].content


@SLOTS
def test_a_new_key_leaves_the_other_slots_alone(admin, mine, slot):
    described = {tag: admin.get(tag) for tag in (0xC5, 0xC6, 0xCD)}
    admin.generate(slot)
    for tag, before in described.items():
        now, size = admin.get(tag), len(before) // 3
        for other in set(Slot) - {slot}:
            part = slice(size * other.value, size * (other.value + 1))
            assert now[part] == before[part], f"DO {tag:02X}, {other.title}"
    for other in set(Slot) - {slot}:
        assert admin.public(other) == mine.keys[other].content
        assert works(admin, mine, other, mine.keys[other])


@SLOTS
def test_the_fingerprint_of_an_authority_stays_with_a_new_key(admin, slot):
    """It is of who certified the owner, and no part of the key."""
    admin.put(slot.ca_fingerprint, bytes(range(20)))
    before = admin.get(0xC6)
    admin.generate(slot)
    assert admin.get(0xC6) == before


@SLOTS
@pytest.mark.parametrize("way", ["generate", "import"])
def test_a_new_key_takes_no_date_over_without_the_fingerprint(admin, rig, slot, way):
    """The host writes both. Until then a card shows both of the key before, as opcard-rs does, or neither."""
    dates = [bytes([0x5A, 1 + other.value, 0, 0]) for other in Slot]
    for other in Slot:
        admin.put(other.date, dates[other.value])
    fingerprint = admin.get(0xC5)[20 * slot.value :][:20]
    if way == "import":
        made = host_key(slot)
        set_algorithm(admin, slot, made.algorithm)
        admin.import_key(slot, made.parts)
    else:
        admin.generate(slot)
    before = fingerprint, dates[slot.value]
    for boot in ("the same boot", "the next boot"):
        card = admin if boot == "the same boot" else again(rig)
        shown = [card.get(0xCD)[4 * other.value :][:4] for other in Slot]
        found = card.get(0xC5)[20 * slot.value :][:20], shown.pop(slot.value)
        assert found in (before, (bytes(20), bytes(4))), f"{boot}: {found[0].hex()} of {found[1].hex()}"
        assert shown == [dates[other.value] for other in Slot if other is not slot], boot


@pytest.mark.parametrize("way", ["generate", "import"])
def test_a_new_signature_key_begins_its_counter_again(admin, mine, way):
    for _ in range(3):
        assert works(admin, mine, Slot.SIGN, mine.keys[Slot.SIGN])
    assert admin.counter() >= 3
    if way == "import":
        made = host_key(Slot.SIGN)
        set_algorithm(admin, Slot.SIGN, made.algorithm)
        admin.import_key(Slot.SIGN, made.parts)
    else:
        admin.generate(Slot.SIGN)
    assert admin.counter() == 0


@pytest.mark.parametrize("slot", [Slot.DECIPHER, Slot.AUTHENTICATE], ids=named)
def test_another_new_key_leaves_the_signature_counter(admin, mine, slot):
    assert works(admin, mine, Slot.SIGN, mine.keys[Slot.SIGN])
    before = admin.counter()
    admin.generate(slot)
    assert admin.counter() == before


@SLOTS
def test_the_origin_of_an_imported_key_is_told(admin, slot):
    require_version(admin, (3, 0), "DO DE")
    made = host_key(slot)
    set_algorithm(admin, slot, made.algorithm)
    admin.import_key(slot, made.parts)
    assert admin.get(0xDE)[2 * slot.value + 1] == 2


@SLOTS
def test_another_algorithm_removes_the_key(admin, mine, rig, slot):
    set_algorithm(admin, slot, on_curve(ECDH if slot is Slot.DECIPHER else ECDSA, "secp384r1"))
    card = again(rig)
    assert card.public(slot) == b""
    assert card.get(0xC5)[20 * slot.value :][:20] == bytes(20)
    with refused(NO_REFERENCE | {"6985"}):
        works(card, mine, slot, mine.keys[slot])


@SLOTS
def test_the_same_algorithm_keeps_the_key(admin, mine, slot):
    require_version(admin, (3, 0), "a change of attributes")
    admin.put(slot.attributes, admin.get(slot.attributes))
    assert admin.public(slot) == mine.keys[slot].content
    assert admin.get(0xC5)[20 * slot.value :][:20] == mine.keys[slot].fingerprint(DATE)


@SLOTS
@pytest.mark.parametrize(
    "attributes",
    ["", "01", "0107FF002000", "FF0800002000", "132A8648CE3D0301", "1300", "16FFFF"],
    ids=["empty", "short", "2047 bits", "unknown", "cut", "no curve", "another curve"],
)
def test_attributes_of_no_algorithm_are_refused_and_keep_the_key(admin, mine, slot, attributes):
    with refused(WRONG_DATA | {"6A81"}):
        admin.put(slot.attributes, bytes.fromhex(attributes))
    assert admin.public(slot) == mine.keys[slot].content


@pytest.mark.parametrize(
    "slot, algorithm",
    [
        (Slot.SIGN, on_curve(ECDH, X25519)),
        (Slot.AUTHENTICATE, on_curve(ECDH, "secp256r1")),
        (Slot.DECIPHER, on_curve(EDDSA, ED25519)),
        (Slot.DECIPHER, on_curve(ECDSA, "secp256r1")),
    ],
    ids=named,
)
def test_an_algorithm_of_another_purpose_is_refused(admin, slot, algorithm):
    with refused(WRONG_DATA | {"6A81"}):
        admin.put(slot.attributes, algorithm.encoded())


# Refusals


@SLOTS
def test_generating_needs_pw3(user, mine, slot):
    with refused(NOT_VERIFIED):
        user.generate(slot)
    assert user.public(slot) == mine.keys[slot].content


@SLOTS
def test_importing_needs_pw3(user, mine, slot):
    with refused(NOT_VERIFIED):
        user.import_key(slot, host_key(slot).parts)
    assert user.public(slot) == mine.keys[slot].content


@pytest.mark.reads
@SLOTS
def test_a_public_key_is_read_by_everybody(card, mine, slot):
    assert card.public(slot) == mine.keys[slot].content


@pytest.mark.parametrize("data", ["", "B7", "B600B8", "B500", "FF"], ids=lambda data: data or "empty")
def test_a_key_of_no_slot_is_neither_generated_nor_read(admin, data):
    for p1 in (0x80, 0x81):
        assert admin.exchange(0x47, p1, 0, bytes.fromhex(data), le=65536)[1] != 0x9000


@pytest.mark.parametrize("p1, p2", [(0x00, 0x00), (0x82, 0x00), (0x80, 0x01)])
def test_other_parameters_of_generate_are_refused(admin, mine, p1, p2):
    assert admin.exchange(0x47, p1, p2, b"\xb6\x00", le=65536)[1] != 0x9000
    assert admin.public(Slot.SIGN) == mine.keys[Slot.SIGN].content


def damaged(slot: Slot) -> dict[str, bytes]:
    good = host_key(slot)
    whole = header(slot, good.parts)
    return {
        "empty": b"",
        "cut": whole[:-1],
        "longer": whole + b"\0",
        "no template": whole[4:],
        "no lengths": header(slot, {}),
        "no private key": header(slot, {0x99: good.parts[0x99]}),
        "zero": header(slot, {**good.parts, 0x92: bytes(32)}),
        "point": header(slot, {**good.parts, 0x99: b"\x05" + good.parts[0x99][1:]}),
        "unknown slot": header(slot, good.parts).replace(bytes([slot.crt, 0]), b"\xb7\x00", 1),
    }


@SLOTS
@pytest.mark.parametrize("kind", sorted(damaged(Slot.SIGN)))
def test_an_import_of_another_form_is_refused_and_keeps_the_key(admin, mine, rig, slot, kind):
    if kind == "point":
        require(admin.algorithm(slot).name == "secp256r1", "keys on P-256")
    require(not admin.algorithm(slot).is_rsa, "keys on curves")
    status = admin.exchange(0xDB, 0x3F, 0xFF, damaged(slot)[kind])[1]
    if kind == "longer" and status == 0x9000:
        # A card may ignore what follows the template; then it has imported the key.
        assert works(again(rig), mine, slot, host_key(slot).public)
        return
    assert f"{status:04X}" in WRONG_DATA | {"6A88", "6A86", "6581", "6F00"}
    card = again(rig)
    assert card.public(slot) == mine.keys[slot].content
    assert works(card, mine, slot, mine.keys[slot])


@pytest.mark.parametrize("p1, p2", [(0x00, 0x5B), (0x3F, 0xFE), (0x00, 0x00)])
def test_an_import_to_another_object_is_refused(admin, p1, p2):
    assert admin.exchange(0xDB, p1, p2, header(Slot.SIGN, host_key(Slot.SIGN).parts))[1] != 0x9000


@pytest.mark.reads
@pytest.mark.parametrize("tag", [0x3FFF, 0x4D, 0x5F48, 0x7F48, 0x92, 0xB6], ids=lambda tag: f"{tag:04X}")
def test_no_object_shows_a_private_key(card, tag):
    answer, status = card.exchange(0xCA, tag >> 8, tag & 0xFF, le=65536)
    assert status != 0x9000 or not answer


def test_a_private_key_is_not_shown_to_the_administrator_either(everything):
    made = host_key(Slot.SIGN)
    set_algorithm(everything, Slot.SIGN, made.algorithm)
    everything.import_key(Slot.SIGN, made.parts)
    secret = made.parts[0x92]
    for tag in (
        *range(0x100),
        0x0101,
        0x0102,
        0x0103,
        0x0104,
        0x3FFF,
        0x5F48,
        0x5F50,
        0x7F21,
        0x7F48,
        0x7F49,
    ):
        answer, _ = everything.exchange(0xCA, tag >> 8, tag & 0xFF, le=65536)
        assert secret not in answer
        assert secret[::-1] not in answer


@SLOTS
def test_without_pw1_no_key_is_used(admin, mine, slot):
    key = mine.keys[slot]
    with refused(NOT_VERIFIED):
        if slot is Slot.SIGN:
            admin.sign(data_for(key))
        elif slot is Slot.AUTHENTICATE:
            admin.authenticate(data_for(key))
        else:
            admin.decipher(key.cryptogram(message(slot))[0])


def test_81_neither_deciphers_nor_authenticates(card, mine):
    card.verify(mine.pw1, SIGN)
    with refused(NOT_VERIFIED):
        card.decipher(mine.keys[Slot.DECIPHER].cryptogram(b"x" * 32)[0])
    with refused(NOT_VERIFIED):
        card.authenticate(data_for(mine.keys[Slot.AUTHENTICATE]))
