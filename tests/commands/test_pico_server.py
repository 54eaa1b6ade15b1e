"""`keyharness serve`: a program that drives Yubico's Pico rig drives ours, and nobody else does."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import select
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import replace

import pytest
from fido2.ctap2 import ClientPin, Ctap2
from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor
from nitrokey.nk3 import NK3
from nitrokey.trussed._connection.ctaphid import CtapHidConnection as SdkConnection

from harness.bench.registry import discover
from harness.commands.pico_server import PicoServer
from harness.commands.rig_thread import RigThread
from harness.host.uevents import wait_until
from harness.host.usb import device_at
from harness.model.rig_parts import Touch
from harness.run.session import Session
from harness.run.wanted import Wanted
from support.lab import Lab, TwinKey, call, plugin
from support.limits import HUNG_S
from support.rig_commands import free_port, going_on, latched, switch

PIN = "a1b2c3d4"


class Controller:
    """What a test program does with a Pico rig, by the paths that python-fido2's tests/device asks for."""

    def __init__(self, base: str, port: int):
        self.base, self.port = base.rstrip("/"), port
        self.get("/")

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.base + path, timeout=HUNG_S) as answer:
            return answer.read()

    def touch(self) -> None:
        self.get(f"/usb{self.port}/touch/off")
        self.get(f"/usb{self.port}/touch/on")

    def insert(self) -> None:
        self.get(f"/usb{self.port}/power/on")

    def remove(self) -> None:
        self.get(f"/usb{self.port}/touch/off")
        self.get(f"/usb{self.port}/power/off")


class Frames(CtapHidConnection):
    """CTAPHID reports behind a length, on the port of a `keyharness twin`."""

    def __init__(self, port: int):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=HUNG_S)

    def write_packet(self, data: bytes) -> None:
        self._socket.sendall(len(data).to_bytes(2, "big") + data)

    def read_packet(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(2), "big"))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise OSError(19, "No such device")
            data += part
        return data

    def close(self) -> None:
        self._socket.close()


def connected(port: int) -> Frames:
    """A client of a twin that was given power a moment ago; each try that is refused costs no time."""
    limit = time.monotonic() + 60
    while True:
        try:
            return Frames(port)
        except ConnectionRefusedError:
            assert time.monotonic() < limit, "the twin does not come"
            time.sleep(0.05)


def key_on(frames: Frames) -> CtapHidDevice:
    return CtapHidDevice(HidDescriptor("tcp", 0x20A0, 0x42B2, 64, 64, None, None), frames)


@contextmanager
def device_on(port: int):
    frames = connected(port)
    yield NK3(SdkConnection(key_on(frames)))
    frames.close()


@contextmanager
def served(cli, *arguments):
    """`keyharness serve`; the process, and the address that it printed."""
    with going_on(cli, "serve", *arguments) as process:
        lines = []
        while not lines or not lines[-1].startswith("ends by"):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        process.told = lines
        yield process, lines[0].split()[0].rpartition("/")[0]


def answered(url: str, **headers: str) -> tuple[int, dict]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=HUNG_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def test_a_program_that_drives_a_pico_rig_runs_unattended(cli):
    """Unplug, plug in, reset, set a PIN, register: python-fido2 on the key, the rig by HTTP alone."""
    port = free_port()
    command = [sys.executable, "-m", "harness", "twin", "nitrokey3-mini", "--state", "{state}"]
    (cli.cwd / "desk.toml").write_text(
        '[[rig]]\nname = "other"\nkey = "nitrokey3-mini"\ndriver = "virtual"\n'
        '[[rig]]\nname = "key"\nkey = "nitrokey3-mini"\ndriver = "emulator"\nexpendable = true\n'
        f'transport = "ctaphid-tcp"\nport = {port}\nisolation = "none"\ntouch = "signal"\nready_s = 60\n'
        f"command = {json.dumps([*command, '--ctaphid-tcp', '{port}'])}\n"
    )
    with served(cli, "--bench", "desk.toml") as (process, base):
        rig = Controller(base, 2)
        asked = []

        def on_keepalive(status):
            if status == 2 and not asked:
                asked.append(status)
                rig.touch()

        def device():
            return key_on(connected(port))

        rig.insert()
        Ctap2(device()).reset(on_keepalive=on_keepalive)
        assert asked == [2], "the reset has asked for a touch"
        asked.clear()
        rig.remove()
        with pytest.raises(OSError):
            Frames(port)
        rig.insert()
        ctap = Ctap2(device())
        client = ClientPin(ctap)
        client.set_pin(PIN)
        digest = b"\x07" * 32
        token = client.get_pin_token(PIN, ClientPin.PERMISSION.MAKE_CREDENTIAL, "example.com")
        made = ctap.make_credential(
            digest,
            {"id": "example.com", "name": "example"},
            {"id": b"u", "name": "user"},
            [{"type": "public-key", "alg": -7}],
            pin_uv_param=client.protocol.authenticate(token, digest),
            pin_uv_protocol=client.protocol.VERSION,
            on_keepalive=on_keepalive,
        )
        assert made.auth_data.is_user_present()
        assert asked == [2]
        assert answered(f"{base}/")[1]["rigs"]["usb2"] == {"rig": "key", "power": "on", "touch": "on"}
        process.send_signal(signal.SIGINT)
        assert process.wait(HUNG_S) == 0
        assert process.stdout.read().endswith("ended\n")


class Reports(CtapHidConnection):
    """The key's hidraw node, as another program has it open: 65 bytes out, 64 in."""

    def __init__(self, host, node):
        self._fd = host.open_hidraw(node)

    def write_packet(self, data: bytes) -> None:
        os.write(self._fd, b"\0" + data)

    def read_packet(self) -> bytes:
        return os.read(self._fd, 64)

    def close(self) -> None:
        os.close(self._fd)


class Finger(Touch):
    """The laboratory's, held."""

    def __init__(self, request):
        self._host, self._port = request.host, request.port

    def pressing(self, *, delay_us=200_000):
        raise AssertionError("nothing of ours is pending")

    @contextmanager
    def holding(self):
        with call(self._host.root, "relay") as link:
            for word in (f"touch {self._port} 0", f"release {self._port}"):
                link.send(word.encode())
                link.recv(64)
                if word.startswith("touch"):
                    yield


def test_a_real_key_is_unplugged_plugged_in_and_touched(tmp_path, monkeypatch):
    """The same on a USB port: another program has the key's node, and drives the rig by HTTP."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KEYHARNESS_RUNTIME", str(tmp_path / "runtime"))
    plugins = discover()
    plugins.power |= {driver.name: driver for driver in plugin.keyharness_power()}
    plugins.touch["lab"] = replace(plugin.keyharness_touch()[0], make=Finger)
    (tmp_path / "lab.toml").write_text(
        '[[rig]]\nname = "mini-1"\nkey = "nitrokey3-mini"\ndriver = "usb"\nport = "1-1.4.1"\noff_s = 0\n'
        'expendable = true\n[rig.power]\ndriver = "lab"\n[rig.touch]\ndriver = "lab"\n'
    )
    with Lab(tmp_path / "lab") as lab, lab.standing_in() as host:
        lab.hub("1-1.4", ports=4)
        lab.plug("1-1.4.1", TwinKey(speed=20))
        session = Session(Wanted(tmp_path / "lab.toml", seed=1), plugins, purpose="serve")
        rig = session.rig("mini-1")
        session.claims.take(rig, write=False)
        hand = RigThread(rig, held_s=10)
        server = PicoServer(0, {1: hand}, io.StringIO())
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            controller = Controller(server.url, 1)

            def there():
                seen = device_at(host, "1-1.4.1")
                return seen.fido if seen is not None and seen.fido else None

            controller.remove()
            assert there() is None
            controller.insert()
            node = wait_until(host, there, 20)
            asked = []

            def on_keepalive(status):
                if status == 2 and not asked:
                    asked.append(status)
                    controller.touch()

            connection = Reports(host, node.node)
            ctap = Ctap2(CtapHidDevice(HidDescriptor("lab", 0, 0, 64, 64, None, None), connection))
            ctap.reset(on_keepalive=on_keepalive)
            assert asked == [2]
            connection.close()
        finally:
            server.shutdown()
            server.server_close()
            hand.close(20)
            session.close()
        assert lab.port("1-1.4.1").powered, "as it was found"


@pytest.fixture
def lab(cli):
    latched(cli, "a", "b", expendable=True)
    return cli


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_power_is_put_back_at_the_end(lab, end):
    with served(lab, "--bench", "lab.toml") as (process, base):
        one, two = Controller(base, 1), Controller(base, 2)
        one.remove()
        two.remove()
        two.insert()
        assert (switch(lab, "a").read_text(), switch(lab, "b").read_text()) == ("off", "on")
        process.send_signal(end)
        assert process.wait(HUNG_S) == 0
    assert switch(lab, "a").read_text() == "on"
    assert lab("power", "cycle", "a", "--bench", "lab.toml").returncode == 0, "it is free again"


def test_strangers_are_refused(lab):
    with served(lab, "--bench", "lab.toml", "--rig", "b") as (_, base):
        port = base.split(":")[2].partition("/")[0]
        assert answered(f"{base}/")[0] == 200
        assert answered(f"{base}/", Host=f"localhost:{port}")[0] == 200
        assert answered(f"{base}/", Origin=f"http://127.0.0.1:{port}")[0] == 200
        cases = {
            "another name for this host, as after DNS rebinding": (421, {"Host": f"evil.example:{port}"}),
            "another port": (421, {"Host": "127.0.0.1:1"}),
            "another site's page": (403, {"Origin": "http://evil.example"}),
            "a page without an origin": (403, {"Origin": "null"}),
            "an image on another site's page": (403, {"Sec-Fetch-Site": "cross-site"}),
        }
        for what, (code, headers) in cases.items():
            assert answered(f"{base}/usb1/power/off", **headers)[0] == code, what
        for path in ("/", "/usb1/power/off", f"/{'0' * 32}/usb1/power/off"):
            assert answered(f"http://127.0.0.1:{port}{path}")[0] == 404
        for path in ("/usb2/power/off", "/usb0/power/off", "/usb1/power/toggle", "/usb1/power/off?x=1"):
            code, body = answered(base + path)
            assert code == 404
            assert "usb1" in body["error"]
        link = http.client.HTTPConnection("127.0.0.1", int(port), timeout=HUNG_S)
        for method in ("POST", "DELETE", "OPTIONS", "HEAD"):
            link.request(method, "/" + base.rpartition("/")[2] + "/usb1/power/off")
            answer = link.getresponse()
            answer.read()
            assert answer.status == 501, method
        assert not switch(lab, "b").exists(), "nobody has switched it"
        with socket.create_connection(("127.0.0.1", int(port)), timeout=HUNG_S) as rude:
            rude.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert b" 421 " in rude.recv(200)
        with socket.create_connection(("127.0.0.1", int(port)), timeout=HUNG_S) as rude:
            rude.sendall(b"\x00\xff" * 50 + b"\r\n\r\n")
            assert b"400" in rude.recv(2000)
        assert answered(f"{base}/")[0] == 200
    assert not addresses_other_than_loopback(int(port))


def addresses_other_than_loopback(port: int) -> list[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        own = probe.getsockname()[0]
    try:
        socket.create_connection((own, port), timeout=2).close()
    except OSError:
        return []
    return [own]


def test_a_touch_ends_by_itself_and_with_the_power():
    from harness.base.clock import MonotonicClock

    class Press:
        def __init__(self):
            self.down, self.up = threading.Event(), threading.Event()

        @contextmanager
        def holding(self):
            self.down.set()
            yield
            self.up.set()

    class Switch:
        is_on = True

        def off(self):
            self.is_on = False

    class Rig:
        name, expendable, clock, evidence_kind = "x", True, MonotonicClock(), "hardware"

        def __init__(self):
            self.touch, self.power = Press(), Switch()

    rig = Rig()
    hand = RigThread(rig, held_s=0.05)
    hand.ask(hand.press, 10)
    assert rig.touch.down.is_set()
    assert rig.touch.up.wait(HUNG_S), "nobody has ended it"
    rig.touch.up.clear()
    hand.close(10)

    hand = RigThread(rig, held_s=600)
    hand.ask(hand.press, 10)
    hand.ask(hand.press, 10)
    assert not rig.touch.up.is_set()
    hand.ask(lambda: hand.power(False), 10)
    assert rig.touch.up.is_set()
    with pytest.raises(Exception, match='rig "x"'):
        hand.ask(hand.press, 10)
    hand.close(10)


def test_a_key_that_is_not_expendable_is_switched_and_not_touched(cli):
    latched(cli, "a")
    with served(cli, "--bench", "lab.toml") as (_, base):
        assert answered(f"{base}/usb1/power/off")[1]["power"] == "off"
        assert answered(f"{base}/usb1/power/on")[1]["power"] == "on"
        code, body = answered(f"{base}/usb1/touch/on")
        assert code == 409
        assert "expendable = true" in body["error"]
        assert answered(f"{base}/usb1/touch/off")[0] == 200


def test_a_rig_that_fails_is_told_as_one(cli):
    latched(cli, "a", expendable=True)
    cli.env["LATCHED_FAULT"] = "off switch-a"
    with served(cli, "--bench", "lab.toml") as (_, base):
        code, body = answered(f"{base}/usb1/power/off")
        assert code == 502
        assert body["error"].startswith("relay switch-a\n")
        assert answered(f"{base}/")[1]["rigs"]["usb1"]["power"] == "on"


def test_several_rigs_are_switched_at_the_same_time_and_one_after_the_other_each(lab):
    with served(lab, "--bench", "lab.toml") as (_, base):
        codes = []

        def ask(path):
            codes.append(answered(base + path)[0])

        threads = [
            threading.Thread(target=ask, args=(f"/usb{1 + n % 2}/power/{('off', 'on')[n // 2 % 2]}",))
            for n in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HUNG_S)
        assert codes == [200] * 20


def test_a_taken_port_and_a_rig_in_use(lab):
    port = str(free_port())
    with served(lab, "--bench", "lab.toml", "--rig", "a", "--port", port):
        done = lab("serve", "--bench", "lab.toml", "--rig", "b", "--port", port)
        assert done.returncode == 4
        assert done.stderr.startswith(f"--port\n  found     {port}: Address already in use")
        done = lab("serve", "--bench", "lab.toml")
        assert done.returncode == 3
        assert "serve, rig a" in done.stderr


def test_the_command_that_is_printed_names_the_first_rig_on_usb_and_its_key_has_power(lab):
    """python-fido2 looks for the key before it drives anything, and its --pico-port is not 1 by default."""
    (lab.cwd / "lab.toml").write_text(
        '[[rig]]\nname = "twin"\nkey = "nitrokey3-mini"\ndriver = "virtual"\n'
        + (lab.cwd / "lab.toml").read_text()
    )
    switch(lab, "a").write_text("off")
    with served(lab, "--bench", "lab.toml") as (process, base):
        assert switch(lab, "a").read_text() == "on"
        (told,) = (line for line in process.told if line.startswith("python-fido2"))
        assert told.endswith(f": python -m pytest tests/device --controller {base} --pico-port 2\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(HUNG_S) == 0
    assert switch(lab, "a").read_text() == "off", "as it was found"


@pytest.mark.long
def test_a_virtual_rig_is_a_process_that_other_programs_reach(cli):
    (cli.cwd / "twins.toml").write_text(
        '[[rig]]\nname = "left"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
        'twin = { personality = "reference-1.7", version = "1.7.1" }\n'
        '[[rig]]\nname = "right"\nkey = "nitrokey3-mini"\ndriver = "virtual"\n'
    )
    with served(cli, "--bench", "twins.toml") as (process, base):
        ports = [int(re.search(r"TCP 127\.0\.0\.1:(\d+)", line)[1]) for line in process.told[:2]]
        told = []
        for port in ports:
            with device_on(port) as nk3:
                told.append((str(nk3.admin.version()), nk3.uuid()))
        assert [version for version, _ in told] == ["v1.7.1", "v1.8.3"]
        assert told[0][1] != told[1][1], "two keys"
        rig, asked = Controller(base, 1), []

        def on_keepalive(status):
            if status == 2 and not asked:
                asked.append(status)
                rig.touch()

        frames = connected(ports[0])
        Ctap2(key_on(frames)).reset(on_keepalive=on_keepalive)
        assert asked == [2]
        frames.close()
        rig.remove()
        with pytest.raises(ConnectionRefusedError):
            Frames(ports[0])
        rig.insert()
        with device_on(ports[0]) as nk3:
            assert nk3.uuid() == told[0][1]


def test_power_is_on_before_the_key_has_booted_and_no_port_is_taken_from_its_client(cli):
    """A program that drives a Pico rig waits five seconds for the answer, however long the key boots."""
    port = free_port()
    (cli.cwd / "slow.toml").write_text(
        '[[rig]]\nname = "slow"\nkey = "nitrokey3-mini"\ndriver = "emulator"\ntransport = "ctaphid-udp"\n'
        f'port = {free_port()}\nanswer_port = {port}\nready_s = 60\ncommand = ["sleep", "120"]\n'
    )
    with (
        served(cli, "--bench", "slow.toml") as (process, base),
        socket.socket(type=socket.SOCK_DGRAM) as mine,
    ):
        mine.bind(("127.0.0.1", port))
        assert answered(f"{base}/usb1/power/off")[1]["power"] == "off"
        assert answered(f"{base}/usb1/power/on")[1]["power"] == "on"
        assert f"answered to port {port}" in process.told[0]
        assert not any(line.startswith("python-fido2") for line in process.told), "it finds keys on USB only"


def test_a_namespace_into_which_nobody_sees_is_refused(cli):
    (cli.cwd / "hidden.toml").write_text(
        '[[rig]]\nname = "hidden"\nkey = "nitrokey3-mini"\ndriver = "emulator"\ntransport = "ctaphid-tcp"\n'
        'isolation = "namespace"\ncommand = ["sleep", "120"]\n'
    )
    done = cli("serve", "--bench", "hidden.toml")
    assert done.returncode == 4
    assert 'rig "hidden" · isolation' in done.stderr


def test_a_request_that_drips_in_is_cut_off():
    """Each byte in time, and the whole of it never."""
    server = PicoServer(0, {}, io.StringIO(), request_limit_s=0.3)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as link:
            link.sendall(b"GET / HTTP/1.1\r\nHost: ")
            for _ in range(30):
                if select.select([link], [], [], 0.1)[0]:
                    break
                link.sendall(b"x")
            else:
                pytest.fail("it may drip for ever")
            assert link.recv(10) == b""
    finally:
        server.shutdown()
        server.server_close()
