"""The init packet of an update: what may be installed, and who may sign it (nRF5 SDK 17, nrf_dfu_validation.c)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from nitrokey.trussed._bootloader.nrf52_upload.dfu import dfu_cc_pb2 as pb

from harness_nitrokey3.twin import dfu_image
from harness_nitrokey3.twin.dfu_codes import (
    BAD_OBJECT,
    BAD_SIGNATURE,
    EXTENDED,
    NO_SPACE,
    UNSIGNED,
    VERSION_TOO_LOW,
    WRONG_HARDWARE,
    WRONG_HASH_TYPE,
    WRONG_INIT,
    WRONG_SIGNATURE_TYPE,
    WRONG_SOFTDEVICE,
    ResponseError,
)
from harness_nitrokey3.twin.dfu_settings import DfuSettings

HARDWARE_VERSION = 52
VERIFY_US = 60_000


@dataclass(frozen=True)
class Door:
    """Who is let in.

    :ivar keys: public keys (DER) that images may be signed with.
    :ivar defects: names of the bugs that were put in.
    """

    keys: tuple[bytes, ...]
    defects: frozenset[str]


@dataclass(frozen=True)
class Checked:
    """An init packet that is accepted.

    :ivar signature_ok: False only where a defect looks at the signature later.
    """

    init: pb.InitCommand
    signature_ok: bool


def checked(
    data: bytes, door: Door, settings: DfuSettings, room: int, work: Callable[[int], None]
) -> Checked:
    """Return the init command of a packet, if it may be installed.

    :param room: for the image, in bytes. :param work: lets the key work for a number of microseconds.
    :raises ResponseError: it may not.
    """
    packet = pb.Packet()
    try:
        packet.ParseFromString(data)
    except DecodeError:
        raise ResponseError(BAD_OBJECT) from None
    signed = packet.HasField("signed_command")
    command = packet.signed_command.command if signed else packet.command
    init = command.init
    whole = command.HasField("init") and init.HasField("type")
    if not whole or init.type != pb.APPLICATION or not init.app_size:
        raise ResponseError(EXTENDED, WRONG_INIT)
    signature_ok = _is_signed(packet, init, door, settings, work)
    if "debug-skips-checks" in door.defects and init.is_debug:
        return Checked(init, signature_ok)
    if not init.HasField("hw_version") and "hardware-optional" in door.defects:
        init.hw_version = HARDWARE_VERSION
    if not init.HasField("fw_version") and "version-optional" in door.defects:
        init.fw_version = settings.app_version
    if not init.HasField("hw_version") or init.hw_version != HARDWARE_VERSION:
        raise ResponseError(EXTENDED, WRONG_HARDWARE)
    if 0 not in init.sd_req:
        raise ResponseError(EXTENDED, WRONG_SOFTDEVICE)
    if not init.HasField("fw_version") or init.fw_version < settings.app_version:
        raise ResponseError(EXTENDED, VERSION_TOO_LOW)
    if init.hash.hash_type != pb.SHA256 or len(init.hash.hash) != 32:
        raise ResponseError(EXTENDED, WRONG_HASH_TYPE)
    if init.app_size > room:
        raise ResponseError(EXTENDED, NO_SPACE)
    return Checked(init, signature_ok)


def _is_signed(
    packet: pb.Packet, init: pb.InitCommand, door: Door, settings: DfuSettings, work: Callable[[int], None]
) -> bool:
    if not packet.HasField("signed_command"):
        raise ResponseError(EXTENDED, UNSIGNED)
    if packet.signed_command.signature_type != pb.ECDSA_P256_SHA256:
        raise ResponseError(EXTENDED, WRONG_SIGNATURE_TYPE)
    work(VERIFY_US)
    good = dfu_image.verify(
        door.keys, packet.signed_command.signature, init.SerializeToString(deterministic=True)
    )
    if "zero-signature-taken" in door.defects and not any(packet.signed_command.signature):
        good = True
    if "same-version-unchecked" in door.defects and init.fw_version == settings.app_version:
        good = True
    if not good and "written-before-verified" not in door.defects:
        raise ResponseError(BAD_SIGNATURE)
    return good
