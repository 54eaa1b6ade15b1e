"""The plugin: a key model for any card with the SmartCard-HSM applet.

Plugins of other keys combine the same application with their own.
"""

from __future__ import annotations

from pathlib import Path

from harness.api import Face, Key, hookimpl

GENERIC = "sc-hsm"
"""The key model of a card of which nothing more is known: what such a card may lack is not offered, and no failure."""


@hookimpl
def keyharness_keys() -> list[Key]:
    from harness_schsm.application import SC_HSM
    from harness_schsm.home import identify

    return [
        Key(
            name=GENERIC,
            title="SmartCard-HSM",
            faces=(Face("application", 0, 0, "SmartCard-HSM"),),
            applications=(SC_HSM,),
            identify=identify,
        )
    ]


@hookimpl
def keyharness_field() -> list[Path]:
    return [Path(__file__).with_name("field.toml")]
