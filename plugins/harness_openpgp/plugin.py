"""The plugin: a key model for any card with the OpenPGP application, and a simulated one.

Plugins of other keys combine the same application with their own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.api import Face, Key, TwinModel, hookimpl

NAME = "openpgp"


@hookimpl
def keyharness_keys() -> list[Key]:
    from harness_openpgp.application import OPENPGP
    from harness_openpgp.home import identify
    from harness_openpgp.homes import HOMES

    return [
        Key(
            name=NAME,
            title="OpenPGP card",
            faces=(Face("application", 0, 0, "OpenPGP card"),),
            applications=(replace(OPENPGP, homes=HOMES),),
            identify=identify,
            wear_baseline=Path(__file__).parent / "wear_baseline.json",
        )
    ]


@hookimpl
def keyharness_twins() -> dict[str, TwinModel]:
    from harness_openpgp.twin.model import MODEL

    return {NAME: MODEL}


@hookimpl
def keyharness_field() -> list[Path]:
    return [Path(__file__).with_name("field.toml")]
