"""Locks exclude every process of the host: of one user in any session, and of other users."""

from __future__ import annotations

import os
import stat

import pytest

from harness.base.errors import RigError
from harness.host import locks
from harness.host.locks import InUse, Lock, host_lock_dir, open_lock_file, runtime_dir

NOBODY = 65534


@pytest.fixture
def host_folder(tmp_path, monkeypatch):
    """The folder in which the host's locks are made, instead of /run/lock."""
    monkeypatch.delenv("KEYHARNESS_RUNTIME", raising=False)
    folder = tmp_path / "lock"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(locks, "HOST_FOLDERS", (folder,))
    return folder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_session_with_and_one_without_a_runtime_directory_meet_at_one_lock(
    host_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "xdg"))
    first = Lock("port usb:1-1.4")
    first.take("the first run")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with pytest.raises(InUse, match="the first run"):
        Lock("port usb:1-1.4").take("the second run")
    first.release()


def test_the_umask_keeps_nobody_out(host_folder):
    before = os.umask(0o077)
    try:
        os.close(open_lock_file(host_lock_dir() / "a.lock"))
    finally:
        os.umask(before)
    assert mode(host_lock_dir()) == 0o1777
    assert mode(host_lock_dir() / "a.lock") == 0o666


def test_a_folder_of_the_callers_takes_files_of_every_member_of_a_group(tmp_path, monkeypatch):
    monkeypatch.setenv("KEYHARNESS_RUNTIME", str(tmp_path / "lab"))
    lock = Lock("port usb:1-1.4")
    lock.take("a run")
    (file,) = (tmp_path / "lab").iterdir()
    assert mode(file) == 0o666
    lock.release()


def test_a_link_in_the_place_of_a_lock_is_not_followed(host_folder, tmp_path):
    aim = tmp_path / "aim"
    (host_lock_dir() / "a.lock").symlink_to(aim)
    with pytest.raises(RigError) as caught:
        open_lock_file(host_lock_dir() / "a.lock")
    assert caught.value.found == "a symbolic link"
    assert not aim.exists()


@pytest.mark.parametrize("trap", ["link", "private", "file"])
def test_a_trap_in_the_place_of_the_folder_is_refused(host_folder, tmp_path, trap):
    if trap == "link":
        (host_folder / "keyharness").symlink_to(tmp_path)
    elif trap == "file":
        (host_folder / "keyharness").write_text("")
    else:
        (host_folder / "keyharness").mkdir(mode=0o700)
    with pytest.raises(RigError, match="locks") as caught:
        runtime_dir()
    assert caught.value.mend


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_is_told_that_the_rig_is_in_use(tmp_path_factory, monkeypatch):
    """With fs.protected_regular Linux refuses to open the file of another user with O_CREAT in such a folder."""
    # pytest's own folders let nobody but their owner in.
    folder = locks.Path(os.path.realpath("/tmp")) / f"keyharness-test-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.delenv("KEYHARNESS_RUNTIME", raising=False)
    monkeypatch.setattr(locks, "HOST_FOLDERS", (folder,))
    held, free = Lock("port usb:1-1.4"), Lock("port usb:1-1.5")
    try:
        held.take("a run of root's")
        free.take("another")
        free.release()
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            code = 9
            try:
                Lock("port usb:1-1.5").take("free by now")
                Lock("port usb:1-1.4").take("held")
            except InUse:
                code = 0
            except BaseException:
                code = 1
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        held.release()
        for file in sorted(folder.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        folder.rmdir()
