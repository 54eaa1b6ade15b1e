"""`keyharness twin`: real clients over UDP, TCP and vpcd; killing it is a power cut."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from fido2.cose import CoseKey
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.ctap2.pin import ClientPin
from nitrokey.nk3 import NK3
from nitrokey.trussed._connection.ctaphid import CtapHidConnection as SdkConnection

from support.limits import HUNG_S
from support.served_twin import Tcp, Udp, device, free_port

HASH = hashlib.sha256(b"x").digest()
RP, USER = {"id": "example.com", "name": "x"}, {"id": b"u", "name": "u"}
ES256 = [{"type": "public-key", "alg": -7}]


@pytest.fixture
def serve(tmp_path):
    running = []

    def start(*arguments, stdin=subprocess.DEVNULL):
        command = [
            sys.executable,
            "-m",
            "harness",
            "twin",
            "nitrokey3-mini",
            "--state",
            str(tmp_path / "state"),
        ]
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def tcp(serve):
    port = free_port()

    def start(*arguments, **more):
        process = serve("--ctaphid-tcp", port, "--speed", "max", *arguments, **more)
        return process, lambda: device(Tcp(port))

    return start


def register(ctap, **more):
    return ctap.make_credential(HASH, RP, USER, ES256, **more)


def test_a_client_registers_and_logs_in_over_udp(serve):
    listen, answer = free_port(), free_port()
    serve("--ctaphid-udp", f"{listen}:{answer}", "--touch", "always", "--speed", "max")
    ctap = Ctap2(device(Udp(listen, answer)))
    made = register(ctap)
    assertion = ctap.get_assertion(
        RP["id"], HASH, [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}]
    )
    assertion.verify(HASH, CoseKey.parse(made.auth_data.credential_data.public_key))


def test_it_runs_in_real_time_by_default(serve):
    port = free_port()
    serve("--ctaphid-tcp", port, "--touch", "50")
    seen = []
    made = register(Ctap2(device(Tcp(port))), on_keepalive=seen.append)
    assert made.fmt == "packed"
    assert [status.name for status in seen][:2] == ["UPNEEDED", "PROCESSING"], (
        "flash work is seen as keepalives"
    )


def test_what_was_acknowledged_outlives_a_kill(tcp):
    process, connect = tcp("--touch", "always")
    ClientPin(Ctap2(connect())).set_pin("123456")
    process.kill()
    process.wait()
    process, connect = tcp("--touch", "always")
    client = ClientPin(Ctap2(connect()))
    with pytest.raises(CtapError) as refused:
        client.get_pin_token("654321")
    assert refused.value.code == CtapError.ERR.PIN_INVALID
    process.kill()
    process.wait()
    _, connect = tcp("--touch", "always")
    client = ClientPin(Ctap2(connect()))
    assert client.get_pin_retries()[0] == 7
    client.get_pin_token("123456")


@pytest.mark.long
def test_a_kill_in_mid_write_leaves_the_old_or_the_new_state(serve, tmp_path):
    """Really in real time: each flash operation is in its file only when its time is over."""
    port = free_port()
    process = serve("--ctaphid-tcp", port, "--touch", "always")
    ClientPin(Ctap2(device(Tcp(port)))).set_pin("123456")
    for delay in (0.05, 0.2, 0.35, 0.5, 0.65):
        ctap = Ctap2(device(Tcp(port)))
        timer = threading.Timer(delay, process.kill)
        timer.start()
        with contextlib.suppress(OSError, CtapError, ValueError):
            register(ctap, options={"rk": True})
        timer.join()
        process.wait()
        process = serve("--ctaphid-tcp", port, "--touch", "always")
        client = ClientPin(Ctap2(device(Tcp(port))))
        client.get_pin_token("123456")
        assert NK3(SdkConnection(device(Tcp(port)))).admin.status().init_status == 0
        process.kill()
        process.wait()
        process = serve("--ctaphid-tcp", port, "--touch", "always")


@pytest.mark.parametrize("how", ["signal", "stdin"])
def test_touch_is_given_from_outside_and_only_then(tcp, how):
    process, connect = tcp("--touch", how, stdin=subprocess.PIPE)
    ctap = Ctap2(connect())

    def touch(status):
        if how == "signal":
            os.kill(process.pid, signal.SIGUSR1)
        else:
            process.stdin.write("\n")
            process.stdin.flush()

    assert register(ctap, on_keepalive=touch).fmt == "packed"


def test_without_a_touch_a_request_can_be_cancelled(tcp):
    _, connect = tcp("--touch", "never")
    event = threading.Event()
    with pytest.raises(CtapError) as cancelled:
        register(Ctap2(connect()), event=event, on_keepalive=lambda status: event.set())
    assert cancelled.value.code == CtapError.ERR.KEEPALIVE_CANCEL


def test_the_admin_application_answers_through_the_sdk_and_survives_a_reboot(tcp):
    _, connect = tcp()
    nk3 = NK3(SdkConnection(connect()))
    assert str(nk3.admin.version()) == "v1.8.3"
    uuid = nk3.uuid()
    nk3.reboot()
    assert NK3(SdkConnection(connect())).uuid() == uuid


def test_a_reboot_may_end_the_process_which_goes_on_as_the_same_key(serve):
    """Over UDP nobody sees a reboot; the end of a process everybody does."""
    listen, answer = free_port(), free_port()
    how = ("--ctaphid-udp", f"{listen}:{answer}", "--speed", "max", "--exit-on-reboot", "42")
    process = serve(*how)
    link = Udp(listen, answer)
    nk3 = NK3(SdkConnection(device(link)))
    uuid = nk3.uuid()
    link._socket.settimeout(1)
    nk3.reboot()
    assert process.wait(HUNG_S) == 42
    link.close()
    serve(*how)
    assert NK3(SdkConnection(device(Udp(listen, answer)))).uuid() == uuid


def test_the_card_side_speaks_vpcd(serve):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(HUNG_S)
        serve("--vpcd", f"127.0.0.1:{server.getsockname()[1]}")
        reader, _ = server.accept()
        with reader, reader.makefile("rb") as frames:

            def send(data):
                reader.sendall(len(data).to_bytes(2, "big") + data)

            def transmit(data):
                send(data)
                return frames.read(int.from_bytes(frames.read(2), "big"))

            send(b"\x01")
            assert transmit(b"\x04").hex().upper() == "3B8F01805D4E6974726F6B657900000000006A"
            assert transmit(bytes.fromhex("0061000004")) == b"\x6d\x00"
            assert transmit(bytes.fromhex("00A4040009A00000084700000001")) == b"\x90\x00"
            assert transmit(bytes.fromhex("00A4040009A00000084701000001")) == b"\x6a\x82"
            transmit(bytes.fromhex("00A4040009A00000084700000001"))
            assert (
                transmit(bytes.fromhex("0061000004"))
                == (1 << 22 | 8 << 6 | 3).to_bytes(4, "big") + b"\x90\x00"
            )
            assert transmit(bytes.fromhex("0061010000")) == b"1.8.3\x90\x00"
            # The vendor's SDK says it in P2 and in the data.
            assert transmit(bytes.fromhex("00610001010100")) == b"1.8.3\x90\x00"
            assert len(transmit(bytes.fromhex("0062000010"))) == 18
            assert transmit(bytes.fromhex("0080000000"))[:1] == b"\0"
            assert transmit(bytes.fromhex("00990000")) == b"\x6d\x00"


def test_the_trace_shows_messages_decoded(tcp):
    process, connect = tcp("--touch", "always", "--trace")
    register(Ctap2(connect()))
    process.terminate()
    _, trace = process.communicate(timeout=HUNG_S)
    assert process.returncode == 0
    for word in (
        "INIT",
        "CBOR GET_INFO",
        "CBOR MAKE_CREDENTIAL",
        '"example.com"',
        "KEEPALIVE upneeded",
        "CBOR ok",
    ):
        assert word in trace


@pytest.mark.parametrize(
    "arguments, word",
    [
        ([], "no transport"),
        (["--ctaphid-udp", "8111"], "LISTEN:ANSWER"),
        (["--ctaphid-tcp", "1", "--touch", "often"], "--touch"),
        (["--ctaphid-tcp", "0"], "ctaphid-tcp"),
        (["--vpcd", "35963"], "HOST:PORT"),
        (["--ctaphid-tcp", "35962", "--speed", "fast"], "real or max"),
        (["--ctaphid-tcp", "35962", "--personality", "best"], "reference"),
    ],
)
def test_wrong_options_are_explained(cli, arguments, word):
    done = cli("twin", "nitrokey3-mini", "--state", "state", *arguments)
    assert done.returncode == 4
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_the_state_of_another_twin_is_not_taken(tcp, cli, tmp_path):
    process, _ = tcp()
    process.terminate()
    process.wait()
    done = cli(
        "twin",
        "nitrokey3-mini",
        "--state",
        tmp_path / "state",
        "--flash",
        "unjournaled",
        "--ctaphid-tcp",
        "35962",
    )
    assert done.returncode == 4
    assert "layer = safe" in done.stderr
