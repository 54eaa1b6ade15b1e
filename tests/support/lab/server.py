"""The laboratory itself: ports whose power can be switched, and a socket through which they are reached."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.host.host import standing_in
from harness.host.usb import hub_of
from support.lab import inotify
from support.lab.keys import Thing, TwinKey
from support.lab.labhost import LabHost
from support.lab.tree import Look, Shown, Tree
from support.lab.wire import SOCKET
from support.paths import TESTS, with_path

FOLDER_VARIABLE = "KEYHARNESS_LAB"


class LabPort:
    """One port of a hub.

    :ivar powered: whether its power is on.
    :ivar lies: its switch says that it switches, and does not.
    :ivar off_course: what its power does when it is switched off: (seconds later, is on?). A relay that is
        late is ((0.35, False),), one that bounces ((0, False), (0.1, True), (0.4, False)).
    :ivar misled: the port that goes off in its place.
    :ivar stale: what was on it stays in the tree until the power returns, as after a raw request to the hub.
    :ivar times_out: nobody answers for what has left it: a request to it runs out of time, as one to a busy key.
    :ivar lingers_s: what reboots there is still in the tree for so long after its connections have broken.
    :ivar offs: how often it was switched off.
    """

    def __init__(self, lab: Lab, name: str):
        self.lab, self.name = lab, name
        self.powered = True
        self.lies = self.stale = self.times_out = False
        self.lingers_s = 0.0
        self.off_course: tuple[tuple[float, bool], ...] = ((0.0, False),)
        self.misled: LabPort | None = None
        self._timers: list[threading.Timer] = []
        self.offs = 0
        self.thing: Thing | None = None
        self.shown: Shown | None = None
        self._left: Shown | None = None
        self._kept: list[socket.socket] = []

    def plug(self, thing: Thing) -> Thing:
        """Put something in."""
        assert self.thing is None, f"{self.name} is taken"
        self.thing = thing
        thing.plugged(self)
        if self.powered:
            thing.power(True)
        return thing

    def unplug(self) -> Thing:
        """Take it out; it may be put into another port."""
        thing, self.thing = self.thing, None
        assert thing is not None, f"{self.name} is empty"
        thing.close()
        self.vanish()
        return thing

    def power(self, on: bool) -> None:
        """Switch; of ports that are ganged all go."""
        self.offs += not on
        for timer in self._timers:
            timer.cancel()
        self._timers = []
        for port in self.lab.ganged.get(self.name, (self.misled or self,)):
            if on:
                port.give(True)
                continue
            for after_s, then in self.off_course:
                if after_s == 0:
                    port.give(then)
                else:
                    self._timers.append(threading.Timer(after_s, port.give, [then]))
                    self._timers[-1].start()

    def give(self, on: bool) -> None:
        """Its power comes or goes."""
        if not self.lies and self.powered != on:
            self.powered = on
            if self.thing is not None:
                self.thing.power(on)

    def appear(self, look: Look) -> None:
        """What is on it enumerates."""
        lab = self.lab
        with lab.lock:
            if self._left is not None:
                left, self._left = self._left, None
                self._hide(left)
            lab.tree.node_mode = 0o660 if lab.udev_late_s is None else 0
            self.shown = lab.tree.show(self.name, look)
            number = self.shown.number
        lab.say(self.name, f"new full-speed USB device number {number} using xhci_hcd", number)
        lab.say(
            self.name,
            f"New USB device found, idVendor={look.vendor_id:04x}, idProduct={look.product_id:04x}, "
            f"bcdDevice= {int(look.release[:2], 16)}.{look.release[2:]}",
            number,
        )
        lab.emit("add", self.shown)

    def vanish(self) -> None:
        """It leaves the bus; with a stale port only when power returns."""
        with self.lab.lock:
            shown, self.shown = self.shown, None
            if shown is None:
                return
            if self.stale:
                self._left = shown
                return
            self._hide(shown)

    def _hide(self, shown: Shown) -> None:
        self.lab.say(self.name, f"USB disconnect, device number {shown.number}", shown.number)
        self.lab.tree.hide(shown)
        for client in self._kept:
            client.close()
        self._kept.clear()
        self.lab.emit("remove", shown)

    def keep(self, client: socket.socket) -> None:
        """A connection that stays open as long as what is on the port now."""
        self._kept.append(client)

    def answers(self, number: int) -> bool:
        """What a request to that device is taken for: one that runs out of time is a busy key's."""
        there = self.shown is not None and self.powered and self.shown.number == number
        return there or (self.times_out and self._left is not None and self._left.number == number)

    @property
    def nodes(self) -> list[str]:
        shown = self.shown or self._left
        return shown.nodes if shown else []

    def fails_to_enumerate(self, error: int = -71) -> None:
        """The kernel's words for a device that does not answer while it is enumerated."""
        number = 5
        self.lab.say(self.name, f"device descriptor read/64, error {error}", number)
        hub, at = hub_of(self.name)
        self.lab.say(f"{hub}-port{at}", "unable to enumerate USB device", None)


class Lab:
    """A host with hubs and keys that are not there.

    :param folder: where its tree is made; an empty or a new one.
    """

    def __init__(self, folder: Path):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.lock = threading.RLock()
        self.tree = Tree(folder)
        self.host = LabHost(folder)
        self.ports: dict[str, LabPort] = {}
        self.ganged: dict[str, tuple[LabPort, ...]] = {}
        self.udev_late_s: float | None = None
        self.udev_has_run = False
        self._sequence = 0
        self._listeners: list[socket.socket] = []
        self._logs: list[socket.socket] = []
        self._watched: dict[int, LabPort] = {}
        self._inotify = inotify.open_watch()
        self._wake_r, self._wake_w = os.pipe()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        at = os.open(folder, os.O_PATH)
        self._server.bind(f"/proc/self/fd/{at}/{SOCKET}")
        os.close(at)
        self._server.listen(64)
        self._thread = threading.Thread(target=self._serve, name="lab", daemon=True)
        self._thread.start()

    def hub(self, name: str, ports: int = 4, *, ganged: bool = False, switchable: bool = True) -> None:
        """A hub, with those above it.

        :param switchable: each port has the kernel's `disable` file, and obeys it.
        :param ganged: its ports are switched all together.
        """
        with self.lock:
            self.tree.hub(name, ports, switchable=switchable)
        made = tuple(
            self.port(f"{name}.{n}" if "-" in name else f"{name[3:]}-{n}") for n in range(1, ports + 1)
        )
        for port in made:
            if ganged:
                self.ganged[port.name] = made
            if switchable:
                file = self.tree.port(port.name) / "disable"
                self._watched[inotify.watch_writes(self._inotify, file)] = port

    def port(self, name: str) -> LabPort:
        """A port of a hub that is there."""
        if name not in self.ports:
            self.tree.port(name)
            self.ports[name] = LabPort(self, name)
        return self.ports[name]

    def plug(self, name: str, thing: Thing) -> Thing:
        return self.port(name).plug(thing)

    @contextmanager
    def standing_in(self) -> Iterator[LabHost]:
        """While entered, it is the host of this process."""
        with standing_in(self.host):
            yield self.host

    def environment(self) -> dict[str, str]:
        """What makes it the host of a child process, and offers its drivers `lab` for power and touch there."""
        info = self.folder / "plugins" / "keyharness_lab-0.1.dist-info"
        if not info.exists():
            info.mkdir(parents=True)
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: keyharness-lab\nVersion: 0.1\n")
            (info / "entry_points.txt").write_text("[keyharness]\nlab = support.lab.plugin\n")
        return {
            "KEYHARNESS_HOST": "support.lab:host",
            FOLDER_VARIABLE: str(self.folder),
            "PYTHONPATH": with_path(info.parent, TESTS)["PYTHONPATH"],
        }

    def emit(self, action: str, shown: Shown) -> None:
        """The kernel's events for a device; udev's after them, or as late as it is said to be."""
        events = shown.events if action == "add" else shown.events[::-1]
        for subsystem, path, more in events:
            self._broadcast(self._event(action, path, subsystem, more))
        late = self.udev_late_s
        if late is None or action != "add":
            return
        nodes = [self.tree.dev / name for name in shown.nodes if name.startswith("hidraw")]

        def ruled() -> None:
            for node in nodes:
                with contextlib.suppress(FileNotFoundError):
                    node.chmod(0o660)
            self.udev_has_run = True
            for subsystem, path, more in events:
                self._broadcast(_as_udev(self._event(action, path, subsystem, more)))

        threading.Timer(late, ruled).start()

    def say(self, device: str, text: str, number: int | None) -> None:
        """A line of the kernel's log about a device."""
        with self.lock:
            self._sequence += 1
            line = (
                f"6,{self._sequence},{time.monotonic_ns() // 1000},-;usb {device}: {text}\n SUBSYSTEM=usb\n"
            )
            line += f" DEVICE=c189:{number - 1}\n" if number is not None else ""
            self._send(self._logs, line.encode())

    def _event(self, action: str, path: str, subsystem: str, more: dict[str, str]) -> bytes:
        self._sequence += 1
        values = {"ACTION": action, "DEVPATH": path, "SUBSYSTEM": subsystem, **more, "SEQNUM": self._sequence}
        pairs = "".join(f"{name}={value}\0" for name, value in values.items())
        return f"{action}@{path}\0{pairs}".encode()

    def _broadcast(self, message: bytes) -> None:
        with self.lock:
            self._send(self._listeners, message)

    def _send(self, links: list[socket.socket], message: bytes) -> None:
        for link in list(links):
            try:
                link.send(message, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError:
                links.remove(link)
                link.close()

    def close(self) -> None:
        """Everything ends; the tree stays for whoever wants to look at it."""
        for port in self.ports.values():
            for timer in port._timers:
                timer.cancel()
                timer.join(5)
            if port.thing is not None:
                port.thing.close()
        os.write(self._wake_w, b"!")
        self._thread.join(5)
        for link in (self._server, *self._listeners, *self._logs):
            link.close()
        os.close(self._inotify)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The thread that takes connections and commands.

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for source in (self._wake_r, self._server, self._inotify):
                selector.register(source, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == self._wake_r:
                        return
                    if key.fileobj is self._server:
                        self._accept(selector)
                    elif key.fd == self._inotify:
                        for wd in inotify.written(self._inotify):
                            self._obey_file(self._watched[wd])
                    elif not self._relay(key.fileobj):  # type: ignore[arg-type]
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]

    def _accept(self, selector: selectors.BaseSelector) -> None:
        link, _ = self._server.accept()
        try:
            what = link.recv(64).decode()
            # Under the lock, so that the answer comes before the first event.
            with self.lock:
                self._connect(link, what, selector)
        except OSError:
            # Whoever called has hung up again.
            link.close()

    def _connect(self, link: socket.socket, what: str, selector: selectors.BaseSelector) -> None:
        port = next((port for port in self.ports.values() if what in port.nodes), None)
        if what.startswith("card ") and (named := self.ports.get(what[5:])) and named.shown:
            port = named
        if what in ("relay", "uevents", "kmsg"):
            link.send(b"ok")
            if what == "relay":
                selector.register(link, selectors.EVENT_READ)
            else:
                (self._listeners if what == "uevents" else self._logs).append(link)
        elif port is None or port.thing is None:
            link.send(str(errno.ENODEV).encode())
            link.close()
        else:
            link.send(b"ok")
            port.thing.connected(what, link)

    def _relay(self, link: socket.socket) -> bool:
        """One command of a power or touch driver; False if it has hung up."""
        try:
            words = link.recv(256).decode().split()
            if not words:
                return False
            if words[0] == "answers":
                there = any(port.answers(int(words[2])) for port in self.ports.values())
                link.send(b"yes" if there else b"no")
                return True
            port = self.ports.get(words[1])
            answer = "no such port"
            if port is not None:
                answer = self._command(port, words[0], words[2:])
            link.send(answer.encode(), socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def _command(self, port: LabPort, word: str, more: list[str]) -> str:
        if word in ("on", "off"):
            port.power(word == "on")
        elif word == "is":
            return "on" if port.powered else "off"
        elif word == "sees":
            return "yes" if port.powered and port.thing is not None else "no"
        elif word in ("touch", "release") and isinstance(port.thing, TwinKey):
            port.thing.touch(int(more[0]) if word == "touch" else None)
        return "ok"

    def _obey_file(self, port: LabPort) -> None:
        text = (self.tree.port(port.name) / "disable").read_text().strip()
        if text in ("0", "1") and port.powered != (text == "0"):
            port.power(text == "0")


def _as_udev(message: bytes) -> bytes:
    """The same event as udev sends it on."""
    pairs = message.partition(b"\0")[2]
    header = b"libudev\0" + (0xFEEDCAFE).to_bytes(4, "big")
    for number in (40, 40, len(pairs)):
        header += number.to_bytes(4, "little")
    return header.ljust(40, b"\0") + pairs
