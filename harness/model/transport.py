"""Transports: how a client reaches the key on a rig.

A rig hands out raw endpoints by name: something that moves packets, APDUs, bytes or reports, and nothing more.
A transport kind says how an endpoint becomes the handle that a client library expects, with a tap on it. Kinds
are registered by the hook `keyharness_transports`; `harness_transports` brings the common ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from harness.base.errors import HarnessFault, RigError

if TYPE_CHECKING:
    from harness.model.tap import Tap

Handle = TypeVar("Handle")


class Reachable(Protocol):
    """What a transport needs of a rig: its name for messages, its tap, its endpoints."""

    name: str
    tap: Tap
    transports: Transports


@dataclass(frozen=True)
class TransportKind(Generic[Handle]):
    """One way to talk to a key.

    :param name: "ctaphid", "card"; no two kinds have the same.
    :param title: what it is, for a person.
    :param connect: (rig, raw endpoint) -> the handle that clients use, with `rig.tap` on it. May be called several
        times a boot. Raises KeyGone if the key leaves meanwhile.
    :param endpoint: the name of the raw endpoint that it is opened on; by default the kind's own name.
    :param hid_descriptor: how the report descriptor of its HID interface begins, where every device of this kind has
        the same: so a device is seen to be a key whatever its USB ids are.
    """

    name: str
    title: str
    connect: Callable[[Reachable, object], Handle]
    endpoint: str = ""
    hid_descriptor: bytes = b""

    @property
    def endpoint_name(self) -> str:
        return self.endpoint or self.name


class IdentityGuard(Protocol):
    """Proves that the key on a rig is the named one, in each enumeration anew, before a client reaches it."""

    def opened(self, connect: Callable[[Reachable], Handle]) -> Handle:
        """Prove the identity, then call `connect` and return its handle.

        While the proof asks the key, it opens handles itself: they get a tap of their own.

        :param connect: opens a handle with the tap of the rig that it is given.
        :raises RigError: another key is on the rig, or its identity cannot be proved.
        :raises KeyGone: the key is not there.
        """

    def expect_reset(self) -> None:
        """Note that the key is about to be reset, which removes the mark of a key without a serial."""

    def looked_at(self) -> None:
        """The key was observed after a cut: mark it again if a reset has removed its mark."""


@dataclass(frozen=True)
class BusIdentity:
    """What the key shows of itself on the bus.

    :ivar place: where it is: "twin:NAME", "emulator:NAME", "usb:1-1.4".
    """

    place: str
    vendor_id: int
    product_id: int
    product: str
    serial: str | None = None


class Transports(ABC):
    """The raw endpoints of the key on a rig, and the handles on them.

    :ivar guard: proves the key's identity before a handle is given out; None on rigs whose key needs no proof. Each
        command of each client goes through a handle, and no handle outlives an enumeration.
    """

    guard: IdentityGuard | None = None

    def __init__(self, rig: Reachable):
        self._rig = rig

    def open(self, kind: TransportKind[Handle]) -> Handle:
        """A new handle, tapped; it lasts for this boot.

        :raises KeyGone: the key is not there, or not in a face with that endpoint.
        :raises RigError: this rig never has that endpoint, or another key than the named one is on it.
        """

        def connect(reached: Reachable) -> Handle:
            return kind.connect(reached, self.endpoint(kind.endpoint_name))

        return connect(self._rig) if self.guard is None else self.guard.opened(connect)

    def prove(self) -> None:
        """Prove now that the key is the named one, so that the next `open` need not; the key must be up.

        :raises RigError: it is another key.
        :raises KeyGone: it is not there.
        """
        if self.guard is not None:
            self.guard.opened(lambda reached: None)

    @abstractmethod
    def endpoint(self, name: str) -> object:
        """The raw endpoint of that name; errors as `open`.

        Which methods it has depends on its name; `harness_transports.endpoints` lists those of the common kinds.
        """

    @abstractmethod
    def identity(self) -> BusIdentity:
        """What the key shows on the bus while it is up."""

    def unknown(self, name: str) -> RigError:
        """The error for an endpoint that this rig never has."""
        return RigError(
            f'rig "{self._rig.name}": no transport "{name}"',
            found="a rig that does not have it",
            expected=f"a rig with the endpoint {name}",
            mend="use a rig that reaches this side of the key",
        )


def wrong_endpoint(rig: Reachable, kind: str, endpoint: object, expected: str) -> HarnessFault:
    """The error for a driver whose endpoint does not have the methods that its name promises."""
    return HarnessFault(
        f'rig "{rig.name}": its endpoint "{kind}" cannot be used',
        found=f"an object of {type(endpoint).__module__}.{type(endpoint).__qualname__}",
        expected=expected,
        mend="repair the driver of the rig",
    )
