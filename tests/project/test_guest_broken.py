"""The virtual machine where something about it is broken: one message that says what, and nothing is left running."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.guest import kvm, parts
from support.guest.parts import QEMU, MissingPart, Parts
from support.limits import HUNG_S
from support.paths import with_support

NOBODY = 65534

Qemu = Callable[[str], None]


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Qemu:
    """Put a program in the place of QEMU."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def put(text: str) -> None:
        (folder / QEMU).write_text(text)
        (folder / QEMU).chmod(0o755)

    return put


def session_of(pid: int) -> int:
    # After the name: state, parent, group, session (proc(5)).
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])


def running(is_ours: Callable[[int], bool]) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if is_ours(int(folder.name)):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


# KVM


def hangs(folder: Path) -> str:
    """A QEMU that says nothing and does not end; in the shell itself, so that nothing else is left of it."""
    os.mkfifo(folder / "never")
    return f"#!/bin/sh\nread _ < {folder / 'never'}\n"


PROBED = "#!/bin/sh\necho 'lab: probed'\n"


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kvm"
    path.touch()
    monkeypatch.setattr(kvm, "DEVICE", path)
    return path


def test_kvm_that_hangs_is_ended_and_not_asked_again_until_this_host_boots(
    tmp_path, qemu, device, monkeypatch
):
    made_of = Parts(tmp_path / "kernel", tmp_path / "initrd", tmp_path)
    monkeypatch.setattr(kvm, "PROBE_S", 0.2)
    qemu(hangs(tmp_path))
    assert not kvm.works(made_of)
    words = str(tmp_path / "bin" / QEMU).encode()
    assert running(lambda pid: words in Path(f"/proc/{pid}/cmdline").read_bytes()) == []
    monkeypatch.setattr(kvm, "PROBE_S", HUNG_S)
    qemu(PROBED)
    assert not kvm.works(made_of)
    (kept,) = tmp_path.glob("kvm-*")
    kept.rename(tmp_path / "kvm-another-boot")
    assert kvm.works(made_of)
    assert [path.name for path in tmp_path.glob("kvm-*")] == [kept.name]


def test_kvm_whose_device_is_not_there_is_not_tried(tmp_path, qemu, device):
    device.unlink()
    qemu(PROBED)
    assert not kvm.works(Parts(tmp_path / "kernel", tmp_path / "initrd", tmp_path))


# No root


def test_who_may_not_write_where_the_guest_is_prepared_is_told_of_another_folder(tmp_path, monkeypatch, qemu):
    for program in parts.PACKAGES:
        (tmp_path / "bin" / program).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / program).chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir(0o500)
    monkeypatch.setenv("XDG_CACHE_HOME", str(closed))
    if os.geteuid() == 0:
        for folder in (tmp_path, tmp_path / "bin"):
            folder.chmod(0o755)
        for folder in tmp_path.parents[:2]:
            folder.chmod(0o711)
        os.seteuid(NOBODY)
    try:
        with pytest.raises(MissingPart) as told:
            parts.parts()
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
    assert "Permission denied" in str(told.value)
    assert "XDG_CACHE_HOME names another folder" in str(told.value)
    assert len(str(told.value).splitlines()) == 1


# The machine

ENDS = "#!/bin/sh\necho 'qemu: there is no device usb-redir' >&2\nexit 1\n"
PANICS = f"""\
#!{sys.executable}
import json, re, socket, sys

def heard(name):
    (path,) = [word.split("path=")[1].split(",")[0] for word in sys.argv if f"id={{name}},path=" in word]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener

agent, relay = heard("agent"), heard("relay")
(console,) = [word.removeprefix("file:") for word in sys.argv if word.startswith("file:")]
host = agent.accept()[0]
ready = json.dumps({{"ready": True}}).encode()
host.sendall(len(ready).to_bytes(4, "big") + ready)
host.recv(4096)
open(console, "w").write("Kernel panic - not syncing: sysrq triggered crash\\n")
"""
"""A guest that starts, and panics in its first command."""


def lab(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`script/lab` on a host whose kernel is prepared; when it has ended, nothing of it runs."""
    root = folder / "cache" / "keyharness" / "lab" / "linux-image"
    (root / "boot").mkdir(parents=True)
    (root / "vmlinux").touch()
    modules = root / "lib" / "modules" / "6.1.0"
    modules.mkdir(parents=True)
    (modules / "modules.dep").touch()
    for program in ("busybox", "udevadm"):
        (folder / "bin" / program).write_text("#!/bin/sh\n")
        (folder / "bin" / program).chmod(0o755)
    environment = with_support() | {"XDG_CACHE_HOME": str(folder / "cache"), "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "support.guest", "--no-kvm", "--", *words]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        out, err = process.communicate(timeout=HUNG_S)
    assert running(lambda pid: session_of(pid) == process.pid) == []
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENDS, ["QEMU does not run", "qemu: there is no device usb-redir"]),
        (PANICS, ["ended or does not answer, in: keyharness list", "Kernel panic - not syncing: sysrq"]),
    ],
    ids=["ends", "panics"],
)
def test_a_machine_that_ends_is_told_once_with_its_last_words_and_its_logs_are_kept(
    tmp_path, qemu, text, said
):
    qemu(text)
    done = lab(tmp_path, "keyharness", "list")
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    for words in said:
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("script/lab: ") - done.stderr.count("script/lab: up after") == 1
    (kept,) = tmp_path.glob("lab-*")
    assert str(kept) in done.stderr
