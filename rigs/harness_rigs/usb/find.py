"""Find out which key is on a port, and where the right one is; errors name what was found."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.api import (
    CallerError,
    Host,
    KeyGone,
    KeyharnessError,
    Lock,
    RigError,
    UsbDevice,
    device_at,
    devices,
    hub_of,
    port_folder,
)
from harness_rigs.usb.plugged_key import PluggedKey

AskUuid = Callable[[UsbDevice], str]
"""Asks the key on a device for its UUID; "" if it tells none."""


def no_such_port(host: Host, rig: str, port: str) -> KeyharnessError:
    """Error for a port that its hub does not have, or whose hub is gone (then the bench may be right)."""
    hub, number = hub_of(port)
    folder = host.sys / "bus/usb/devices" / hub
    what, look = f'rig "{rig}" · port', "`keyharness list --hubs` shows hubs and what hangs on each port"
    if folder.exists():
        ports = (folder / "maxchild").read_text().strip() if (folder / "maxchild").exists() else "none"
        expected = f"a port of hub {hub}, which has 1-{ports}"
        return CallerError(what, found=number, expected=expected, mend=look)
    expected = f"a port that is there: no hub is at {hub}"
    return RigError(what, found=port, expected=expected, mend=f"plug the hub in, or mend the bench: {look}")


def not_opened(rig: str, node: Path, error: OSError) -> KeyharnessError:
    """Error for a node of the key that could not be opened."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return RigError(
            f'rig "{rig}": {node} may not be opened by you',
            found=error.strerror,
            expected="a udev rule that lets you read and write it",
            mend="sudo keyharness doctor --install-udev-rules, then plug the key in again",
        )
    if error.errno in (errno.EBUSY, errno.EAGAIN):
        return RigError(
            f'rig "{rig}": {node} is in use by another program',
            found=error.strerror,
            expected="a port that no other program has open",
            mend="end that program; ModemManager opens each new serial port unless a udev rule forbids it",
        )
    return KeyGone(f'rig "{rig}": {node} has gone ({error.strerror})')


def why_not_up(key: PluggedKey, ask_uuid: AskUuid) -> KeyharnessError:
    """Error for a key that did not come up on the rig's port in time; says why if that can be seen."""
    device = device_at(key.host, key.port)
    limit = f"within {key.options.up_s:g} s"
    if device is None and port_folder(key.host, key.port) is None:
        return no_such_port(key.host, key.rig, key.port)
    if device is None or device.token == key.stale:
        if not key.is_named_key and (elsewhere := moved(key, ask_uuid)) is not None:
            return elsewhere
        return KeyGone(f'rig "{key.rig}": nothing came up on port {key.port} {limit}')
    if key.face_of(device) is None:
        return KeyGone(
            f'rig "{key.rig}": what came up on port {key.port} is {device.shown()}, none of its faces'
        )
    if not device.authorized:
        return RigError(
            f'rig "{key.rig}": {device.shown()} on port {key.port} is not authorised',
            found="0 in its `authorized` file",
            expected="a device that the kernel may use",
            mend="allow it in USBGuard, or in the program that decides this here",
        )
    for node in device.nodes:
        if not key.host.may_open(node):
            return not_opened(key.rig, node, OSError(errno.EACCES, os.strerror(errno.EACCES)))
    return KeyGone(f'rig "{key.rig}": {device.shown()} on port {key.port} has no node {limit}')


def require_named_key(
    key: PluggedKey, there: UsbDevice, ask_elsewhere: AskUuid, ask_uuid: AskUuid | None
) -> None:
    """Check that the device on the rig's port is the key that the bench describes.

    :param ask_elsewhere: asks the keys on other ports.
    :param ask_uuid: asks this one; None if its UUID is proved otherwise.
    :raises CallerError: it is another one; says where the right one is, if that can be seen.
    :raises RigError: it was the right one before: the keys were exchanged.
    """
    try:
        _require_named_key(key, there, ask_elsewhere, ask_uuid)
    except CallerError as wrong:
        if not key.is_named_key:
            raise
        raise RigError(wrong.what, found=wrong.found, expected=wrong.expected, mend=wrong.mend) from None


def _require_named_key(
    key: PluggedKey, there: UsbDevice, ask_elsewhere: AskUuid, ask_uuid: AskUuid | None
) -> None:
    options, faces = key.options, key.key.faces
    if all((face.vendor_id, face.product_id) not in (_ids(there), (0, 0)) for face in faces):
        wanted = " or ".join(f"{face.vendor_id:04x}:{face.product_id:04x}" for face in faces)
        raise _another(key, ask_elsewhere, there.shown(), f"a {key.key.title} ({wanted})")
    face = key.face
    if options.serial is not None and face == "application" and there.serial != options.serial:
        found = f"serial {there.serial}" if there.serial else "a key that shows no serial"
        raise _another(key, ask_elsewhere, found, f"serial {options.serial}")
    if options.uuid is not None and ask_uuid is not None and face == "application":
        said = ask_uuid(there)
        if said.lower() != options.uuid.lower():
            raise _another(
                key,
                ask_elsewhere,
                f"uuid {said}" if said else "a key that tells no uuid",
                f"uuid {options.uuid}",
            )


def moved(key: PluggedKey, ask_uuid: AskUuid) -> CallerError | None:
    """Error for the rig's key on another port; None if it is not seen there."""
    for device, what in _elsewhere(key, ask_uuid):
        return CallerError(
            f'rig "{key.rig}": its key is not on port {key.port}',
            found=f"{what} on port {device.port}",
            expected=f"{what} on port {key.port}, which is empty",
            mend=f'plug it back in, or say port = "{device.port}" if that is where it hangs now',
        )
    return None


def _another(key: PluggedKey, ask_uuid: AskUuid, found: str, expected: str) -> CallerError:
    place = next((f"; that one is on port {device.port}" for device, _ in _elsewhere(key, ask_uuid)), "")
    return CallerError(
        f'rig "{key.rig}": another key is on port {key.port}',
        found=found,
        expected=expected + place,
        mend="put the right key in, or mend the bench: nothing was written to this one",
    )


def _elsewhere(key: PluggedKey, ask_uuid: AskUuid) -> Iterator[tuple[UsbDevice, str]]:
    """The rig's key on other ports, by its serial or by the UUID that it tells."""
    options = key.options
    kind, _, told = (key.identity or "").partition(":")
    serial = options.serial or (told if kind == "serial" else None)
    uuid = options.uuid or (told if kind == "uuid" else None)
    for device in devices(key.host):
        if device.port == key.port or _ids(device) not in [
            (face.vendor_id, face.product_id) for face in key.key.faces
        ]:
            continue
        if serial is not None and device.serial == serial:
            yield device, f"serial {device.serial}"
        elif uuid is not None and device.fido is not None:
            # A key that another process uses is not asked: the request would disturb that process.
            held = Lock(f"port usb:{device.port}").holder() is not None
            if not held and ask_uuid(device).lower() == uuid.lower():
                yield device, f"uuid {uuid}"


def _ids(device: UsbDevice) -> tuple[int, int]:
    return device.vendor_id, device.product_id
