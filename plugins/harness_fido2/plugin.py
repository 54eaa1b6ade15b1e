"""The plugin: a key model for any CTAP 2 device, known only by what getInfo says.

Plugins of other keys combine the same application with their own.
"""

from __future__ import annotations

from pathlib import Path

from harness.api import Face, Key, Rig, hookimpl


def identify(rig: Rig) -> dict[str, str]:
    """Firmware version and AAGUID from getInfo; the version of the CTAPHID interface where it tells no other."""
    from harness_fido2.client import Fido

    client = Fido(rig)
    info = client.info
    hid = "v" + ".".join(map(str, client.device.device_version))
    told = str(info.firmware_version) if info.firmware_version else hid
    return {"firmware": told, "aaguid": info.aaguid.hex()}


@hookimpl
def keyharness_keys() -> list[Key]:
    from harness_fido2.operations import FIDO2

    return [
        Key(
            name="fido2",
            title="CTAP 2 authenticator",
            faces=(Face("application", 0, 0, "CTAP 2 authenticator"),),
            applications=(FIDO2,),
            identify=identify,
            fits_any="ctaphid",
        )
    ]


@hookimpl
def keyharness_field() -> list[Path]:
    return [Path(__file__).with_name("field.toml")]
