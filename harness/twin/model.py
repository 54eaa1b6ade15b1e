"""How a plugin offers a simulated key: a model, its personalities and the defects that can be seeded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal, Protocol, runtime_checkable

from harness.base.seeds import child
from harness.twin.board import Board
from harness.twin.usb_device.function import UsbFunction


class Tracer(Protocol):
    """Decodes packets into lines of text; remembers the earlier packets of a message."""

    def packet(self, endpoint: str, to_host: bool, data: bytes) -> list[str]:
        """The lines for one packet; empty while its message is incomplete."""


@dataclass(frozen=True)
class TwinOptions:
    """The `twin` options of a rig in a bench file."""

    personality: str = "reference"
    layer: str | None = None
    """A flash layer's name; None is the personality's own."""
    profile: str = "nor-torn"
    defects: tuple[str, ...] = ()
    version: str | None = None
    """The firmware version to start from; None is the personality's own."""
    fill: float = 0.0
    """How full the home state is: 0 is canaries only, 1 is full."""
    uuid: bytes | None = None
    """16 bytes by which this key differs from others of its kind; None: the seed decides."""


def uuid_of(root: bytes, name: str) -> bytes:
    """The UUID of the twin with this name: another name, another key.

    :param root: the seed of the key's board.
    """
    return child(root, "uuid", name)[:16]


@runtime_checkable
class AgesTwin(Protocol):
    """A model whose keys can be aged: see `harness.twin.aging`."""

    def age(self, board: Board, options: TwinOptions, bits: int) -> dict[str, int]:
        """Set what a key without power counts to just below 2 ** bits; the board is off afterwards.

        :returns: what the applications count, by name ("sign counter"), as it is now.
        """


@runtime_checkable
class WritesInPairs(Protocol):
    """A model that says on which chips two pages or records stand for each other: a journal, two copies of settings.

    Second cuts are enumerated there (`harness.campaign.nested`).
    """

    def pairs(self, options: TwinOptions) -> Collection[str]:
        """The names of those chips."""


@runtime_checkable
class HasCode(Protocol):
    """A model that says in which modules the firmware of its key is written.

    `keyharness prove --random` changes them, one place at a time (`harness.mutants`).
    """

    def code(self) -> Sequence[str]:
        """The dotted names of the modules, without those that only make the key, or only seed defects."""


def modules_in(package: str, without: Collection[str] = ()) -> list[str]:
    """The dotted names of a package's modules, sorted.

    :param without: the last parts of the names that are left out.
    """
    found = import_module(package)
    names = sorted(one.name for one in iter_modules(found.__path__))
    return [f"{package}.{name}" for name in names if name not in without]


@dataclass(frozen=True)
class Defect:
    """A real bug that can be seeded into a twin.

    :param source: the public report or source that documents it.
    :param layer: the flash layer that it needs; None for any.
    :param application: the application that has it; None if it is below the applications.
    :param personality: the personality that shows it; None is the first sound one.
    :param home: the home from which it shows; None: also from the fresh one.
    :param next_action: the owner's action after which it shows; None: it needs none.
    """

    name: str
    title: str
    source: str
    layer: str | None = None
    application: str | None = None
    personality: str | None = None
    home: str | None = None
    next_action: str | None = None


Shape = Literal["packets", "apdus", "bytes", "reports"]
"""What goes through an endpoint; `harness.twin.endpoints` lists the methods of each."""


@dataclass(frozen=True)
class Offered:
    """An endpoint of a simulated key.

    :param faces: the faces of the key that show it.
    :param atr: the answer to reset, of a card.
    :param usb: how it shows on USB (`keyharness twin --usbredir`). None: a card is a CCID reader, a stream of bytes a
        serial port, and reports are not shown: only the key knows their descriptor.
    """

    shape: Shape
    faces: tuple[str, ...] = ("application",)
    atr: bytes = b""
    usb: UsbFunction | None = None


class TwinModel(Protocol):
    """A simulated key."""

    @property
    def personalities(self) -> Mapping[str, str]:
        """Name -> firmware version string, e.g. {"reference": "v1.8.3"}."""

    @property
    def sound(self) -> Sequence[str]:
        """The personalities that must pass everything; defects are seeded into the first."""

    @property
    def defects(self) -> Mapping[str, Defect]:
        """Name -> defect that can be seeded."""

    @property
    def endpoints(self) -> Mapping[str, Offered]:
        """Name -> endpoint, for all faces: "ctaphid", "card", "serial", "hid-feature", or names of your own."""

    def tracer(self) -> Tracer:
        """A new decoder of the key's messages, for `keyharness twin --trace`."""

    def layer(self, options: TwinOptions) -> str:
        """The name of the flash layer that these options select."""

    def build(self, options: TwinOptions, seed: bytes) -> Board:
        """A board as it leaves the factory: formatted, provisioned, without power.

        :raises CallerError: a personality, layer or defect that does not exist.
        """
