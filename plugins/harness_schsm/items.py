"""What must hold of a SmartCard-HSM after every operation (invariants H1 to H10, P1 to P4 of docs/invariants.md).

A key is there if its signature verifies under the public key that was kept; never by the card's own list alone.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from harness.api import Item, Law, Look, Memory, Outcome, Refused, Severity, Value
from harness_cards.curves import BRAINPOOL_P256, public_key
from harness_cards.values import CURRENT as CURRENT
from harness_cards.values import NEITHER as NEITHER
from harness_cards.values import NEW as NEW
from harness_cards.values import shown as shown
from harness_schsm import cvc
from harness_schsm.client import (
    AES_ENCRYPT,
    CERTIFICATE,
    DATA,
    EC_SHA256,
    KEY,
    RSA_PKCS1_SHA256,
    SO,
    USER,
    ScHsm,
    schsm,
)
from harness_schsm.cvc import BadCertificate, EcPublic, Public
from harness_schsm.home import CANARY_AES, CANARY_DATA, known, listed, plaintext
from harness_schsm.home import objects as files_of

ABSENT, SIGNS, ENCRYPTS, NOT_LOGGED_IN = "absent", "signs", "encrypts", "nobody is logged in"
NOT_INITIALISED, TRANSPORT = "not initialised", "transport PIN"
NOT_FOUND = "6A82"
NEW_KEY, NEW_FILE = 9, 2
"""Numbers of the key and of the data object that operations make."""
USES_MAX = 6
_STATES = {0x6A88: NOT_INITIALISED, 0x6984: TRANSPORT}
TRY = frozenset({"pin try"})
SO_TRY = frozenset({"so-pin try"})
FLASH = frozenset({"flash write"})


def state(look: Look) -> Value:
    """Is the card initialised, with which options?"""
    client = schsm(look)
    if client.state(SO) == 0x6A88:
        return NOT_INITIALISED
    return _STATES.get(client.state(USER), f"options {client.info.options:04X}")


def device(look: Look) -> Value:
    return hashlib.sha256(schsm(look).certificates()).hexdigest()[:12]


def _tries(reference: int, look: Look) -> Value:
    status = schsm(look).state(reference)
    if status & 0xFFF0 == 0x63C0:
        return status & 0x0F
    return 0 if status == 0x6983 else _STATES.get(status, f"status {status:04X}")


def user_tries(look: Look) -> Value:
    return _tries(USER, look)


def so_tries(look: Look) -> Value:
    return _tries(SO, look)


def dkek(look: Look) -> Value:
    """Total, outstanding, KCV."""
    try:
        found = schsm(look).dkek()
    except Refused as refused:
        return f"none: {refused.shown_status}"
    return found.total, found.outstanding, found.kcv


def objects(look: Look) -> Value:
    try:
        return listed(schsm(look), known(look.memory))
    except Refused as refused:
        return NOT_INITIALISED if refused.status == "6A88" else refused.value


def _file(look: Look, fid: int) -> Value:
    try:
        return shown(schsm(look).read(fid))
    except Refused as refused:
        return ABSENT if refused.status == NOT_FOUND else refused.value


def content(look: Look) -> Value:
    return _file(look, DATA | CANARY_DATA)


def new_file(look: Look) -> Value:
    return _file(look, DATA | NEW_FILE)


def pin_in_force(look: Look) -> Value:
    """Log in, with the new PIN first; one try at most is lost."""
    return look.once("login", lambda: _log_in(look))


def _log_in(look: Look) -> str:
    client = schsm(look)
    pins = {known(look.promise).pin: NEW, known(look.memory).pin: CURRENT}
    for pin, name in pins.items():
        try:
            client.verify(pin)
        except Refused as refused:
            if refused.status in ("6A88", "6984"):
                return _STATES[int(str(refused.status), 16)]
            continue
        return CURRENT if pin == known(look.memory).pin else name
    return NEITHER


def keys(look: Look) -> Value:
    """Use each canary key: its number, and what it does."""
    memory = known(look.memory)
    found = [
        f"{key_id} {key_signs(look, key_id, public_of_request(request))}"
        for key_id, request in memory.requests.items()
    ]
    if memory.ciphertext:
        found.append(f"{CANARY_AES} {_encrypts(look, memory.ciphertext)}")
    return tuple(found)


def canaries(memory: Memory, instead: str = "") -> tuple[str, ...]:
    """The value of `schsm.keys` where every canary works, or where each is `instead`."""
    mine = known(memory)
    found = [f"{key_id} {instead or SIGNS}" for key_id in mine.requests]
    return (*found, f"{CANARY_AES} {instead or ENCRYPTS}") if mine.ciphertext else tuple(found)


def is_ready(look: Look) -> bool:
    """Is a user PIN in force that the host knows, so that keys can be used? It is verified then."""
    return pin_in_force(look) in (CURRENT, NEW)


def key_signs(look: Look, key_id: int, public: Public) -> str:
    if not is_ready(look):
        return NOT_LOGGED_IN
    message = plaintext(key_id)
    algorithm = EC_SHA256 if isinstance(public, EcPublic) else RSA_PKCS1_SHA256
    try:
        signature = schsm(look).sign(key_id, algorithm, message)
    except Refused as refused:
        return ABSENT if refused.status == NOT_FOUND else refused.value
    return SIGNS if verifies(public, signature, message) else "wrong signature"


def _encrypts(look: Look, ciphertext: bytes) -> str:
    if not is_ready(look):
        return NOT_LOGGED_IN
    try:
        made = schsm(look).aes(CANARY_AES, AES_ENCRYPT, plaintext(CANARY_AES))
    except Refused as refused:
        return ABSENT if refused.status == NOT_FOUND else refused.value
    return ENCRYPTS if made == ciphertext else "wrong ciphertext"


def verifies(public: Public, signature: bytes, message: bytes) -> bool:
    """Does a signature that the card made with SHA-256 verify?"""
    try:
        if isinstance(public, EcPublic):
            public_key(public.curve, public.point).verify(signature, message, ec.ECDSA(hashes.SHA256()))
        else:
            public.key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def public_of_request(request: bytes) -> Public:
    return cvc.decode_authenticated(request).request.key()


def attested(client: ScHsm, request: bytes) -> Public:
    """Verify a request down to the device's key, which EF 2F02 shows; return the key that was requested for.

    A card that nobody has certified shows no key of its device: then the request's own signature is verified alone.

    :raises BadCertificate: a signature does not verify.
    """
    if not client.has_certificates():
        return cvc.decode_authenticated(request).require_self_signed()
    return _attested(client.certificates(), request)


@lru_cache(maxsize=256)
def _attested(certificates: bytes, request: bytes) -> Public:
    return cvc.decode_authenticated(request).require_attested(cvc.decode(certificates).key(BRAINPOOL_P256))


def new_key(look: Look) -> Value:
    """Use the new key: its signature must verify under the public key of its request, which the card must attest."""
    # What is unwrapped was made when the run was arranged; the promise may be that of an earlier run.
    client, made = schsm(look), known(look.memory).new_request or known(look.promise).new_request
    found = files_of(client, known(look.memory))
    if KEY | NEW_KEY not in found:
        return ABSENT
    if not is_ready(look):
        return NOT_LOGGED_IN
    if CERTIFICATE | NEW_KEY in found:
        try:
            return key_signs(look, NEW_KEY, attested(client, client.read(CERTIFICATE | NEW_KEY)))
        except BadCertificate as error:
            return f"a request that does not verify: {error}"
    if known(look.memory).blob:
        # Unwrapped keys bring no request; the public key is known from before.
        return key_signs(look, NEW_KEY, public_of_request(made))
    return "a key without its request"


def uses_left(look: Look) -> Value:
    """Use the new key until it is refused."""
    if not is_ready(look):
        return NOT_LOGGED_IN
    for count in range(USES_MAX):
        try:
            schsm(look).sign(NEW_KEY, EC_SHA256, plaintext(NEW_KEY))
        except Refused as refused:
            return count if refused.status in ("6984", "6A84") else refused.value
    return USES_MAX


def completed_dkek(look: Look) -> Value:
    """Import the shares that the card still asks for, and read the KCV."""
    client = schsm(look)
    try:
        for one in known(look.memory).due:
            if client.dkek().outstanding:
                client.import_share(one)
        found = client.dkek()
    except Refused as refused:
        return refused.value
    return f"{found.kcv}, {found.outstanding} outstanding"


def so_pin_in_force(look: Look) -> Value:
    """Try the SO-PIN, the new one first."""
    for so_pin, name in {known(look.promise).so_pin: NEW, known(look.memory).so_pin: CURRENT}.items():
        if schsm(look).exchange(0x20, 0, SO, bytes.fromhex(so_pin))[1] == 0x9000:
            return name
    return NEITHER


ITEMS = (
    Item("schsm.device", Law.KEPT, device, "the certificate of the device"),
    Item("schsm.state", Law.KEPT, state, "the state of the card"),
    Item("schsm.user_tries", Law.FALLING, user_tries, "the retry counter of the user PIN"),
    Item("schsm.so_tries", Law.FALLING, so_tries, "the retry counter of the SO-PIN"),
    Item("schsm.dkek", Law.KEPT, dkek, "the state of the DKEK"),
    Item("schsm.objects", Law.KEPT, objects, "the list of files and keys"),
    Item("schsm.data", Law.KEPT, content, "the canary data object"),
    Item("schsm.user_pin", Law.KEPT, pin_in_force, "the user PIN in force", spends=TRY),
    Item("schsm.keys", Law.KEPT, keys, "the set of canary keys", spends=TRY),
)
NEW_KEY_ITEM = Item("schsm.new_key", Law.ATOMIC, new_key, "the new key", Severity.S1, TRY)
NEW_FILE_ITEM = Item("schsm.new_file", Law.ATOMIC, new_file, "the new file")
USES_LEFT = Item(
    "schsm.uses_left", Law.FALLING, uses_left, "the number of uses that are left", Severity.S1, TRY
)
COMPLETED_DKEK = Item(
    "schsm.completed_dkek", Law.KEPT, completed_dkek, "the DKEK after the last share", spends=FLASH
)
SO_PIN_ITEM = Item(
    "schsm.so_pin", Law.ATOMIC, so_pin_in_force, "the SO-PIN in force", spends=SO_TRY, breach=Outcome.LOST
)
