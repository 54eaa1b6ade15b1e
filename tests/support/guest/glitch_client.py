"""Cut registrations until a key no longer knows an earlier key of OpenSSH; runs in the guest.

    module support.guest.glitch_client FILE PORT CUTS

FILE is the private key of `ssh-keygen -t ed25519-sk`, PORT the key's port, on a hub of the kernel. The cuts are spread
evenly over the time that a registration takes. Ends with 0 and the number of cuts when the key of FILE is lost, with 1
when it is still there after all of them.
"""

from __future__ import annotations

import base64
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.hid import CtapHidDevice
from fido2.hid.linux import get_descriptor, open_connection

from harness.host.host import here
from harness.host.uevents import wait_until
from support.guest.plugged import DEVICES, LIMIT_S, interfaces

STEP = 0.618033988749895
"""Multiples of it, without their whole part, are spread evenly however many there are."""
RP, PARAMS = "glitch.example", [{"type": "public-key", "alg": -7}]


def handle_of(file: Path) -> tuple[str, bytes]:
    """The application and the key handle in a private key of OpenSSH (PROTOCOL.key, PROTOCOL.u2f); no passphrase."""
    blob = base64.b64decode("".join(file.read_text().splitlines()[1:-1]))
    at = len(b"openssh-key-v1\0")

    def text() -> bytes:
        nonlocal at
        size = int.from_bytes(blob[at : at + 4], "big")
        at += 4 + size
        return blob[at - size : at]

    # Cipher, derivation, salt; one key; its public half; the length of the private one, and two check numbers.
    text(), text(), text()
    at += 4
    text()
    at += 12
    # The kind, the public key, the application, a byte of flags.
    text(), text()
    application = text().decode()
    at += 1
    return application, text()


def opened(port: str) -> Ctap2:
    """The key on that port, when the kernel has bound its drivers."""
    if wait_until(here(), lambda: interfaces(port) or None, LIMIT_S) is None:
        raise SystemExit(f"{port}: no key")
    (node,) = (DEVICES / port).glob("*/*/hidraw/*")
    descriptor = get_descriptor(f"/dev/{node.name}")
    return Ctap2(CtapHidDevice(descriptor, open_connection(descriptor)))


def register(key: Ctap2) -> None:
    key.make_credential(bytes(32), {"id": RP, "name": RP}, {"id": b"user", "name": "user"}, PARAMS)


def knows(key: Ctap2, application: str, handle: bytes) -> bool:
    """Whether the key takes a handle for its own; nobody is asked to touch it."""
    try:
        key.get_assertion(
            application, bytes(32), [{"type": "public-key", "id": handle}], options={"up": False}
        )
    except CtapError as error:
        if error.code != CtapError.ERR.NO_CREDENTIALS:
            raise
        return False
    return True


def main(file: str, port: str, cuts: str) -> None:
    hub, _, number = port.rpartition(".")
    switch = DEVICES / f"{hub}:1.0" / f"{hub}-port{number}" / "disable"
    application, handle = handle_of(Path(file))
    key = opened(port)
    begun = time.monotonic()
    register(key)
    whole_s = time.monotonic() - begun
    print(f"a registration takes {whole_s:.2f} s", flush=True)
    for cut in range(1, int(cuts) + 1):
        timer = threading.Timer(cut * STEP % 1 * whole_s, switch.write_text, ["1"])
        timer.start()
        with suppress(OSError, CtapError):
            register(key)
        timer.join()
        key.device.close()
        switch.write_text("0")
        key = opened(port)
        if not knows(key, application, handle):
            print(f"lost after {cut} cuts", flush=True)
            return
    print(f"kept after {cuts} cuts", flush=True)
    sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
