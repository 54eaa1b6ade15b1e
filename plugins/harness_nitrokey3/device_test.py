"""What the vendor's client checks of a device (`nitropy nk3 test`), asked of a key after an update.

pynitrokey, trussed/tests.py: firmware version, status with free blocks, the lock of the bootloader, FIDO2 with its
attestation. The hash of the vendor's attestation certificate is left out: a twin has a certificate of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.api import KeyharnessError, Memory, Rig
from harness_fido2.client import Fido, fido_memory
from harness_nitrokey3.sdk import fault, open_nk3

BLOCKS_MIN = 5
"""With fewer free blocks of the internal file system the client warns."""
RP = "device-test.keyharness.example"


def device_test(rig: Rig, version: str, memory: Memory) -> list[str]:
    """Return what is wrong, in sentences; empty for a sound key. The key must be on.

    :param version: what the firmware must say it is, without "v".
    :param memory: what the host knows of the key: its PIN.
    """
    found = []
    for check in (_admin, _random, _fido2):
        try:
            found += list(check(rig, version, memory))
        except Exception as error:
            said = fault(error)
            if said is None and not isinstance(error, KeyharnessError | OSError):
                raise
            found.append(f"{check.__name__.strip('_')}: {said.what if said else error}")
    return found


def _admin(rig: Rig, version: str, memory: Memory) -> Iterator[str]:
    admin = open_nk3(rig).admin
    if str(admin.version()) != f"v{version}":
        yield f"the firmware says v{version} nowhere, but {admin.version()}"
    if not admin.is_locked():
        yield "the bootloader is not locked"
    status = admin.status()
    if status.init_status is not None and str(status.init_status) != "ok":
        yield f"the status reports {status.init_status}"
    if status.ifs_blocks is not None and status.ifs_blocks < BLOCKS_MIN:
        yield f"{status.ifs_blocks} blocks of the internal file system are free, fewer than {BLOCKS_MIN}"


def _random(rig: Rig, version: str, memory: Memory) -> Iterator[str]:
    admin = open_nk3(rig).admin
    one, other = admin.rng(), admin.rng()
    if len(one) != len(other) or one == other:
        yield f"its random numbers repeat: {one.hex()}, {other.hex()}"


def _fido2(rig: Rig, version: str, memory: Memory) -> Iterator[str]:
    client = Fido(rig)
    allowed = client.info.options.get("makeCredUvNotRqd") or not client.info.options.get("clientPin")
    pin = None if allowed else fido_memory(memory).pin
    credential, made = client.make_credential(RP, b"device test", resident=False, pin=pin)
    attested = client.attested(RP, b"device test", made)
    if not attested.endswith(", valid"):
        yield f"its attestation is {attested}"
    (assertion,) = client.assertions(RP, [credential.id], pin=pin)
    if not client.verified(RP, assertion, credential.public_key):
        yield "an assertion of a new credential does not verify"
