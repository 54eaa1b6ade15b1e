"""A key of Acme's: FIDO2 as Keyharness brings it, and an application of its own with one operation."""

from harness.api import Application, Face, Item, Key, Law, Operation, holds_nothing, hookimpl, new, old
from harness_fido2.client import Fido, fido, fido_memory
from harness_fido2.operations import FIDO2
from harness_nitrokey3.twin.model import MODEL  # Acme would bring a twin of its own here


def transports(look):
    """Observe by using the key; a refusal would be a value too."""
    return ", ".join(sorted(fido(look).info.transports))


def log_in_twice(rig, memory):
    """The act: a fresh channel from the rig; the memory learns what the host has seen."""
    mine = fido_memory(memory)
    for _ in range(2):
        (assertion,) = Fido(rig).assertions(mine.non_resident.rp, [mine.non_resident.id])
        mine.counter = max(mine.counter, assertion.auth_data.counter)


TWO_LOGINS = Operation(
    name="acme.two_logins",
    title="log in twice",
    arrange=lambda rig, memory: None,  # the home state will do
    act=log_in_twice,
    worlds=lambda before, after: [old({}), new({})],  # only the counter moves, and it has a law of its own
)
TRANSPORTS = Item("acme.transports", Law.KEPT, transports, "the list of transports")
ACME = Application(
    "acme", "Acme's own", lambda rig, memory: None, (TWO_LOGINS,), (TRANSPORTS,), holds_nothing
)


@hookimpl
def keyharness_keys():
    face = Face("application", 0x1209, 0xACE1, "Acme One")
    return [Key("acme-one", "Acme One", (face,), (FIDO2, ACME), lambda rig: {})]


@hookimpl
def keyharness_twins():
    return {"acme-one": MODEL}
