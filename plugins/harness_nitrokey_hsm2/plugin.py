"""What this package offers to Keyharness: the Nitrokey HSM 2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import CeremonyRules, Face, Key, OperatorUpdate, TwinModel, hookimpl

if TYPE_CHECKING:
    from harness_schsm.ceremony import Paper

NAME = "nitrokey-hsm2"


@hookimpl
def keyharness_keys() -> list[Key]:
    from harness_schsm.application import SC_HSM
    from harness_schsm.home import identify

    return [
        Key(
            name=NAME,
            title="Nitrokey HSM 2",
            faces=(Face("application", 0x20A0, 0x4230, "Nitrokey HSM", manufacturer="Nitrokey"),),
            applications=(SC_HSM,),
            identify=identify,
            wear_baseline=Path(__file__).parent / "wear_baseline.json",
        )
    ]


@hookimpl
def keyharness_twins() -> dict[str, TwinModel]:
    from harness_nitrokey_hsm2.twin import MODEL

    return {NAME: MODEL}


@hookimpl
def keyharness_ceremonies() -> dict[str, CeremonyRules[Paper]]:
    from harness_schsm.ceremony import RULES

    return {NAME: RULES}


@hookimpl
def keyharness_operator_updates() -> dict[str, OperatorUpdate]:
    from harness_schsm.operator_update import UPDATE

    return {NAME: UPDATE}
