"""What a FIDO2 key writes and undoes: whatever it takes of the store, it gives back (E2)."""

from __future__ import annotations

from fido2.ctap2 import Config
from fido2.ctap2.pin import ClientPin
from fido2.webauthn import PublicKeyCredentialUserEntity

from harness.api import Memory, PairedWrite, Rig
from harness_fido2 import management, pins, settings
from harness_fido2.client import Fido, fido_memory, lacks, lacks_management, pin_for


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
        "fido2.alwaysUv",
        "turn alwaysUv on and off",
        _toggle,
        _toggle,
        missing=settings.lacks_always_uv,
    ),
)
