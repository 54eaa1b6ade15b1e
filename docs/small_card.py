"""A card with one PIN of three tries and one file: a whole key of its own, with its client, operations and twin."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.api import (
    OK, Application, CardFirmware, Cost, Defect, Face, Item, Key, Law, Offered, OneChipTwin,
    Operation, Outcome, Part, PinReference, Refused, Suite, World, hookimpl, new, old, pin_for,
    pin_try,
)  # fmt: skip
from harness_transports.card import card

AID, ATR = bytes.fromhex("F04B4801"), bytes.fromhex("3B80800101")
SELECT, VERIFY, CHANGE, READ, UPDATE = 0xA4, 0x20, 0x24, 0xB0, 0xD6
PIN, FACTORY_PIN, OURS = PinReference("card PIN", full=3), "12345678", "keyharness "


class Client:
    """The host's side. What the card refuses is a Refused with its status word."""

    def __init__(self, rig):
        self.rig, self.card = rig, card(rig)
        self.card.connect()
        self.card.command("SELECT", SELECT, p1=4, data=AID)

    def tries(self):
        return self.card.transmit([0, VERIFY, 0, 1])[2] & 0x0F  # 63Cx: x tries are left

    def verify(self, pin):
        with pin_try(self.rig, PIN, self.tries):
            self.card.command("VERIFY", VERIFY, p2=1, data=pin.encode())

    def change(self, before, after):
        if self.rig.pin_guard:
            self.rig.pin_guard.setting(PIN, after)
        with pin_try(self.rig, PIN, self.tries):
            self.card.command("CHANGE", CHANGE, p2=1, data=(before + after).encode())

    def read(self):
        return self.card.command("READ BINARY", READ).decode("ascii", "replace")

    def update(self, content):
        self.card.command("UPDATE BINARY", UPDATE, data=content.encode())


@dataclass
class CardMemory:
    pin: str = FACTORY_PIN
    content: str = OURS + "canary " * 10


def known(memory):
    return memory.part("card", CardMemory)


def write(rig, memory):
    opened = Client(rig)
    opened.verify(known(memory).pin)
    opened.update(known(memory).content)


def write_other(rig, memory):
    known(memory).content = OURS + "other " * 20
    write(rig, memory)


def change(rig, memory):
    before, known(memory).pin = known(memory).pin, pin_for(rig, "changed", PIN)
    Client(rig).change(before, known(memory).pin)


def right_pin(rig, memory):
    Client(rig).verify(known(memory).pin)


def wrong_pin(rig, memory):
    with suppress(Refused):
        Client(rig).verify(pin_for(rig, "wrong", PIN))


def foreign(rig):
    return ["a file that is not ours"] if not (Client(rig).read() or OURS).startswith(OURS) else []


def client(look):
    return look.once("card", lambda: Client(look.rig))


def pin_in_force(look):
    """Found by trying, the new one first; at most one try is lost."""
    for pin, name in {known(look.promise).pin: "new", known(look.memory).pin: "old"}.items():
        with suppress(Refused):
            client(look).verify(pin)
            return name
    return "neither"


def operation(name, title, act, item, before, after, *others, **more):
    def worlds(memory, promise):
        return [old({item: before(known(memory))}), *others, new({item: after(known(promise))})]

    return Operation(name, title, lambda rig, memory: None, act, worlds, cost=Cost(pins={PIN: 1}), **more)


COUNTED = World("counted", Outcome.RECOVERED, {"card.tries": 2})
PAID = {"reference_operation": "card.verify", "must_be_lowered": "card.tries"}
OPERATIONS = (
    operation("card.update", "write", write_other, "card.file", lambda m: m.content, lambda m: m.content),
    operation("card.change", "change the PIN", change, "card.pin", lambda m: "old", lambda m: "new"),
    operation("card.verify", "right PIN", right_pin, "card.tries", lambda m: 3, lambda m: 3, COUNTED),
    operation("card.wrong", "wrong PIN", wrong_pin, "card.tries", lambda m: 3, lambda m: 2, **PAID),
)
ITEMS = (
    Item("card.tries", Law.FALLING, lambda look: client(look).tries(), "the number of PIN tries"),
    Item("card.file", Law.ATOMIC, lambda look: client(look).read(), "the file"),
    Item("card.pin", Law.ATOMIC, pin_in_force, "the PIN in force", spends=frozenset({"pin try"})),
)
CARD = Application("card", "Small card", write, OPERATIONS, ITEMS, foreign)


class Firmware(CardFirmware):
    """The card's side: three files on littlefs."""

    def __init__(self, board, store, options):
        super().__init__(board)
        self.store, self.defects, self.selected, self.verified = store, options.defects, False, False

    def obey(self, command):
        if command.ins == SELECT:
            self.selected = command.data == AID
            return b"", OK if self.selected else 0x6A82
        if not self.selected or command.ins not in (VERIFY, CHANGE, READ, UPDATE):
            return b"", 0x6D00
        if command.ins == READ:
            return self.store.read("file"), OK
        if command.ins == UPDATE:
            return b"", self.update(command.data)
        if not command.data:
            return b"", 0x63C0 + self.store.read("tries")[0]
        status = self.verify(command.data[:8])
        if command.ins == CHANGE and status == OK:
            self.store.write("pin", command.data[8:])
        return b"", status

    def verify(self, pin):
        left, self.verified = self.store.read("tries")[0], False
        if left == 0:
            return 0x6983
        right = pin == self.store.read("pin")
        # Paid for before its answer depends on the PIN. The defect answers a right one without paying.
        if not (right and "free-guess" in self.defects):
            self.store.write("tries", bytes([left - 1]))
        if not right:
            return 0x63C0 + left - 1
        if self.store.read("tries") != bytes([PIN.full]):
            self.store.write("tries", bytes([PIN.full]))
        self.verified = True
        return OK

    def update(self, content):
        if not self.verified:
            return 0x6982
        (self.store.write_in_place if "in-place" in self.defects else self.store.write)("file", content)
        return OK


TWIN = OneChipTwin(
    Part("small flash", page_size=4096, pages=6, word_size=4, word_us=41, erase_us=85_000, endurance=10_000),
    {"tries": bytes([PIN.full]), "pin": FACTORY_PIN.encode(), "file": b""},
    Firmware,
    "v1.0",
    {"card": Offered("apdus", atr=ATR)},
    (
        Defect("free-guess", "the PIN is compared before the counter is lowered", "made up for this page"),
        Defect("in-place", "the file is overwritten in place", "made up for this page"),
    ),
)


@hookimpl
def keyharness_keys():
    faces = (Face("application", 0x1209, 0x5CA1, "Small card"),)
    return [Key("small-card", "Small card", faces, (CARD,), lambda rig: {"firmware": "v1.0"})]


@hookimpl
def keyharness_twins():
    return {"small-card": TWIN}


@hookimpl
def keyharness_suites():
    folder = Path(__file__).with_name("small_card_suite")
    return [Suite("small-card", "does it obey?", folder, application="card")]
