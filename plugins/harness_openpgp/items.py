"""What must hold of an OpenPGP card after every operation (invariants O1 to O7, P1 to P4 of docs/invariants.md).

A key is there if it works under the public key that was kept; never by fingerprints or lists alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps

from harness.api import Item, KeyFault, Law, Look, Memory, Outcome, Refused, Severity, Value
from harness_cards.values import CURRENT as CURRENT
from harness_cards.values import NEITHER as NEITHER
from harness_cards.values import NEW as NEW
from harness_cards.values import shown as shown
from harness_openpgp.client import ADMIN, OTHER, SIGN, OpenPgp, PinStatus, openpgp
from harness_openpgp.home import DATE, LOGIN, NAME, PRIVATE, URL, known, message
from harness_openpgp.public_keys import PublicKey
from harness_openpgp.slots import Slot

OPERATIONAL, TERMINATED, UNUSABLE = "operational", "terminated", "no state"
ABSENT, WORKS, NOT_VERIFIED, NOT_OFFERED = "absent", "works", "PW1 is not known", "not offered"
ANOTHER_PLAINTEXT, WRONG_SIGNATURE = "another plaintext", "wrong signature"
ONE_SIGNATURE, MANY_SIGNATURES = "one signature", "many signatures"
OFTEN = 12
GOES_ON, BEGAN_AGAIN = "goes on", "began again"
DATA = (NAME, LOGIN, URL, PRIVATE)
_LOCKED = {"6985": UNUSABLE}
PW1_TRY = frozenset({"pin try"})
PW3_TRY = frozenset({"admin pin try"})
CODE_TRY = frozenset({"reset code try"})

Observe = Callable[[Look], Value]


def operational(observe: Observe) -> Observe:
    """An item of an operational card; of another one its value is the card's state. A refusal is a value."""

    @wraps(observe)
    def shown(look: Look) -> Value:
        if (found := state(look)) != OPERATIONAL:
            return found
        try:
            return observe(look)
        except Refused as refused:
            return refused.value

    return shown


def state(look: Look) -> Value:
    """Operational, terminated, or without a state that can be read."""
    client = openpgp(look)
    if client.is_terminated:
        return TERMINATED
    status = client.exchange(0xCA, 0x00, 0x6E, le=65536)[1]
    return OPERATIONAL if status == 0x9000 else _LOCKED.get(f"{status:04X}", f"refused: {status:04X}")


@operational
def identity(look: Look) -> Value:
    return openpgp(look).aid.hex()


def _status(look: Look) -> PinStatus:
    """DO C4 as it was before this boot's first try."""
    return look.once("C4", lambda: openpgp(look).pin_status())


@operational
def pw1_tries(look: Look) -> Value:
    return _status(look).pw1


@operational
def code_tries(look: Look) -> Value:
    return _status(look).code


@operational
def pw3_tries(look: Look) -> Value:
    return _status(look).pw3


@operational
def pw1_mode(look: Look) -> Value:
    return MANY_SIGNATURES if _status(look).lasts else ONE_SIGNATURE


@operational
def data(look: Look) -> Value:
    """Name, login, URL and the second private object."""
    client = openpgp(look)
    return tuple(shown(client.get(tag)) for tag in DATA)


def data_value(content: dict[int, bytes]) -> tuple[str, ...]:
    """The value of `openpgp.data` for what was written: tag -> content."""
    return tuple(shown(content.get(tag, b"")) for tag in DATA)


@operational
def certificates(look: Look) -> Value:
    """The three cardholder certificates, in the order of the slots; the only one of a card of version 2."""
    client = openpgp(look)
    try:
        return tuple(shown(client.certificate(slot)) for slot in Slot)
    except Refused as refused:
        if refused.status in ("6D00", "6B00", "6A86"):
            return (shown(client.get(0x7F21)),)
        raise


@operational
def kdf(look: Look) -> Value:
    client = openpgp(look)
    return shown(client.get(0xF9)) if client.offers(0xF9) else NOT_OFFERED


@operational
def touch(look: Look) -> Value:
    """The flags that ask for a touch, as hex digits."""
    client = openpgp(look)
    if not client.offers(0xD6):
        return NOT_OFFERED
    return tuple(client.get(slot.uif).hex() for slot in Slot)


@operational
def algorithms(look: Look) -> Value:
    """The attributes of each slot, as hex digits."""
    return tuple(openpgp(look).get(slot.attributes).hex() for slot in Slot)


@operational
def fingerprints(look: Look) -> Value:
    """Fingerprint and date of each slot: `OF_ITS_KEY`, else hex digits.

    The home of a real card is laid down anew before each cut, with new keys: the digits would differ every time.
    """
    prints, dates = openpgp(look).get(0xC5), openpgp(look).get(0xCD)
    keys = known(look.memory).keys

    def shown(slot: Slot) -> str:
        found = prints[20 * slot.value :][:20], dates[4 * slot.value :][:4]
        is_its = slot in keys and found == (keys[slot].fingerprint(DATE), DATE)
        return OF_ITS_KEY if is_its else " ".join(part.hex() for part in found)

    return tuple(shown(slot) for slot in Slot)


OF_ITS_KEY = "of its key"
"""In `openpgp.fingerprints`: the fingerprint and the date of the key that the host knows in that slot."""

NO_FINGERPRINTS = (f"{bytes(20).hex()} {bytes(4).hex()}",) * 3
"""The value of `openpgp.fingerprints` of a card without keys."""


@operational
def pw1(look: Look) -> Value:
    """Which PIN is PW1, the new one first; one try at most is lost. Afterwards 82 is verified."""
    return look.once("pw1", lambda: _log_in(look, OTHER))


@operational
def pw3(look: Look) -> Value:
    """Which PIN is PW3, the new one first."""
    return look.once("pw3", lambda: _log_in(look, ADMIN))


def _log_in(look: Look, reference: int) -> str:
    def of(memory: Memory) -> str:
        return known(memory).pw3 if reference == ADMIN else known(memory).pw1

    for pin, name in {of(look.promise): NEW, of(look.memory): CURRENT}.items():
        try:
            openpgp(look).verify(pin.encode("latin-1"), reference)
        except Refused:
            continue
        return CURRENT if pin == of(look.memory) else name
    return NEITHER


def _pin_of(look: Look) -> str:
    return known(look.promise if pw1(look) == NEW else look.memory).pw1


@operational
def keys(look: Look) -> Value:
    """Use each canary key: what it does under the public key that was kept."""
    return tuple(f"{slot.title} {use(look, slot, key)}" for slot, key in known(look.memory).keys.items())


def canaries(memory: Memory, **instead: str) -> tuple[str, ...]:
    """The value of `openpgp.keys` where every canary works.

    :param instead: title of a slot -> what is found there instead; `every` is all slots.
    """
    every = instead.get("every", WORKS)
    return tuple(f"{slot.title} {instead.get(slot.title, every)}" for slot in known(memory).keys)


def use(look: Look, slot: Slot, key: PublicKey) -> str:
    """Use the key in a slot: "works", "absent", or what is wrong."""
    if pw1(look) not in (CURRENT, NEW):
        return NOT_VERIFIED
    with ExitStack() as touching:
        if known(look.memory).has_touch and openpgp(look).get(slot.uif)[:1] not in (b"", b"\0"):
            touching.enter_context(look.rig.touch.pressing())
        return _used(look, slot, key)


def _used(look: Look, slot: Slot, key: PublicKey) -> str:
    client = openpgp(look)
    try:
        if slot is Slot.DECIPHER:
            cryptogram, right = key.cryptogram(message(slot))
            # GnuPG fills up leading zeros that were lost.
            found = client.decipher(cryptogram).rjust(len(right), b"\0")
            return WORKS if found == right else ANOTHER_PLAINTEXT
        if slot is Slot.SIGN:
            client.verify(_pin_of(look).encode("latin-1"), SIGN)
            signature = client.sign(key.signed_data(message(slot)))
            look.kept.setdefault("openpgp counters", []).append(client.counter())
        else:
            signature = client.authenticate(key.signed_data(message(slot)))
    except Refused as refused:
        if slot is Slot.DECIPHER and refused.status == "6A80":
            # What was not encrypted to an RSA key has no padding, and no point of another curve fits.
            return ANOTHER_PLAINTEXT
        return ABSENT if refused.status == "6A88" else refused.value
    return WORKS if key.verifies(signature, message(slot)) else WRONG_SIGNATURE


@operational
def counter(look: Look) -> Value:
    """The signature counter after each signature of this look."""
    return tuple(look.kept.get("openpgp counters", ()))


# Items of single operations


def counter_start(look: Look) -> Value:
    """Does the counter go on from the many signatures that were made before, or did it begin again?"""
    found = look.kept.get("openpgp counters")
    if not found:
        return "nothing was signed"
    return GOES_ON if found[0] > OFTEN else BEGAN_AGAIN


def described(client: OpenPgp, slot: Slot, key: PublicKey) -> str:
    """Do fingerprint and date belong to a public key?"""
    found = client.get(0xC5)[20 * slot.value :][:20]
    date = client.get(0xCD)[4 * slot.value :][:4]
    if found == key.fingerprint(DATE):
        return "described" if date == DATE else "without its date"
    return "without a fingerprint" if found == bytes(20) else "the fingerprint of another key"


def new_key_of(slot: Slot) -> Item:
    """The key in a slot, by use under the public key that the card shows: works or absent, and what describes it."""

    @operational
    def observe(look: Look) -> Value:
        client = openpgp(look)
        content = client.public(slot)
        old = known(look.memory).keys.get(slot)
        if not content:
            return ABSENT
        key = PublicKey(client.algorithm(slot), content)
        try:
            found = use(look, slot, key)
        except KeyFault:
            return "a public key of another algorithm"
        which = "old" if old is not None and content == old.content else "new"
        return f"{which} key {found}, {described(client, slot, key)}"

    return Item("openpgp.new_key", Law.ATOMIC, observe, "the key in the slot", Severity.S1, PW1_TRY)


NEW_KEYS = {slot: new_key_of(slot) for slot in Slot}


@operational
def reset_code(look: Look) -> Value:
    """Use the reset code: set PW1 to the PIN that it has already."""
    for code, name in {known(look.promise).code: NEW, known(look.memory).code: CURRENT}.items():
        if not code:
            continue
        try:
            openpgp(look).reset_pw1(known(look.promise).pw1, code)
        except Refused as refused:
            if refused.status == "6F00":
                return "no answer that makes sense"
            continue
        return name if code != known(look.memory).code else CURRENT
    return NEITHER


@operational
def pw1_by_change(look: Look) -> Value:
    """Which PIN is PW1 by CHANGE REFERENCE DATA, which sets it to itself."""
    for pin, name in {known(look.promise).pw1: NEW, known(look.memory).pw1: CURRENT}.items():
        try:
            openpgp(look).change(pin, pin)
        except Refused:
            continue
        return name
    return NEITHER


RESET_CODE_ITEM = Item(
    "openpgp.reset_code",
    Law.ATOMIC,
    reset_code,
    "the reset code in force",
    spends=CODE_TRY,
    after_replug=True,
)
COUNTER_START = Item(
    "openpgp.counter_start", Law.ATOMIC, counter_start, "the start of the signature counter", spends=PW1_TRY
)
PW1_BY_CHANGE = Item(
    "openpgp.pw1_by_change", Law.ATOMIC, pw1_by_change, "PW1 as CHANGE takes it", spends=PW1_TRY
)
ITEMS = (
    Item("openpgp.state", Law.KEPT, state, "the state of the card"),
    Item("openpgp.identity", Law.KEPT, identity, "the serial number"),
    Item("openpgp.pw1_tries", Law.FALLING, pw1_tries, "the retry counter of PW1"),
    Item("openpgp.code_tries", Law.FALLING, code_tries, "the retry counter of the reset code"),
    Item("openpgp.pw3_tries", Law.FALLING, pw3_tries, "the retry counter of PW3"),
    Item("openpgp.pw1_mode", Law.KEPT, pw1_mode, "how long PW1 serves", breach=Outcome.LOOSENED),
    Item("openpgp.data", Law.KEPT, data, "the data objects"),
    Item("openpgp.certificates", Law.KEPT, certificates, "the set of certificates"),
    Item("openpgp.kdf", Law.KEPT, kdf, "the KDF data object"),
    Item("openpgp.touch", Law.KEPT, touch, "the set of flags that ask for a touch", breach=Outcome.LOOSENED),
    Item("openpgp.algorithms", Law.KEPT, algorithms, "the list of algorithms"),
    Item("openpgp.fingerprints", Law.KEPT, fingerprints, "the list of fingerprints and dates"),
    Item("openpgp.pw1", Law.KEPT, pw1, "PW1 in force", spends=PW1_TRY),
    Item("openpgp.keys", Law.KEPT, keys, "the set of canary keys", spends=PW1_TRY),
    Item(
        "openpgp.counter",
        Law.RISING,
        counter,
        "the signature counter",
        spends=PW1_TRY,
        floor=lambda memory: known(memory).counter,
    ),
    Item("openpgp.pw3", Law.KEPT, pw3, "PW3 in force", spends=PW3_TRY),
)
