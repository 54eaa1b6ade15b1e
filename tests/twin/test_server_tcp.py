"""`keyharness twin --ctaphid-tcp`: several clients at once, clients that do not read, and the key's other faces."""

from __future__ import annotations

import json
import signal
import socket

import pytest
from nitrokey.nk3 import NK3
from nitrokey.trussed._connection.ctaphid import CtapHidConnection as SdkConnection
from nitrokey.trussed.admin_app import BootMode

from harness.twin import server_tcp
from harness.twin.server_tcp import TcpFace
from support.twin_process import BROADCAST, device, forked_twin, free_port, report

INIT, PING, INVALID_LEN, INVALID_CHANNEL = 0x06, 0x01, 3, 0x0B


@pytest.fixture
def twin(tmp_path):
    with forked_twin(tmp_path / "state") as served:
        yield served


def test_clients_that_ask_for_a_channel_at_once_get_their_own_answers(twin):
    one, other = twin.client(), twin.client()
    for number in range(20):
        asked = {one: b"one %4d" % number, other: b"two %4d" % number}
        for client, nonce in asked.items():
            client.socket.sendall(report(BROADCAST, INIT, nonce))
        answers = {client: client.read_packet() for client in asked}
        assert {client: answer[7:15] for client, answer in answers.items()} == asked
        assert answers[one][15:19] != answers[other][15:19]


def test_the_same_nonce_and_an_error_on_the_shared_channel_are_told_to_their_clients(twin):
    """Clients whose random numbers are seeded send the same nonces."""
    one, other = twin.client(), twin.client()
    for client in (one, other):
        client.socket.sendall(report(BROADCAST, INIT, b"the same"))
    channels = [client.read_packet()[15:19] for client in (one, other)]
    assert len(set(channels)) == 2
    one.socket.sendall(report(BROADCAST, INIT, b"short"))
    other.socket.sendall(report(BROADCAST, PING, b"hello"))
    assert [client.read_packet()[4:8] for client in (one, other)] == [
        bytes((0xBF, 0, 1, INVALID_LEN)),
        bytes((0xBF, 0, 1, INVALID_CHANNEL)),
    ]
    assert [
        client.ask(channel, PING, b"ping")[7:11]
        for client, channel in zip((one, other), channels, strict=True)
    ] == [b"ping"] * 2


def test_a_client_that_does_not_read_holds_up_neither_others_nor_the_end(twin):
    rude, polite = twin.client(), twin.client()
    channel = rude.channel()
    # Each of these has an answer as long as itself, which is never taken.
    flood = report(channel, PING, b"x") * 200_000
    with pytest.raises(ConnectionError):
        rude.socket.sendall(flood)
    assert polite.ask(polite.channel(), PING, b"still there")[7:18] == b"still there"
    twin.signal(signal.SIGTERM)
    assert twin.wait() == 0


def test_a_client_that_reads_late_gets_all_of_a_long_answer(twin):
    client = twin.client()
    channel = client.channel()
    size = 7000
    packets = [channel + b"\x81" + size.to_bytes(2, "big") + bytes(57)]
    packets += [channel + bytes((number,)) + bytes(59) for number in range(118)]
    for packet in packets:
        client.write_packet(packet)
    assert [client.read_packet()[:5] for _ in packets] == [packet[:5] for packet in packets]


def test_channels_and_clients_are_forgotten_in_the_end():
    """A client for a day opens tens of thousands of channels."""
    face = TcpFace(port := free_port())
    (listener,) = face.sockets()
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    face.readable(listener)
    (served,) = (sock for sock in face.sockets() if sock is not listener)
    for number in range(40_000):
        answer = BROADCAST + b"\x86\0\x11" + b"a nonce." + number.to_bytes(4, "big")
        face.send(answer.ljust(64, b"\0"), served)
        if number % 500 == 0:
            client.recv(1 << 20, socket.MSG_DONTWAIT)
    assert len(face._users) <= server_tcp.CHANNELS_MAX
    client.close()
    while served in face.sockets():
        face.readable(served)
    assert not face._users
    crowd = []
    for _ in range(server_tcp.CLIENTS_MAX + 1):
        crowd.append(socket.create_connection(("127.0.0.1", port), timeout=20))
        face.readable(listener)
    assert len(face.sockets()) == server_tcp.CLIENTS_MAX + 1, (
        "the listener, and as many clients as are served"
    )
    assert crowd[-1].recv(1) == b"", "one too many is hung up on"
    for sock in crowd:
        sock.close()
    face.close()


def test_a_key_in_its_bootloader_is_not_there_for_ctaphid(tmp_path):
    with forked_twin(tmp_path / "state", dfu_pty=tmp_path / "dfu") as twin:
        nk3 = NK3(SdkConnection(device(twin.client())))
        nk3.admin.reboot(BootMode.BOOTROM)
        twin.wait_for("the firmware rebooted")
        assert (tmp_path / "dfu").is_symlink()
        with pytest.raises(ConnectionRefusedError):
            twin.client()


def test_the_card_of_a_key_in_its_bootloader_is_out_of_its_reader(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as reader:
        reader.settimeout(20)
        vpcd = f"127.0.0.1:{reader.getsockname()[1]}"
        with forked_twin(tmp_path / "state", vpcd=vpcd) as twin:
            slot, _ = reader.accept()
            slot.settimeout(20)
            slot.sendall(b"\0\x01\x04")
            assert slot.recv(100)
            NK3(SdkConnection(device(twin.client()))).admin.reboot(BootMode.BOOTROM)
            assert slot.recv(100) == b"", "the card has gone"


def test_a_process_that_ends_for_a_reboot_leaves_the_bootloader_to_the_next(tmp_path):
    how = {"exit_on_reboot": 42, "dfu_pty": tmp_path / "dfu"}
    with forked_twin(tmp_path / "state", **how) as twin:
        NK3(SdkConnection(device(twin.client()))).admin.reboot(BootMode.BOOTROM)
        assert twin.wait() == 42
    with forked_twin(tmp_path / "state", **how) as twin:
        assert (tmp_path / "dfu").is_symlink()
        with pytest.raises(ConnectionRefusedError):
            twin.client()
        twin.signal(signal.SIGKILL)
        twin.wait()
    (tmp_path / "dfu").unlink()
    with forked_twin(tmp_path / "state", **how) as twin:
        assert NK3(SdkConnection(device(twin.client()))).uuid(), "without power the register is empty"
    assert "retained" not in json.loads((tmp_path / "state" / "twin.json").read_text())
