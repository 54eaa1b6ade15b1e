"""What this package offers to Keyharness: the Nitrokey Pro."""

from __future__ import annotations

from pathlib import Path

from harness.api import Face, Key, TwinModel, UpdateSupport, hookimpl

NAME = "nitrokey-pro"


@hookimpl
def keyharness_keys() -> list[Key]:
    from harness_nitrokey_pro.application import OPENPGP_IN_PRO, PRO
    from harness_nitrokey_pro.home import identify
    from harness_nitrokey_pro.rescue import rescue

    return [
        Key(
            name=NAME,
            title="Nitrokey Pro",
            faces=(
                Face("application", 0x20A0, 0x4108, "Nitrokey Pro", manufacturer="Nitrokey"),
                Face("bootloader", 0x20A0, 0x42B4, "Nitrokey Pro Bootloader", manufacturer="Nitrokey"),
            ),
            applications=(OPENPGP_IN_PRO, PRO),
            identify=identify,
            rescue=rescue,
            wear_baseline=Path(__file__).parent / "wear_baseline.json",
        )
    ]


@hookimpl
def keyharness_twins() -> dict[str, TwinModel]:
    from harness_nitrokey_pro.twin.model import MODEL

    return {NAME: MODEL}


@hookimpl
def keyharness_updates() -> dict[str, UpdateSupport]:
    from harness_nitrokey_pro.images import describe, make

    return {NAME: UpdateSupport(describe, ("pro.update",), make)}
