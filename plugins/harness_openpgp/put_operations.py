"""Write each further data object: one small write each, after which the old content or the new one is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from harness.api import (
    Cost,
    Item,
    Law,
    Look,
    Memory,
    Operation,
    PairedWrite,
    Rig,
    Value,
    arrange_nothing,
    new,
    old,
    pin_for,
)
from harness_openpgp.client import OTHER, PW1, PW3, RESET_CODE, OpenPgp, openpgp
from harness_openpgp.home import CERTIFICATE, DATA, DATE, LOGIN, NAME, OURS, PRIVATE, URL, as_admin, known
from harness_openpgp.items import (
    CURRENT,
    NEW,
    NOT_VERIFIED,
    OF_ITS_KEY,
    PW1_TRY,
    data_value,
    operational,
    pw1,
    pw3,
    shown,
)
from harness_openpgp.slots import Slot

LANGUAGE, SEX, AUTHORITIES = 0x5F2D, 0x5F35, 0xC6
FIRST, THIRD, FOURTH = 0x0101, 0x0103, 0x0104
"""Private data objects. The first and the third are written after PW1, the third is read after PW1, the fourth after
PW3 (specification 3.4, section 4.4.1).
"""
AES_KEY = 0xD5
BLOCKS = bytes(range(64))
"""What an AES key enciphers to be known again."""
PRIVATE_OBJECTS_BIT, AES_BIT = 0x08, 0x02
"""Bits of the first byte of DO C0."""
_PW1, _PW3, _BOTH = Cost(pins={PW1: 1}), Cost(pins={PW3: 1}), Cost(pins={PW1: 1, PW3: 1})
Put = Callable[[Rig, Memory, bytes], None]


def _lacks(bit: int, what: str) -> Callable[[Rig], str | None]:
    return lambda rig: None if OpenPgp(rig).get(0xC0)[0] & bit else what


lacks_private_objects = _lacks(PRIVATE_OBJECTS_BIT, "private data objects")
lacks_aes = _lacks(AES_BIT, "an AES key")


def _by_admin(tag: int) -> Put:
    return lambda rig, memory, content: as_admin(rig, memory).put(tag, content)


def _by_user(tag: int) -> Put:
    def put(rig: Rig, memory: Memory, content: bytes) -> None:
        client = OpenPgp(rig)
        client.verify(known(memory).pw1, OTHER)
        client.put(tag, content)

    return put


def ciphertext(client: OpenPgp) -> str:
    """What the card's AES key makes of `BLOCKS`, by its digest; PW1 is verified as 82."""
    answer, status = client.exchange(0x2A, 0x86, 0x80, BLOCKS, le=256)
    return shown(answer) if status == 0x9000 else f"refused: {status:04X}"


# What the home has laid down, and an item of every operation observes


def _canary(name: str, title: str, tag: int, content: bytes) -> Operation:
    """Write one of the data objects of `openpgp.data`."""

    def act(rig: Rig, memory: Memory) -> None:
        as_admin(rig, memory).put(tag, content)
        known(memory).data[tag] = content

    return Operation(
        name=f"openpgp.put_{name}",
        title=title,
        arrange=arrange_nothing,
        act=act,
        worlds=lambda before, after: [
            old({"openpgp.data": data_value(known(before).data)}),
            new({"openpgp.data": data_value(known(after).data)}),
        ],
        cost=_PW3,
        missing=lacks_private_objects if tag == PRIVATE else None,
    )


def _description(name: str, title: str, tag: int, fingerprint: bytes | None, date: bytes) -> Operation:
    """Write the fingerprint or the date of the key of decryption by itself, as a client does that mends one.

    :param fingerprint: that is there then; None: that of the key. :param date: that is there then.
    """

    def prints(memory: Memory, *, changed: bool) -> tuple[str, ...]:
        found = dict.fromkeys(Slot, OF_ITS_KEY)
        if changed:
            mine = known(memory).keys[Slot.DECIPHER].fingerprint(DATE)
            found[Slot.DECIPHER] = f"{(fingerprint or mine).hex()} {date.hex()}"
        return tuple(found.values())

    return Operation(
        name=f"openpgp.put_{name}",
        title=title,
        arrange=arrange_nothing,
        act=lambda rig, memory: as_admin(rig, memory).put(tag, fingerprint or date),
        worlds=lambda before, after: [
            old({"openpgp.fingerprints": prints(before, changed=False)}),
            new({"openpgp.fingerprints": prints(before, changed=True)}),
        ],
        cost=_PW3,
    )


# What an item of the operation alone observes


@dataclass(frozen=True)
class _Object:
    """A data object that no home but the coloured one has.

    :ivar put: writes it. :ivar read: what is seen of it. :ivar before: its content at the start; `after` the new one.
    :ivar pin: the item of the PIN after which it is read; None: anybody reads it.
    :ivar seen: what is seen where a content was written; None: its digest.
    """

    name: str
    title: str
    put: Put
    read: Callable[[OpenPgp], Value]
    before: bytes
    after: bytes
    cost: Cost = _PW3
    pin: Callable[[Look], Value] | None = None
    missing: Callable[[Rig], str | None] | None = None
    seen: Callable[[bytes], Value] = shown

    @property
    def operation(self) -> Operation:
        @operational
        def observe(look: Look) -> Value:
            if self.pin is not None and self.pin(look) not in (CURRENT, NEW):
                return NOT_VERIFIED
            return self.read(openpgp(look))

        item = Item("openpgp.object", Law.ATOMIC, observe, "the data object that is written", spends=PW1_TRY)
        return Operation(
            name=f"openpgp.put_{self.name}",
            title=self.title,
            arrange=lambda rig, memory: self.put(rig, memory, self.before),
            act=lambda rig, memory: self.put(rig, memory, self.after),
            worlds=lambda before, after: [
                old({item.name: self.seen(self.before)}),
                new({item.name: self.seen(self.after)}),
            ],
            items=(item,),
            cost=self.cost,
            missing=self.missing,
        )


def _content(tag: int) -> Callable[[OpenPgp], Value]:
    return lambda client: shown(client.get(tag))


def _private(number: int, tag: int, put: Put, cost: Cost, pin: Callable[[Look], Value] | None) -> _Object:
    return _Object(
        name=f"private_{number}",
        title=f"write private data object {number}",
        put=put,
        read=_content(tag),
        before=OURS + f"private {number}".encode(),
        after=OURS + f"another private object {number}, longer than before".encode(),
        cost=cost,
        pin=pin,
        missing=lacks_private_objects,
    )


def _enciphered(key: bytes) -> str:
    """What an AES key makes of `BLOCKS` (specification 3.4, section 7.2.12): 02, then CBC from an IV of zeros."""
    worker = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
    return shown(b"\x02" + worker.update(BLOCKS) + worker.finalize())


_OBJECTS = (
    _Object("language", "write the languages", _by_admin(LANGUAGE), _content(LANGUAGE), b"de", b"enfrde"),
    _Object("sex", "write the sex", _by_admin(SEX), _content(SEX), b"1", b"2"),
    _Object(
        "authority",
        "write the fingerprint of an authority",
        # The middle one of three: some cards keep them in the other order.
        _by_admin(Slot.DECIPHER.ca_fingerprint),
        lambda client: shown(client.get(AUTHORITIES)[20:40]),
        bytes([0xB2]) * 20,
        bytes([0x2B]) * 20,
    ),
    _private(1, FIRST, _by_user(FIRST), _PW1, None),
    _private(3, THIRD, _by_user(THIRD), _PW1, pw1),
    _private(4, FOURTH, _by_admin(FOURTH), _PW3, pw3),
    _Object(
        "aes_key",
        "write an AES key",
        _by_admin(AES_KEY),
        ciphertext,
        bytes(range(32)),
        bytes(range(32, 64)),
        _BOTH,
        pw1,
        lacks_aes,
        _enciphered,
    ),
)
OPERATIONS = (
    _canary("name", "write the card holder's name", NAME, b"Another<<Holder<Of<The<Card"),
    _canary("url", "write the URL of the public key", URL, b"https://example.org/another-key"),
    _canary("private_2", "write private data object 2", PRIVATE, OURS + b"another private use"),
    _description("fingerprint", "write a fingerprint", Slot.DECIPHER.fingerprint, bytes([0x5A]) * 20, DATE),
    _description("date", "write the date of a key", Slot.DECIPHER.date, None, bytes.fromhex("69560001")),
    *(one.operation for one in _OBJECTS),
)


# What is written and undone


def _put_certificate(rig: Rig, memory: Memory, content: bytes) -> None:
    as_admin(rig, memory).put_certificate(Slot.AUTHENTICATE, content)


def _replace_key(rig: Rig, memory: Memory) -> None:
    as_admin(rig, memory).generate(Slot.DECIPHER)


def _set_code(rig: Rig, memory: Memory, code: str) -> None:
    as_admin(rig, memory).set_code(code)


def _change_pw1(rig: Rig, memory: Memory, *, back: bool) -> None:
    pins = known(memory).pw1, pin_for(rig, "changed", PW1)
    OpenPgp(rig).change(*(reversed(pins) if back else pins))


PAIRED = (
    PairedWrite(
        "openpgp.certificate",
        "replace a certificate, and write the old one again",
        lambda rig, memory: _put_certificate(rig, memory, OURS + b"another one " * 80),
        lambda rig, memory: _put_certificate(rig, memory, CERTIFICATE),
    ),
    PairedWrite(
        "openpgp.login",
        "remove the login data, and write them again",
        lambda rig, memory: as_admin(rig, memory).put(LOGIN, b""),
        lambda rig, memory: as_admin(rig, memory).put(LOGIN, DATA[LOGIN]),
    ),
    PairedWrite("openpgp.key", "replace a key twice", _replace_key, _replace_key),
    PairedWrite(
        "openpgp.code",
        "set a reset code, and remove it",
        lambda rig, memory: _set_code(rig, memory, pin_for(rig, "code", RESET_CODE)),
        lambda rig, memory: _set_code(rig, memory, ""),
    ),
    PairedWrite(
        "openpgp.pw1",
        "change PW1, and back",
        lambda rig, memory: _change_pw1(rig, memory, back=False),
        lambda rig, memory: _change_pw1(rig, memory, back=True),
    ),
)
