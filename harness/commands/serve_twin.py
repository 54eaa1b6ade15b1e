"""`keyharness twin`: check the options, then serve the twin until a signal ends it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import CallerError
from harness.base.seeds import child
from harness.bench.registry import discover
from harness.twin.model import Offered, TwinOptions
from harness.twin.server import Server, Serving
from harness.twin.server_faces import ServedEndpoint, TcpFace, UdpFace, VpcdFace
from harness.twin.server_pty import PtyFace
from harness.twin.server_state import StateFiles


@dataclass(frozen=True)
class ServeOptions:
    """The options of the command; those with several parts are still text."""

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


def serve(request: ServeOptions) -> int:
    """Serve the twin; return 0 after SIGTERM or SIGINT, and the code of --exit-on-reboot after a reboot.

    :raises CallerError: an option is wrong.
    """
    twin = discover().twin(request.key)
    board = twin.build(request.options, child(request.seed, "twin", request.key))
    label: dict[str, object] = {
        "key": request.key,
        "personality": request.options.personality,
        "layer": twin.layer(request.options),
        "seed": request.seed,
    }
    state = StateFiles(request.state, board, label)
    tracer = twin.tracer() if request.trace else None
    how = Serving(
        _touch_ms(request.touch),
        stdin=request.touch == "stdin",
        paced=request.speed == "real",
        exit_on_reboot=request.exit_on_reboot,
    )
    return Server(board, state, _faces(request, twin.endpoints.get("card")), how, tracer, sys.stdout).run()


def _faces(request: ServeOptions, card: Offered | None) -> list[ServedEndpoint]:
    faces: list[ServedEndpoint] = []
    if request.ctaphid_udp:
        listen, answer = _numbers("--ctaphid-udp", request.ctaphid_udp, "LISTEN:ANSWER, e.g. 8111:7112")
        faces.append(UdpFace(listen, answer))
    if request.ctaphid_tcp is not None:
        faces.append(TcpFace(request.ctaphid_tcp))
    if request.vpcd:
        host, _, port = request.vpcd.rpartition(":")
        if not host or not port.isdigit():
            raise CallerError("--vpcd", found=request.vpcd, expected="HOST:PORT, e.g. 127.0.0.1:35963")
        if card is None:
            raise CallerError(
                f'key "{request.key}"', found="no card side", expected="a key with one", mend="omit --vpcd"
            )
        faces.append(VpcdFace(host, int(port), card.atr))
    if request.dfu_pty is not None:
        faces.append(PtyFace(request.dfu_pty))
    if not faces:
        raise CallerError(
            "keyharness twin",
            found="no transport",
            expected="at least one of --ctaphid-udp, --ctaphid-tcp, --vpcd, --dfu-pty",
            mend="e.g. --ctaphid-udp 8111:7112",
        )
    return faces


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
