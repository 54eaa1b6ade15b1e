"""A tiny authenticator as a process, with faults on demand: what a firmware's PC build may do to a harness.

    python tiny.py --state DIR --udp LISTEN:ANSWER | --tcp PORT [--fault NAME] [--note FILE]

CTAP 2.0 without PIN; discoverable credentials unless --no-rk. Each state file is replaced as a whole.
Nothing is imported that takes long: a campaign starts it hundreds of times. Faults:

    exit, crash, hang      in a registration for the relying party of the operation under test
    later-crash, later-exit  the same, from the 6th such registration on (counted in --note)
    exit-when-dirty        at a start after a registration that was cut: it never comes back
    hang-when-dirty        it starts then, and answers nothing but INIT
    forget-when-dirty      it starts then with a new master key: credentials are gone
    forget-at-the-second   the same, but only at every second such start
    garbage-when-dirty     it starts then, and what it says of credentials is cut short
    flood-when-dirty       it starts then, and answers an assertion with keepalives without an end
    count-back-when-dirty  it starts then with its counter at 0
    count-back-at-enrolment  a user who is enrolled again sets the counter to 0
    unlucky-counter        the counter lives in RAM
    volatile               everything is forgotten at every start
    lazy                   a discoverable credential is written a second after it was acknowledged
    soon                   it is written 150 ms after it was acknowledged, whether or not a packet comes meanwhile
    lazy-reset             so is a reset
    both, neither          enrolling a user anew: the old credential is removed long after, or long before,
                           the new one is written
    elsewhere              state is kept in the folder of --note
    never-ready            it opens no port
    exit-at-start
    reboot                 exits with 100 after the registration, as a reboot does
    garbage, garbage-make, garbage-init
                           answers getInfo, every registration, or CTAPHID_INIT with bytes that mean nothing
    restless               a file is written every millisecond, without an end
    dated                  a registration writes the time in seconds, and nothing random
    drawn                  nor does this: the first two of that party write the same, later ones a number each (--note)
    forked                 a process in a session of its own writes that file
    half-made              the first boot begins to make its files and never gets ready; later ones refuse to register
    hang-make, exit-make   hangs or exits in every registration, from the first one on
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

import minicbor as cbor
import p256

NEW_RP = "new.keyharness.example"
AAGUID = bytes.fromhex("00112233445566778899aabbccddeeff")
NO_CREDENTIALS, UNSUPPORTED, NOT_ALLOWED = 0x2E, 0x01, 0x30


class Refused(Exception):
    pass


class Flash:
    """Two files, each replaced as a whole."""

    def __init__(self, folder: str):
        self.folder = folder

    def read(self, name: str) -> dict | None:
        try:
            with open(f"{self.folder}/{name}") as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    def write(self, name: str, value: dict) -> None:
        # There whole or not at all.
        with open(f"{self.folder}/.{name}", "w") as file:
            json.dump(value, file)
        os.replace(f"{self.folder}/.{name}", f"{self.folder}/{name}")

    def remove(self, name: str) -> None:
        if os.path.exists(f"{self.folder}/{name}"):
            os.remove(f"{self.folder}/{name}")


class Tiny:
    def __init__(self, flash: Flash, fault: str, note: str | None):
        self.flash, self.fault, self.note = flash, fault, note
        if fault == "volatile":
            for name in ("master", "counter", "dirty", "rk"):
                flash.remove(name)
        dirty = flash.read("dirty") is not None
        if fault == "exit-at-start" or (fault == "exit-when-dirty" and dirty):
            sys.stdout.write("I do not feel well\n")
            sys.stdout.flush()
            os._exit(3)
        self.mute = fault == "hang-when-dirty" and dirty
        self.short = fault == "garbage-when-dirty" and dirty
        self.floods = fault == "flood-when-dirty" and dirty
        if fault == "forget-when-dirty" and dirty:
            flash.remove("master")
        if fault == "count-back-when-dirty" and dirty:
            flash.remove("counter")
        if fault == "forget-at-the-second" and dirty:
            if flash.read("scar") is None:
                flash.write("scar", {})
            else:
                flash.remove("scar")
                flash.remove("master")
        if flash.read("master") is None:
            flash.write("master", {"key": os.urandom(32).hex()})
        self.pending: list[tuple[str, dict]] = []
        self.later: list = []
        """(when, what is to be done then)"""
        self.request = b""
        self.rk = True
        self.counter = (flash.read("counter") or {"n": 0})["n"]
        flash.remove("dirty")

    @property
    def master(self) -> bytes:
        return bytes.fromhex(self.flash.read("master")["key"])

    def count(self) -> int:
        self.counter += 1
        if self.fault != "unlucky-counter":
            self.flash.write("counter", {"n": self.counter})
        return self.counter

    def key(self, rp: str, ident: bytes) -> int:
        seed = hashlib.sha256(self.master + rp.encode() + ident[:16]).digest()
        return int.from_bytes(seed, "big") % (p256.N - 1) + 1

    def tag(self, rp: str, ident: bytes) -> bytes:
        return hashlib.sha256(b"tag" + self.master + rp.encode() + ident[:16]).digest()[:16]

    def obey(self, data: bytes) -> bytes:
        self.tick()
        if self.mute:
            time.sleep(3600)
        command, body = data[0], cbor.decode(data[1:]) if len(data) > 1 else {}
        try:
            answer = {1: self.make, 2: self.get, 4: self.info, 7: self.reset, 8: self.more}.get(
                command, self.unknown
            )(body)
        except Refused as refusal:
            return bytes([refusal.args[0]])
        return b"\0" + (cbor.encode(answer) if answer is not None else b"")

    def unknown(self, body: dict) -> None:
        raise Refused(UNSUPPORTED)

    def info(self, body: dict) -> dict:
        if self.fault.endswith("-info"):
            os._exit(7) if self.fault == "exit-info" else os.kill(os.getpid(), 11)
        if self.fault == "garbage":
            return {1: 7, 3: b"short", 4: []}
        options = {"rk": self.rk, "up": True, "plat": False}
        return {1: ["FIDO_2_0"], 3: AAGUID, 4: options, 5: 1200, 14: 7}

    def data(self, rp: str, flags: int, count: int) -> bytes:
        return hashlib.sha256(rp.encode()).digest() + struct.pack(">BI", flags, count)

    def make(self, body: dict) -> dict:
        rp = body[2]["id"]
        if self.fault == "half-made":
            raise Refused(NOT_ALLOWED)
        if self.fault == "garbage-make":
            return {1: "none", 2: b"short", 3: {}}
        if rp == NEW_RP or self.fault.endswith("-make"):
            self.misbehave()
        self.flash.write("dirty", self.drawn(rp))
        time.sleep(0.06 if rp == NEW_RP else 0)
        ident = self.random()
        ident += self.tag(rp, ident)
        x, y = p256.times(self.key(rp, ident))
        cose = {1: 2, 3: -7, -1: 1, -2: x.to_bytes(32, "big"), -3: y.to_bytes(32, "big")}
        data = self.data(rp, 0x41, self.count())
        data += AAGUID + struct.pack(">H", len(ident)) + ident + cbor.encode(cose)
        if body.get(7, {}).get("rk"):
            self.store(rp, body[3]["id"].hex(), ident.hex())
        self.flash.remove("dirty")
        return {1: "none", 2: data, 3: {}}

    def random(self) -> bytes:
        if self.fault in ("dated", "drawn"):
            return hashlib.sha256(b"%d" % self.counter).digest()[:16]
        return os.urandom(16)

    def drawn(self, rp: str) -> dict:
        """What a registration writes besides."""
        if self.fault == "dated":
            return {"at": int(time.time())}
        if self.fault != "drawn" or rp != NEW_RP:
            return {}
        with open(self.note, "a") as file:
            file.write("x")
        return {"n": os.stat(self.note).st_size} if os.stat(self.note).st_size > 2 else {}

    def stored(self) -> list[dict]:
        return (self.flash.read("rk") or {"all": []})["all"]

    def store(self, rp: str, user: str, ident: str) -> None:
        if self.fault == "count-back-at-enrolment" and any(one["user"] == user for one in self.stored()):
            self.flash.remove("counter")
            self.counter = 0
        rest = [one for one in self.stored() if (one["rp"], one["user"]) != (rp, user)]
        whole = [*rest, {"rp": rp, "user": user, "id": ident}]
        steps = {"both": [[*self.stored(), whole[-1]], whole], "neither": [rest, whole]}
        for step in steps.get(self.fault, [whole]):
            if self.fault == "lazy" and rp == NEW_RP:
                self.later.append((time.monotonic() + 1, lambda: self.flash.write("rk", {"all": whole})))
            elif self.fault == "soon" and rp == NEW_RP:
                signal.signal(signal.SIGALRM, lambda *_: self.flash.write("rk", {"all": whole}))
                signal.setitimer(signal.ITIMER_REAL, 0.15)
            else:
                self.flash.write("rk", {"all": step})
                time.sleep(0.06 if self.fault in steps and rp == NEW_RP else 0)

    def misbehave(self) -> None:
        fault = self.fault
        if fault.startswith("later-"):
            with open(self.note, "a") as file:
                file.write("x")
            fault = fault.removeprefix("later-") if os.stat(self.note).st_size > 5 else ""
        time.sleep(0.02)
        fault = fault.removesuffix("-make")
        if fault == "exit":
            os._exit(7)
        if fault == "crash":
            os.kill(os.getpid(), 11)
        if fault == "hang":
            time.sleep(3600)

    def get(self, body: dict) -> dict:
        rp, self.request = body[1], body[2]
        if 3 in body:
            found = [{"id": one["id"].hex()} for one in body[3]]
        else:
            found = [one for one in self.stored() if one["rp"] == rp][::-1]
        good = [one for one in found if self.made(rp, bytes.fromhex(one["id"]))]
        if not good:
            raise Refused(NO_CREDENTIALS)
        if not body.get(5, {}).get("up", True):
            return {1: {"type": "public-key", "id": b""}, 2: self.data(rp, 0, 0), 3: b""}
        self.pending = [(rp, one) for one in good]
        answer = self.more({})
        if 3 not in body and len(good) > 1:
            answer[5] = len(good)
        return answer

    def made(self, rp: str, ident: bytes) -> bool:
        return ident[16:] == self.tag(rp, ident)

    def more(self, body: dict) -> dict:
        if not self.pending:
            raise Refused(NOT_ALLOWED)
        rp, one = self.pending.pop(0)
        ident = bytes.fromhex(one["id"])
        data = self.data(rp, 1, self.count())
        signature = p256.sign(self.key(rp, ident), data + self.request)
        answer = {1: {"type": "public-key", "id": ident}, 2: data[:20] if self.short else data, 3: signature}
        if "user" in one:
            answer[4] = {"id": bytes.fromhex(one["user"])}
        return answer

    def tick(self) -> None:
        """Do what was put off."""
        for due, do in self.later[:]:
            if time.monotonic() >= due:
                self.later.remove((due, do))
                do()

    def reset(self, body: dict) -> None:
        if self.fault == "lazy-reset":
            self.later.append((time.monotonic() + 1, self.forget))
        else:
            self.forget()

    def forget(self) -> None:
        self.flash.remove("rk")
        self.flash.write("master", {"key": os.urandom(32).hex()})
        self.counter = 0
        self.flash.remove("counter")


class Hid:
    """CTAPHID framing."""

    def __init__(self, tiny: Tiny):
        self.tiny = tiny
        self.channels = 1
        self.parts: dict[bytes, tuple[int, int, bytes]] = {}

    def packets(self, packet: bytes) -> list[bytes]:
        channel, rest = packet[:4], packet[4:]
        if rest[0] & 0x80:
            command, size, data = rest[0], int.from_bytes(rest[1:3], "big"), rest[3:]
        else:
            command, size, data = self.parts.get(channel, (0, 0, b""))
            data += rest[1:]
        if len(data) < size:
            self.parts[channel] = (command, size, data)
            return []
        return self.answer(channel, command, data[:size])

    def answer(self, channel: bytes, command: int, data: bytes) -> list[bytes]:
        if command == 0x86:
            self.channels += 1
            data += struct.pack(">IBBBBB", self.channels, 2, 1, 2, 3, 0x04)
            if self.tiny.fault == "garbage-init":
                data = data[:10]
        elif command == 0x90 and data[0] == 2 and self.tiny.floods:
            return [(channel + b"\xbb\0\1\1").ljust(64, b"\0")] * 5000
        elif command == 0x90:
            data = self.tiny.obey(data)
        elif command != 0x81:
            command, data = 0xBF, b"\x01"
        head = channel + bytes([command]) + len(data).to_bytes(2, "big")
        frames, rest, number = [head + data[:57]], data[57:], 0
        while rest:
            frames.append(channel + bytes([number]) + rest[:59])
            rest, number = rest[59:], number + 1
        return [frame.ljust(64, b"\0") for frame in frames]


def serve_udp(hid: Hid, listen: int, answer: int) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", listen))
    while True:
        for packet in hid.packets(sock.recv(64)):
            sock.sendto(packet, ("127.0.0.1", answer))


def serve_tcp(hid: Hid, port: int) -> None:
    server = socket.create_server(("127.0.0.1", port))
    client, _ = server.accept()
    stream = client.makefile("rb")
    while head := stream.read(2):
        before = hid.tiny.counter
        for packet in hid.packets(stream.read(int.from_bytes(head, "big"))):
            client.sendall(len(packet).to_bytes(2, "big") + packet)
        if hid.tiny.fault == "reboot" and (before, hid.tiny.counter) == (2, 3):
            os._exit(100)


def tick(folder: str) -> None:
    for number in itertools.count():
        with open(f"{folder}/ticks", "w") as file:
            file.write(str(number))
        time.sleep(0.001)


def main() -> None:
    words, rk = sys.argv[1:], "--no-rk" not in sys.argv
    if not rk:
        words.remove("--no-rk")
    chosen = dict(zip(words[::2], words[1::2]))
    fault, note = chosen.get("--fault", ""), chosen.get("--note")
    if fault == "never-ready":
        select.select([], [], [])
    folder = note if fault == "elsewhere" else chosen["--state"]
    if fault == "half-made" and not os.path.exists(f"{folder}/half"):
        # Its first boot makes what it needs, and is not done in time.
        open(f"{folder}/half", "w").close()
        select.select([], [], [])
    if fault == "forked" and os.fork() == 0:
        os.setsid()
        tick(folder)
    if fault == "restless":
        threading.Thread(target=tick, args=[folder], daemon=True).start()
    hid = Hid(Tiny(Flash(folder), fault, note))
    hid.tiny.rk = rk
    if "--udp" in chosen:
        serve_udp(hid, *map(int, chosen["--udp"].split(":")))
    else:
        serve_tcp(hid, int(chosen["--tcp"]))


if __name__ == "__main__":
    main()
