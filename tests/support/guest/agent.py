"""The guest's end: one Python that has imported everything, and forks for each command that the host sends.

Frames each way: four bytes of length, then JSON. The host sends {"argv", "cwd"}; the guest answers {"out": text}
for what the command writes, and {"code"} at its end.
"""

from __future__ import annotations

import codecs
import faulthandler
import gc
import json
import os
import runpy
import select
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from support.limits import HUNG_S

CHANNEL = "lab"
SILENT_S = HUNG_S / 2
"""Half of what the host waits for a word: a command that hangs is ended, and the guest goes on."""


def send(channel: int, frame: dict[str, object]) -> None:
    data = json.dumps(frame).encode()
    whole = len(data).to_bytes(4, "big") + data
    while whole:
        whole = whole[os.write(channel, whole) :]


def read(channel: int, size: int) -> bytes:
    got = b""
    while len(got) < size:
        piece = os.read(channel, size - len(got))
        if not piece:
            # The host's end is not open: its process is gone, and so is this machine.
            raise EOFError
        got += piece
    return got


def port() -> int:
    """The virtio port whose name is CHANNEL."""
    for folder in sorted(Path("/sys/class/virtio-ports").iterdir()):
        if (folder / "name").read_text().strip() == CHANNEL:
            return os.open(f"/dev/{folder.name}", os.O_RDWR)
    raise FileNotFoundError(CHANNEL)


def preload() -> None:
    """Import what commands need: a start of Python takes 10 s and more under emulation, a fork none."""
    # Nothing of what is imported is ever freed: looking for it takes a tenth of the time.
    gc.disable()
    import pytest  # noqa: F401

    import harness.cli.main
    import harness.run.session  # noqa: F401
    from harness.bench.registry import discover

    plugins = discover()
    for key in plugins.keys.values():
        _ = key.applications
    gc.freeze()
    gc.enable()


def keyharness(arguments: list[str]) -> int:
    from harness.cli.main import main

    sys.argv = ["keyharness", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def child(frame: dict[str, object]) -> int:
    """Run in the forked process: Keyharness itself, or any program."""
    argv = [str(word) for word in frame["argv"]]  # type: ignore[attr-defined]
    folder = str(frame.get("cwd") or "/")
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    if argv[0] == "keyharness":
        return keyharness(argv[1:])
    if argv[0] == "pytest":
        import pytest

        return int(pytest.main(argv[1:]))
    if argv[0] == "module":
        sys.argv = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        return 0
    return os.execvp(argv[0], argv)


def stuck(pid: int, proc: Path = Path("/proc")) -> str:
    """Where a process and those of its session stand in the kernel, a line for each."""
    lines = []
    for folder in sorted(proc.glob("[0-9]*")):
        with suppress(OSError, IndexError, ValueError):
            # After the name, which may hold anything: state, parent, group, session (proc(5)).
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if pid in (int(folder.name), int(fields[3])):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                waits = "-"
                # Not every kernel tells it.
                with suppress(OSError):
                    waits = (folder / "wchan").read_text() or waits
                lines.append(f"lab: {folder.name} {fields[0]} in {waits}: {words.strip()}\n")
    return "".join(lines)


def run(channel: int, frame: dict[str, object], silent_s: float = SILENT_S) -> None:
    """Run a command to its end; one that writes nothing for `silent_s` is ended, and says where it was."""
    out, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.setsid()
            os.close(out)
            os.close(channel)
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            os.close(writer)
            # At SIGABRT Python writes where each thread is.
            faulthandler.enable(file=2, all_threads=True)
            code = child(frame)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                # As Python itself does at its end.
                os.write(2, f"{end.code}\n".encode())
        except FileNotFoundError as error:
            os.write(2, f"{error}\n".encode())
            code = 127
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(writer)
    pidfd = os.pidfd_open(pid)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    # What a command leaves running may keep its output open: its own end is the end.
    ended, is_late, sources = False, False, [out, pidfd]
    while not ended:
        ready, _, _ = select.select(sources, [], [], None if is_late else silent_s)
        if not ready:
            send(
                channel, {"out": f"\nlab: ended, because it wrote nothing for {silent_s:.0f} s\n{stuck(pid)}"}
            )
            is_late = True
            try:
                os.killpg(pid, signal.SIGABRT)
            except ProcessLookupError:
                # It has not come to making its session yet.
                os.kill(pid, signal.SIGABRT)
            continue
        if out in ready:
            data = os.read(out, 65536)
            if data:
                # A letter of several bytes may come in two pieces.
                send(channel, {"out": decoder.decode(data)})
                continue
            # It has closed its output and still runs.
            sources.remove(out)
        ended = pidfd in ready
    os.close(out)
    os.close(pidfd)
    send(channel, {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})


def main() -> None:
    channel = port()
    preload()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    send(channel, {"ready": True})
    while True:
        size = int.from_bytes(read(channel, 4), "big")
        run(channel, json.loads(read(channel, size)))


if __name__ == "__main__":
    main()
