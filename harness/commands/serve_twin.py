"""`keyharness twin`: check what was asked for, then serve the twin until told to stop."""

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
class Wish:
    """The command's options, as text where they have parts."""

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


def serve(wish: Wish) -> int:
    """Serve; returns 0 after SIGTERM or SIGINT, and the code that was asked for after a reboot.

    :raises CallerError: an option that does not fit.
    """
    twin = discover().twin(wish.key)
    board = twin.build(wish.options, child(wish.seed, "twin", wish.key))
    label: dict[str, object] = {
        "key": wish.key,
        "personality": wish.options.personality,
        "layer": twin.layer(wish.options),
        "seed": wish.seed,
    }
    state = StateFiles(wish.state, board, label)
    tracer = twin.tracer() if wish.trace else None
    how = Serving(
        _touch_ms(wish.touch),
        stdin=wish.touch == "stdin",
        paced=wish.speed == "real",
        exit_on_reboot=wish.exit_on_reboot,
    )
    return Server(board, state, _faces(wish, twin.endpoints.get("card")), how, tracer, sys.stdout).run()


def _faces(wish: Wish, card: Offered | None) -> list[ServedEndpoint]:
    faces: list[ServedEndpoint] = []
    if wish.ctaphid_udp:
        listen, answer = _numbers("--ctaphid-udp", wish.ctaphid_udp, "LISTEN:ANSWER, e.g. 8111:7112")
        faces.append(UdpFace(listen, answer))
    if wish.ctaphid_tcp is not None:
        faces.append(TcpFace(wish.ctaphid_tcp))
    if wish.vpcd:
        host, _, port = wish.vpcd.rpartition(":")
        if not host or not port.isdigit():
            raise CallerError("--vpcd", found=wish.vpcd, expected="HOST:PORT, e.g. 127.0.0.1:35963")
        if card is None:
            raise CallerError(
                f'key "{wish.key}"', found="no card side", expected="a key with one", mend="omit --vpcd"
            )
        faces.append(VpcdFace(host, int(port), card.atr))
    if wish.dfu_pty is not None:
        faces.append(PtyFace(wish.dfu_pty))
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
    """Milliseconds after the key asks; None where touch comes from elsewhere or not at all."""
    if text == "always":
        return 0
    if text.isdigit():
        return int(text)
    if text in ("never", "signal", "stdin"):
        return None
    raise CallerError(
        "--touch", found=text, expected="always, never, signal, stdin, or milliseconds after the key asks"
    )
