"""Change settings and the large-blob array: authenticatorConfig and authenticatorLargeBlobs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fido2.ctap2 import Config, LargeBlobs
from fido2.ctap2.pin import ClientPin

from harness.api import ANY, Cost, Item, Law, Look, Memory, Operation, Outcome, Rig, Value, new, old
from harness_fido2.client import FIDO2_PIN, Fido, fido, fido_memory, lacks
from harness_fido2.items import refusals

MIN_PIN, HIGHER_MIN_PIN = 6, 8
BLOBS = [{1: b"\x5a" * 80, 2: b"\xa5" * 12, 3: 64}]
"""One entry of the shape that CTAP 2.1, section 6.10.3, gives to the array."""
OTHER_BLOBS = [{1: b"\x3c" * 120, 2: b"\xc3" * 12, 3: 100}]


@refusals
def _always_uv(look: Look) -> Value:
    return fido(look).info.options.get("alwaysUv")


@refusals
def _min_pin(look: Look) -> Value:
    return fido(look).info.min_pin_length


@refusals
def _force_change(look: Look) -> Value:
    return fido(look).info.force_pin_change


@refusals
def _blobs(look: Look) -> Value:
    """A digest of the array's entries. The client accepts them only with a right checksum."""
    blobs = LargeBlobs(fido(look).ctap).read_blob_array()
    return digest(blobs) if blobs else "empty"


# F5: what protects a key never gets weaker without a reset.
ALWAYS_UV = Item("fido2.always_uv", Law.KEPT, _always_uv, "alwaysUv", breach=Outcome.LOOSENED)
MIN_PIN_LENGTH = Item("fido2.min_pin", Law.KEPT, _min_pin, "the minimum PIN length", breach=Outcome.LOOSENED)
FORCE_CHANGE = Item(
    "fido2.force_change", Law.KEPT, _force_change, "the duty to change the PIN", breach=Outcome.LOOSENED
)
LARGE_BLOBS = Item("fido2.large_blobs", Law.ATOMIC, _blobs, "the large-blob array")


def config_commands(rig: Rig, memory: Memory) -> Config:
    """Return the commands of authenticatorConfig, authorised by the PIN in force."""
    pin = fido_memory(memory).pin
    assert pin is not None
    client = Fido(rig)
    return Config(client.ctap, *client.token(pin, ClientPin.PERMISSION.AUTHENTICATOR_CFG))


ONE_WAY = {"one_way_settings": 1}
"""Only a reset lowers the minimum length again (CTAP 2.1, section 6.11.4)."""


def _toggle(rig: Rig, memory: Memory) -> None:
    config_commands(rig, memory).toggle_always_uv()


def _raise_minimum(rig: Rig, memory: Memory) -> None:
    config_commands(rig, memory).set_min_pin_length(MIN_PIN)


def _outgrow(rig: Rig, memory: Memory) -> None:
    """Raise the minimum above the length of the PIN in force, which must then be changed before it is used."""
    config_commands(rig, memory).set_min_pin_length(_too_long(memory))


def _too_long(memory: Memory) -> int:
    return len(fido_memory(memory).pin or "") + 1


def _harden(rig: Rig, memory: Memory) -> None:
    _toggle(rig, memory)
    _raise_minimum(rig, memory)


def write_blobs(rig: Rig, memory: Memory, blobs: Sequence[Mapping[int, Any]] = BLOBS) -> None:
    """Replace the large-blob array."""
    pin = fido_memory(memory).pin
    assert pin is not None
    client = Fido(rig)
    array = LargeBlobs(client.ctap, *client.token(pin, ClientPin.PERMISSION.LARGE_BLOB_WRITE))
    array.write_blob_array(blobs)


def digest(blobs: Sequence[Mapping[int, Any]]) -> str:
    return hashlib.sha256(repr(list(blobs)).encode()).hexdigest()[:12]


def lacks_config(option: str) -> Callable[[Rig], str | None]:
    """Return a function that names what a key lacks to change the setting of an option of getInfo."""

    def missing(rig: Rig) -> str | None:
        info = Fido(rig).info
        absent = [name for name in ("clientPin", "authnrCfg", option) if name not in info.options]
        if absent:
            return f"getInfo does not list the option {absent[0]}"
        if option == "alwaysUv" and info.options[option]:
            # Some keys turn it on with the PIN that the home state has; others are delivered so.
            return "alwaysUv is on while a PIN is set, so that nothing turns it on"
        if option == "setMinPINLength" and info.min_pin_length >= MIN_PIN:
            return f"PINs have {info.min_pin_length} characters at least already"
        return None

    return missing


lacks_always_uv = lacks_config("alwaysUv")


def _lacks_both(rig: Rig) -> str | None:
    lacks_uv, lacks_length = lacks_config("alwaysUv"), lacks_config("setMinPINLength")
    return lacks_uv(rig) or lacks_length(rig)


def lacks_blobs(rig: Rig) -> str | None:
    return lacks(rig, "clientPin", "largeBlobs")


OPERATIONS = (
    Operation(
        name="fido2.config.always_uv",
        title="turn alwaysUv on",
        arrange=lambda rig, memory: None,
        act=_toggle,
        worlds=lambda before, after: [
            old({"fido2.always_uv": False}),
            # U2F cannot verify users and is off while alwaysUv is on (CTAP 2.1, section 7.2).
            new({"fido2.always_uv": True, "fido2.u2f_handle": ANY}),
        ],
        acknowledged_old=Outcome.LOOSENED,
        cost=Cost(pins={FIDO2_PIN: 1}),
        missing=lacks_config("alwaysUv"),
    ),
    Operation(
        name="fido2.config.min_pin",
        title="raise the minimum PIN length",
        arrange=lambda rig, memory: None,
        act=_raise_minimum,
        worlds=lambda before, after: [
            old({"fido2.min_pin": fido_memory(before).min_pin}),
            new({"fido2.min_pin": MIN_PIN}),
        ],
        acknowledged_old=Outcome.LOOSENED,
        cost=Cost(pins={FIDO2_PIN: 1}, irreversible=ONE_WAY),
        missing=lacks_config("setMinPINLength"),
    ),
    Operation(
        name="fido2.config.min_pin.again",
        title="raise the minimum PIN length again, with alwaysUv on",
        arrange=_harden,
        act=lambda rig, memory: config_commands(rig, memory).set_min_pin_length(HIGHER_MIN_PIN),
        worlds=lambda before, after: [
            old({"fido2.min_pin": MIN_PIN}),
            new({"fido2.min_pin": HIGHER_MIN_PIN}),
        ],
        acknowledged_old=Outcome.LOOSENED,
        cost=Cost(pins={FIDO2_PIN: 1}, irreversible=ONE_WAY),
        missing=_lacks_both,
    ),
    Operation(
        name="fido2.config.min_pin.forced",
        title="raise the minimum PIN length above that of the PIN",
        arrange=lambda rig, memory: None,
        act=_outgrow,
        worlds=lambda before, after: [
            old({"fido2.min_pin": fido_memory(before).min_pin, "fido2.force_change": False}),
            # A PIN that has to be changed is refused, whoever asks (CTAP 2.1, sections 6.5.5.7.1 and 6.5.5.7.2).
            new({"fido2.min_pin": _too_long(before), "fido2.force_change": True, "fido2.pin": ANY}),
        ],
        items=(FORCE_CHANGE,),
        acknowledged_old=Outcome.LOOSENED,
        cost=Cost(pins={FIDO2_PIN: 1}, irreversible=ONE_WAY),
        missing=lacks_config("setMinPINLength"),
    ),
    Operation(
        name="fido2.large_blobs.write",
        title="write the large-blob array",
        arrange=lambda rig, memory: None,
        act=write_blobs,
        worlds=lambda before, after: [
            old({"fido2.large_blobs": "empty"}),
            new({"fido2.large_blobs": digest(BLOBS)}),
        ],
        items=(LARGE_BLOBS,),
        cost=Cost(pins={FIDO2_PIN: 1}),
        missing=lacks_blobs,
    ),
    Operation(
        name="fido2.large_blobs.rewrite",
        title="replace the large-blob array",
        arrange=write_blobs,
        act=lambda rig, memory: write_blobs(rig, memory, OTHER_BLOBS),
        worlds=lambda before, after: [
            old({"fido2.large_blobs": digest(BLOBS)}),
            new({"fido2.large_blobs": digest(OTHER_BLOBS)}),
        ],
        items=(LARGE_BLOBS,),
        cost=Cost(pins={FIDO2_PIN: 1}),
        missing=lacks_blobs,
    ),
)
