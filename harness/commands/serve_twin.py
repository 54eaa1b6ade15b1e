"""`keyharness twin`: check the options, then serve the twin until a signal ends it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.base.errors import CallerError
from harness.base.seeds import child
from harness.bench.registry import discover, find_twin
from harness.twin.model import Offered, TwinOptions, uuid_of
from harness.twin.server import Server, Serving
from harness.twin.server_faces import ServedWire, UdpFace, VpcdFace
from harness.twin.server_pty import PtyFace
from harness.twin.server_reports import ReportsFace
from harness.twin.server_state import StateFiles, kept_uuid
from harness.twin.server_tcp import TcpFace
from harness.twin.server_uhid import UhidWire
from harness.twin.server_usbredir import UsbRedirWire
from harness.twin.usb_device.shown import UsbFaces


@dataclass(frozen=True)
class ServeOptions:
    """The options of the command; those with several parts are still text.

    :ivar name: of the rig that the twin is on, which decides its UUID; "": the folder of its state does.
    """

    key: str
    options: TwinOptions
    state: Path
    seed: int
    ctaphid_udp: str | None
    ctaphid_tcp: int | None
    vpcd: str | None
    touch: str
    speed: str
    trace: bool
    dfu_pty: Path | None = None
    exit_on_reboot: int | None = None
    uuid: str | None = None
    name: str = ""
    usbredir: Path | None = None
    uhid: bool = False
    feature_tcp: int | None = None


def serve(request: ServeOptions) -> int:
    """Serve the twin; return 0 after SIGTERM or SIGINT, and the code of --exit-on-reboot after a reboot.

    :raises CallerError: an option is wrong.
    """
    twin = find_twin(request.key)
    root = child(request.seed, "twin", request.key)
    uuid = _uuid(request, root)
    board = twin.build(replace(request.options, uuid=uuid), root)
    label: dict[str, object] = {
        "key": request.key,
        "personality": request.options.personality,
        "layer": twin.layer(request.options),
        "seed": request.seed,
        **({"version": request.options.version} if request.options.version else {}),
        **({"uuid": uuid.hex()} if uuid is not None else {}),
    }
    state = StateFiles(request.state, board, label)
    tracer = twin.tracer() if request.trace else None
    how = Serving(
        _touch_ms(request.touch),
        stdin=request.touch == "stdin",
        paced=request.speed == "real",
        exit_on_reboot=request.exit_on_reboot,
    )
    offered = twin.endpoints
    faces = _faces(request, offered)
    return Server(board, state, faces, how, tracer, sys.stdout).run()


def _uuid(request: ServeOptions, root: bytes) -> bytes | None:
    """The twin's own UUID; None for a folder of an earlier version, whose twin has that of its seed."""
    given = request.uuid
    if given is not None and re.fullmatch("[0-9a-fA-F]{32}", given) is None:
        raise CallerError("--uuid", found=given, expected="32 hex digits")
    kept = kept_uuid(request.state)
    if given is None and kept is not None:
        return bytes.fromhex(kept) or None
    return bytes.fromhex(given) if given else uuid_of(root, request.name or str(request.state.resolve()))


def _faces(request: ServeOptions, offered: Mapping[str, Offered]) -> list[ServedWire]:
    asked = {
        "--ctaphid-udp": (request.ctaphid_udp, UdpFace.endpoint),
        "--ctaphid-tcp": (request.ctaphid_tcp, TcpFace.endpoint),
        "--vpcd": (request.vpcd, VpcdFace.endpoint),
        "--dfu-pty": (request.dfu_pty, PtyFace.endpoint),
        "--feature-tcp": (request.feature_tcp, ReportsFace.endpoint),
    }
    for option, (value, endpoint) in asked.items():
        if value is not None and endpoint not in offered:
            raise CallerError(
                f'{option}: key "{request.key}"',
                found=f"it has {', '.join(offered)}",
                expected=f"a key with the endpoint {endpoint}",
                mend=f"omit {option}",
            )
    faces: list[ServedWire] = []
    if request.ctaphid_udp is not None:
        listen, answer = _numbers("--ctaphid-udp", request.ctaphid_udp, "LISTEN:ANSWER, e.g. 8111:7112")
        faces.append(UdpFace(listen, answer, offered[UdpFace.endpoint].faces))
    if request.ctaphid_tcp is not None:
        faces.append(TcpFace(request.ctaphid_tcp, offered[TcpFace.endpoint].faces))
    if request.vpcd is not None:
        host, _, port = request.vpcd.rpartition(":")
        if not host or not port.isdigit():
            raise CallerError("--vpcd", found=request.vpcd, expected="HOST:PORT, e.g. 127.0.0.1:35963")
        card = offered[VpcdFace.endpoint]
        faces.append(VpcdFace(host, int(port), card.atr, card.faces))
    if request.dfu_pty is not None:
        faces.append(PtyFace(request.dfu_pty, offered[PtyFace.endpoint].faces))
    if request.feature_tcp is not None:
        faces.append(ReportsFace(request.feature_tcp, offered[ReportsFace.endpoint].faces))
    if request.usbredir is not None:
        faces.append(UsbRedirWire(request.usbredir, _on_usb("--usbredir", request.key, offered), _say))
    if request.uhid:
        faces.append(UhidWire(_on_usb("--uhid", request.key, offered)))
    if not faces:
        raise CallerError(
            "keyharness twin",
            found="no transport",
            expected="at least one of --ctaphid-udp, --ctaphid-tcp, --vpcd, --dfu-pty, --feature-tcp, --usbredir, "
            "--uhid",
            mend="e.g. --ctaphid-udp 8111:7112",
        )
    return faces


def _on_usb(option: str, key: str, offered: Mapping[str, Offered]) -> UsbFaces:
    """What the key shows on USB.

    :raises CallerError: it has no USB ids, or nothing that could be shown.
    """
    faces = UsbFaces(discover().key(key, f'key "{key}"').faces, offered)
    if not faces.faces[0].vendor_id:
        raise CallerError(
            f'{option}: key "{key}"',
            found="no vendor id",
            expected="a key that says what it is on USB",
            mend="serve its card by --vpcd",
        )
    if not any(faces.functions(face.name) for face in faces.faces):
        raise CallerError(
            f'{option}: key "{key}"',
            found=f"it has {', '.join(offered)}, none of which says how it shows on USB",
            expected="an endpoint with a USB function (`Offered.usb`)",
        )
    return faces


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _numbers(option: str, text: str, shape: str) -> tuple[int, int]:
    one, _, other = text.partition(":")
    if not (one.isdigit() and other.isdigit() and 0 < int(one) < 65536 and 0 < int(other) < 65536):
        raise CallerError(option, found=text, expected=shape)
    return int(one), int(other)


def _touch_ms(text: str) -> int | None:
    """Return milliseconds from the key's request to the touch; None if touch comes from elsewhere or never."""
    if text == "always":
        return 0
    if text.isdigit():
        return int(text)
    if text in ("never", "signal", "stdin"):
        return None
    raise CallerError(
        "--touch", found=text, expected="always, never, signal, stdin, or milliseconds after the key asks"
    )
