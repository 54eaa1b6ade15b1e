"""The virtual machine: QEMU, its hubs with switched ports, a relay board, and keys that lose power with their ports.

    xHCI port 1   a hub that switches each port: keys on ports 1 to 7
              2   a hub that says so and does not cut the power: a key on port 8
              3   a serial adapter (FTDI) with a relay board of the LCUS kind
              4   a key whose power the relay's channel 1 switches
              5   a key whose power nothing switches

QEMU's hub leaves the device behind a port alone when the port is switched off. Its trace says what the guest's kernel
asked for, and the twin's process is then killed: its flash keeps what was stored by that instant.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.base.signals import end_with
from support.guest.channel import Channel, Done, GuestDied
from support.guest.parts import QEMU, Parts, compile_sources
from support.guest.twins import Twins
from support.limits import HUNG_S
from support.paths import ROOT

POWER = re.compile(r"usb_hub_(set|clear)_port_feature dev \d+, port (\d+), feature power")
LIAR_PORT, RELAY_PORT, PLAIN_PORT = 8, 0, 9
BEHIND = {**{port: f"1.{port}" for port in range(1, 8)}, LIAR_PORT: f"2.{LIAR_PORT}"}
PATHS = {**BEHIND, RELAY_PORT: "4", PLAIN_PORT: "5"}
"""Port, as keys name it -> where it is below the xHCI controller."""
MEMORY_MB = 1536
KERNEL_WORDS = "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off no_timer_check"
CONSOLE_LINES = 60


@dataclass(frozen=True)
class PluggedKey:
    """A key in the machine.

    :ivar port: 1 to 7, LIAR_PORT, RELAY_PORT or PLAIN_PORT.
    :ivar options: further ones of `ServeOptions`; "twin" has those of `TwinOptions`.
    """

    port: int
    key: str = "nitrokey3-mini"
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"port{self.port}"

    @property
    def seed(self) -> int:
        """Another one for each: keys of one seed have the same secrets, and one takes a credential of the other."""
        return self.port + 1

    @property
    def address(self) -> str:
        """The port's name in the guest, e.g. "1-1.2"."""
        return f"1-{PATHS[self.port]}"


class Machine:
    """A guest that runs, from construction to `close`.

    :param keys: what is plugged in; each key's flash is in a folder of its own below `folder`.
    :param accelerated: use KVM; the caller has seen that it works.
    :raises GuestDied: it did not come up.
    """

    def __init__(self, made_of: Parts, keys: list[PluggedKey], accelerated: bool = False):
        self.folder = Path(tempfile.mkdtemp(prefix="lab-"))
        self.console = self.folder / "console.log"
        self.cuts: dict[int, int] = {}
        """Port -> how often its key has lost its power."""
        self._keys = {key.port: key for key in keys}
        self._pulled: list[PluggedKey] = []
        self._live: set[int] = set()
        """Ports that have power."""
        self._is_kept = False
        self._lock = threading.Lock()
        self._twins = Twins(self.folder / "twins.log")
        compile_sources()
        self._process = subprocess.Popen(
            self._command(made_of, accelerated),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # Whatever ends this process: no machine outlives it.
            preexec_fn=partial(end_with, os.getpid(), signal.SIGKILL),
        )
        self._threads = [threading.Thread(target=self._follow_hubs, daemon=True)]
        self._threads[0].start()
        try:
            self._channel = Channel(self._dial("agent"), self._kept_words)
            self._relay = self._dial("relay")
            self._threads.append(threading.Thread(target=self._follow_relay, daemon=True))
            self._threads[-1].start()
            for port in (LIAR_PORT, RELAY_PORT, PLAIN_PORT):
                self._switch(port, on=True)
            self._channel.wait_until_ready()
        except BaseException:
            self.close()
            raise

    def _command(self, made_of: Parts, accelerated: bool) -> list[str]:
        accelerator = "kvm" if accelerated else "tcg,thread=multi,tb-size=512"
        python = ROOT / ".venv" / "bin" / "python"
        # Under load the emulated timer is late, and the kernel's check of it would end in a panic.
        words = f"{KERNEL_WORDS} lab.python={python} lab.root={ROOT}"
        command = [QEMU, "-accel", accelerator, "-M", "q35", "-cpu", "max", "-smp", "1", "-m", str(MEMORY_MB)]
        command += ["-display", "none", "-nodefaults", "-no-reboot", "-serial", f"file:{self.console}"]
        command += ["-kernel", str(made_of.kernel), "-initrd", str(made_of.initrd), "-append", words]
        command += [
            "-virtfs",
            "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap",
        ]
        command += ["-device", "virtio-rng-pci", "-device", "virtio-serial-pci", *self._chardev("agent")]
        command += ["-device", "virtserialport,chardev=agent,name=lab"]
        command += ["-device", "qemu-xhci,id=usb,p2=8,p3=8"]
        for port in (1, 2):
            command += ["-device", f"usb-hub,bus=usb.0,port={port},port-power=on,ports=8"]
        command += [*self._chardev("relay"), "-device", "usb-serial,bus=usb.0,port=3,chardev=relay"]
        for port, path in PATHS.items():
            command += [*self._chardev(f"port{port}")]
            command += ["-device", f"usb-redir,bus=usb.0,port={path},chardev=port{port}"]
        for event in ("set", "clear"):
            command += ["-trace", f"usb_hub_{event}_port_feature"]
        return command

    def _chardev(self, name: str) -> list[str]:
        return ["-chardev", f"socket,id={name},path={self.folder / name},server=on,wait=off"]

    def _dial(self, name: str) -> socket.socket:
        """Connect to a socket of QEMU, which makes it in its first moments."""
        path, limit = self.folder / name, threading.Event()
        for _ in range(HUNG_S * 20):
            sock = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                sock.connect(str(path))
                return sock
            sock.close()
            if self._process.poll() is not None:
                break
            limit.wait(0.05)
        # What it wrote at its end is in the log then.
        self._process.kill()
        self._threads[0].join()
        raise GuestDied(f"QEMU does not run: {self._kept_words()}")

    # Power

    def _follow_hubs(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            found = POWER.search(line)
            if found is None:
                with (self.folder / "qemu.log").open("a") as log:
                    log.write(line)
            elif int(found[2]) != LIAR_PORT:
                self._switch(int(found[2]), on=found[1] == "set")

    def _follow_relay(self) -> None:
        got = b""
        with contextlib.suppress(OSError):
            while data := self._relay.recv(4096):
                got += data
                # A0, channel, state, sum of the three (LCUS-1).
                while (at := got.find(b"\xa0")) >= 0 and len(got) >= at + 4:
                    _, channel, state, check = got[at : at + 4]
                    if (0xA0 + channel + state) & 0xFF == check:
                        got = got[at + 4 :]
                        if channel == 1:
                            self._switch(RELAY_PORT, on=bool(state))
                    else:
                        got = got[at + 1 :]

    def _switch(self, port: int, on: bool) -> None:
        with self._lock:
            (self._live.add if on else self._live.discard)(port)
            key = self._keys.get(port)
            if key is None:
                return
            if on:
                state, path = self.folder / f"{key.name}.state", self.folder / f"port{port}"
                options = {"key": key.key, "name": key.name, "seed": key.seed}
                options |= {"state": str(state), "usbredir": str(path)}
                self._twins.start(key.name, {**options, **key.options})
            else:
                self._twins.kill(key.name)
                self.cuts[port] = self.cuts.get(port, 0) + 1

    def change(self, port: int, **options: Any) -> None:
        """From its next start on, the key on that port has these options of `ServeOptions` too."""
        with self._lock:
            key = self._keys[port]
            self._keys[port] = replace(key, options={**key.options, **options})

    def pull(self, port: int) -> None:
        """Take the key out of that port, where it loses its power; nothing is in the port then."""
        with self._lock:
            key = self._keys.pop(port)
            self._twins.kill(key.name)
            self._pulled.append(key)

    def plug(self, port: int) -> None:
        """Put the key that was pulled last into that port, which is empty; it boots if the port has power."""
        with self._lock:
            self._keys[port] = self._pulled.pop()
            has_power = port in self._live
        if has_power:
            self._switch(port, on=True)

    # Commands

    def run(self, *argv: str, cwd: str = "/lab", write: Callable[[str], None] = lambda text: None) -> Done:
        """Run a command in the guest and wait for its end. "keyharness" and "pytest" run in a fork.

        :param write: takes its output as it comes.
        :raises GuestDied: the machine ended, or said nothing for HUNG_S seconds; it names the command. The machine's
            console is then kept.
        """
        with (self.folder / "commands.log").open("a") as log:

            def note(text: str) -> None:
                log.write(text)
                log.flush()
                write(text)

            log.write(f"lab# {' '.join(argv)}\n")
            return self._channel.run(argv, cwd, note)

    def cpu_s(self) -> float:
        """The CPU time of QEMU so far, in seconds: unlike the time of day, it says something on a busy host."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        # utime and stime, counted from the state (proc(5)).
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def last_words(self) -> str:
        """The end of what the kernel, QEMU and the keys wrote."""
        said = ""
        for path in (self.console, self.folder / "qemu.log", self.folder / "twins.log"):
            if path.exists():
                lines = path.read_text(errors="replace").splitlines()[-CONSOLE_LINES:]
                said += "\n".join(["", f"{path.name}:", *lines])
        return said

    def _kept_words(self) -> str:
        self._is_kept = True
        return f"all that it wrote is kept in {self.folder}; the end of it:{self.last_words()}"

    def close(self) -> None:
        """End the machine and its keys, and remove what they left; a machine that died leaves its logs."""
        self._process.kill()
        self._process.wait()
        self._threads[0].join()
        for name in ("_channel", "_relay"):
            if (sock := getattr(self, name, None)) is not None:
                sock.close()
        self._twins.close()
        if not self._is_kept:
            shutil.rmtree(self.folder, ignore_errors=True)
