"""libnitrokey, which knows nothing of Keyharness, uses the simulated Nitrokey Pro as its own key.

It reaches USB by hidapi, in whose place a stub is loaded that speaks to the twin's port.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.limits import HUNG_S

SUPPORT = Path(__file__).parents[2] / "support"
NO_LIBRARY = 77


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def stub(tmp_path_factory) -> Path:
    """The folder of the stub of hidapi."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: the stub of hidapi cannot be made")
    folder = tmp_path_factory.mktemp("hidapi")
    library = folder / "libhidapi-libusb.so.0"
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-Wl,-soname," + library.name]
    done = subprocess.run(
        [*command, "-o", str(library), str(SUPPORT / "hidapi_stub.c")], capture_output=True, text=True
    )
    if "stdlib.h" in done.stderr:
        pytest.skip("no headers of the C library: the stub of hidapi cannot be made")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def twin(tmp_path_factory) -> int:
    """The port of a served twin."""
    port = free_port()
    state = tmp_path_factory.mktemp("twin") / "state"
    command = [sys.executable, "-m", "harness", "twin", "nitrokey-pro", "--state", str(state)]
    with subprocess.Popen(
        [*command, "--speed", "max", "--feature-tcp", str(port)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield port
        process.terminate()
        assert process.wait(HUNG_S) == 0


@pytest.fixture(scope="module")
def said(stub, twin) -> dict[str, object]:
    """What libnitrokey said of everything that it was asked."""
    path = os.pathsep.join([str(stub), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "nitrokey_client.py")],
        env={**os.environ, "LD_LIBRARY_PATH": path, "HIDAPI_STUB_PORT": str(twin)},
        capture_output=True,
        text=True,
        timeout=HUNG_S,
    )
    if done.returncode == NO_LIBRARY:
        pytest.skip(f"no libnitrokey: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


pytestmark = pytest.mark.long


def test_it_finds_the_key(said):
    assert said["login"] == 1
    assert said["version"] == [0, 15]
    assert said["tries"] == [3, 3]


def test_it_is_told_that_a_pin_is_wrong(said):
    assert said["wrong admin"] == 4
    assert said["tries after"] == 2
    assert said["admin"] == 0


def test_it_writes_a_hotp_slot_and_gets_the_codes_of_the_rfc(said):
    assert (said["write hotp"], said["name"]) == (0, "rfc 4226")
    assert said["hotp"] == ["755224", "287082", "359152"]
    assert (said["read"], said["counter"]) == (0, 3)


def test_it_writes_a_totp_slot_and_gets_the_code_of_the_rfc(said):
    assert (said["write totp"], said["time"], said["totp"]) == (0, 0, "69279037")


def test_a_free_slot_has_no_name(said):
    assert said["free"] == ["", 3]


def test_it_uses_the_password_safe(said):
    assert (said["new safe"], said["open"], said["entry"]) == (0, 0, 0)
    assert said["entries"] == [1 if slot == 5 else 0 for slot in range(16)]
    assert said["stored"] == ["a name", "a login", "a password"]
    assert said["lock"] == 0


def test_it_knows_the_model_and_draws_random_numbers(said):
    assert (said["model"], said["serial"]) == (1, True)
    assert (said["random"], said["AES"]) == ([0, 16], 1)


def test_it_sets_that_codes_need_the_user_pin(said):
    assert (said["write config"], said["config"]) == (0, [1, 255, 255, 1, 0])
    assert (said["hotp without PIN"], said["not authorised"]) == ("", 5)
    assert (said["user"], said["hotp with PIN"]) == (0, "969429")
    assert (said["time again"], said["totp with PIN"]) == (0, "69279037")


def test_it_erases_a_slot_and_an_entry(said):
    assert (said["erase totp"], said["totp name"]) == (0, "")
    assert (said["open again"], said["erase entry"], said["no entries"]) == (0, 0, [0] * 16)


def test_it_changes_the_admin_pin_and_unblocks(said):
    assert (said["admin PIN"], said["unblock"], said["admin PIN back"]) == (0, 0, 0)


def test_it_changes_pin_and_firmware_password(said):
    assert (said["change"], said["firmware password"]) == (0, 0)


def test_it_resets_the_key(said):
    assert said["reset"] == 0
    assert said["after"] == ["", 3]
    # The safe has no key any more, and the PIN of the factory is right.
    assert said["default again"] == 10


def test_it_brings_the_key_to_its_bootloader_with_the_firmware_password_alone(said):
    """A right password has no answer: the key leaves, which the library calls the loss of the device (255)."""
    assert (said["wrong update"], said["update"]) == (4, 255)
