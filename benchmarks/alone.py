"""The client alone: one look at a key, answered from a list of the packets that the twin once sent.

Framing, CBOR, key agreement and the verification of every signature are done as always; firmware, flash and
file system are not there. No campaign that uses this client can be faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

from harness.base.clock import VirtualClock
from harness.base.errors import HarnessFault
from harness.model.key import Key
from harness.model.rig import Rig
from harness.model.rig_parts import PowerSwitch, RigInfo, Touch
from harness.model.tap import Tap
from harness.model.transport import BusIdentity, Transports
from harness_transports.endpoints import Packets

Packet = tuple[str, bytes]
"""("to key" or "to host", 64 bytes)."""


class Recorded:
    """Passes packets on and keeps them."""

    def __init__(self, inner: Packets, packets: list[Packet]):
        self._inner, self._packets = inner, packets

    def send(self, data: bytes) -> None:
        self._packets.append(("to key", bytes(data)))
        self._inner.send(data)

    def receive(self) -> bytes:
        data = self._inner.receive()
        self._packets.append(("to host", bytes(data)))
        return data

    def close(self) -> None:
        self._inner.close()


class Answering:
    """Answers as it was recorded; says so if it is asked anything else."""

    def __init__(self, packets: Iterator[Packet]):
        self._packets = packets

    def send(self, data: bytes) -> None:
        if next(self._packets) != ("to key", bytes(data)):
            raise HarnessFault("the client sends other packets than when they were recorded")

    def receive(self) -> bytes:
        where, data = next(self._packets)
        if where != "to host":
            raise HarnessFault("the client reads where it sent something when that was recorded")
        return data

    def close(self) -> None:
        """Nothing is open."""


class _OfKey(Transports):
    """Transports that say that they belong to a key of this model."""

    def identity(self) -> BusIdentity:
        face = self._rig.key.faces[0]
        return BusIdentity("benchmark", face.vendor_id, face.product_id, face.product)


class Recorder(_OfKey):
    """The transports of a twin, recorded."""

    def __init__(self, rig: Rig, packets: list[Packet]):
        super().__init__(rig)
        self._inner, self._packets = rig.transports, packets

    def endpoint(self, name: str) -> object:
        inner = self._inner.endpoint(name)
        assert isinstance(inner, Packets)
        return Recorded(inner, self._packets)


class _Answers(_OfKey):
    def __init__(self, rig: Rig, packets: Iterator[Packet]):
        super().__init__(rig)
        self._packets = packets

    def endpoint(self, name: str) -> object:
        return Answering(self._packets)


class _Switch(PowerSwitch):
    is_on = True

    def on(self) -> None:
        """There is nothing to power."""

    def off(self) -> None:
        """There is nothing to power."""


class _Finger(Touch):
    def pressing(self, *, delay_us: int = 200_000) -> AbstractContextManager[None]:
        return nullcontext()


class ListRig(Rig):
    """A rig with nothing in it but a list of packets."""

    evidence_kind = "twin"
    expendable = True

    def __init__(self, name: str, key: Key, seed: int, packets: list[Packet]):
        self.name, self.key, self.seed = name, key, seed
        self.clock, self.power, self.touch = VirtualClock(), _Switch(), _Finger()
        self.tap = Tap(self.clock)
        self.transports = _Answers(self, iter(packets))

    def info(self) -> RigInfo:
        return RigInfo(self.name, self.key.name, self.key.title, "none", None, "a list", True)

    def fingerprint(self) -> str:
        return "none"

    def wait_until_up(self) -> None:
        """It is up."""
