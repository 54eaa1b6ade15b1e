"""What a FIDO2 key writes and undoes: whatever it takes of the store, it gives back (E2)."""

from __future__ import annotations

from threading import Event
from typing import Any

from fido2.ctap import STATUS, CtapError
from fido2.ctap2 import Config
from fido2.ctap2.pin import ClientPin
from fido2.webauthn import PublicKeyCredentialUserEntity

from harness.api import Memory, PairedWrite, Rig
from harness_fido2 import management, pins, settings
from harness_fido2.client import ES256, Fido, challenge, fido_memory, lacks, lacks_management, pin_for
from harness_fido2.reset import reset_after_power_up


def _change_pin(rig: Rig, memory: Memory) -> None:
    mine = fido_memory(memory)
    assert mine.pin is not None
    Fido(rig).pin().change_pin(mine.pin, pin_for(rig, "changed"))


def _change_back(rig: Rig, memory: Memory) -> None:
    mine = fido_memory(memory)
    assert mine.pin is not None
    Fido(rig).pin().change_pin(pin_for(rig, "changed"), mine.pin)


def _rename_back(rig: Rig, memory: Memory) -> None:
    name = management.USER.decode()
    user = PublicKeyCredentialUserEntity(id=management.USER, name=name, display_name=name)
    management.manager(rig, memory).update_user_info(management.descriptor(memory), user)


def _toggle(rig: Rig, memory: Memory) -> None:
    pin = fido_memory(memory).pin
    assert pin is not None
    client = Fido(rig)
    Config(client.ctap, *client.token(pin, ClientPin.PERMISSION.AUTHENTICATOR_CFG)).toggle_always_uv()


def _register(rig: Rig, memory: Memory, excluded: bytes | None = None, **more: Any) -> None:
    """Register a resident credential; the key may refuse because a relying party has it, or because it is cancelled."""
    mine = fido_memory(memory)
    assert mine.pin is not None
    client = Fido(rig, mine.pin)
    protocol, token = client.token(mine.pin, ClientPin.PERMISSION.MAKE_CREDENTIAL, management.NEW_RP)
    request_hash = challenge("make", management.NEW_RP, "refused")
    try:
        client.ctap.make_credential(
            request_hash,
            {"id": management.NEW_RP, "name": management.NEW_RP},
            {"id": b"another", "name": "another", "displayName": "Another"},
            ES256,
            exclude_list=[{"type": "public-key", "id": excluded}] if excluded else None,
            options={"rk": True},
            pin_uv_param=protocol.authenticate(token, request_hash),
            pin_uv_protocol=protocol.VERSION,
            **more,
        )
    except CtapError as error:
        if error.code not in (CtapError.ERR.CREDENTIAL_EXCLUDED, CtapError.ERR.KEEPALIVE_CANCEL):
            raise


def _cancelled(rig: Rig, memory: Memory) -> None:
    """Register, and cancel the request as soon as the key asks for a touch."""
    cancel = Event()

    def asked(status: int) -> None:
        if status == STATUS.UPNEEDED:
            cancel.set()

    _register(rig, memory, event=cancel, on_keepalive=asked)


def _excluded(rig: Rig, memory: Memory) -> None:
    """Register where the relying party's list has the credential already: the key refuses after a touch."""
    known = fido_memory(memory).new
    assert known is not None
    with rig.touch.pressing():
        _register(rig, memory, known.id)


def _fill(rig: Rig, memory: Memory) -> None:
    """Set a PIN on a key that was reset, and write what a reset removes: a credential and the large-blob array."""
    mine = fido_memory(memory)
    if mine.pin is None:
        mine.pin = pin_for(rig, "first")
        Fido(rig).pin().set_pin(mine.pin)
    management.enrol(rig, memory)
    if settings.lacks_blobs(rig) is None:
        settings.write_blobs(rig, memory)


PAIRED = (
    PairedWrite(
        "fido2.register and delete",
        "register a resident credential and delete it",
        management.enrol,
        management.delete,
        missing=lacks_management,
    ),
    PairedWrite(
        "fido2.rename",
        "rename the user of a resident credential and back",
        management.rename,
        _rename_back,
        arrange=management.enrol,
        missing=lambda rig: lacks(rig, "rk", "clientPin", "credMgmt"),
    ),
    PairedWrite(
        "fido2.wrong and right PIN",
        "enter a wrong PIN and the right one",
        pins.wrong_guess,
        pins.right_pin,
        missing=pins.lacks_pin,
    ),
    PairedWrite(
        "fido2.change of the PIN",
        "change the PIN and change it back",
        _change_pin,
        _change_back,
        missing=pins.lacks_pin,
    ),
    PairedWrite(
        "fido2.large blobs",
        "write the large-blob array and empty it",
        settings.write_blobs,
        lambda rig, memory: settings.write_blobs(rig, memory, []),
        missing=settings.lacks_blobs,
    ),
    PairedWrite(
        "fido2.refused registration",
        "cancel a registration, and register what the relying party's list excludes",
        _cancelled,
        _excluded,
        arrange=management.enrol,
        missing=lambda rig: lacks(rig, "rk", "clientPin"),
    ),
    PairedWrite(
        "fido2.reset",
        "set a PIN, register a resident credential, and reset",
        _fill,
        reset_after_power_up,
        missing=lambda rig: lacks(rig, "rk", "clientPin"),
    ),
    PairedWrite(
        "fido2.alwaysUv",
        "turn alwaysUv on and off",
        _toggle,
        _toggle,
        missing=settings.lacks_always_uv,
    ),
)
