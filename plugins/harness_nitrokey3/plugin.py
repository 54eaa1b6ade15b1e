"""What this package offers to Keyharness: the Nitrokey 3A Mini."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.api import Face, FirmwareUpdates, Key, TransportKind, TwinModel, UpdateSupport, hookimpl

NAME = "nitrokey3-mini"
MAKER = "Nitrokey"
WITH_OPENPGP = "nitrokey3-mini-openpgp"
"""The same key, of which the OpenPGP card is tested instead of updates."""


@hookimpl
def keyharness_keys() -> list[Key]:
    from harness_fido2.operations import FIDO2
    from harness_nitrokey3.admin import ADMIN, identify
    from harness_nitrokey3.rescue import rescue
    from harness_nitrokey3.update_application import UPDATE
    from harness_openpgp.application import OPENPGP

    return [
        Key(
            name=NAME,
            title="Nitrokey 3A Mini",
            faces=(
                Face("application", 0x20A0, 0x42B2, "Nitrokey 3", manufacturer=MAKER),
                # Its serial number is the chip's id, which the application gives as its UUID (nitrokey-sdk-py,
                # nk3/_bootloader: NK3BootloaderNrf52.uuid).
                Face("bootloader", 0x20A0, 0x42E8, "Nitrokey 3 Bootloader", "uuid", MAKER),
            ),
            # Admin first: its status bits tell of this boot only, and reading them costs nothing.
            applications=(ADMIN, FIDO2, UPDATE),
            identify=identify,
            rescue=rescue,
            wear_baseline=Path(__file__).parent / "wear_baseline.json",
        ),
        Key(
            name=WITH_OPENPGP,
            title="Nitrokey 3A Mini with its OpenPGP card",
            faces=(Face("application", 0x20A0, 0x42B2, "Nitrokey 3", manufacturer=MAKER),),
            applications=(ADMIN, FIDO2, OPENPGP),
            identify=identify,
        ),
    ]


@hookimpl
def keyharness_transports() -> list[TransportKind[Any]]:
    from harness_nitrokey3.dfu_port import NORDIC_DFU

    return [NORDIC_DFU]


@hookimpl
def keyharness_twins() -> dict[str, TwinModel]:
    from harness_nitrokey3.twin.model import MODEL

    return {NAME: MODEL, WITH_OPENPGP: MODEL}


@hookimpl
def keyharness_updates() -> dict[str, UpdateSupport]:
    from harness_nitrokey3.container_rows import describe, make

    return {NAME: UpdateSupport(describe, ("update.install", "update.refused"), make)}


@hookimpl
def keyharness_update_rules() -> dict[str, FirmwareUpdates]:
    from harness_nitrokey3.firmware_updates import Nitrokey3Updates

    return {NAME: Nitrokey3Updates()}


@hookimpl
def keyharness_field() -> list[Path]:
    return [Path(__file__).with_name("field.toml")]


@hookimpl
def keyharness_scenarios() -> list[Path]:
    return [Path(__file__).with_name("scenarios")]
