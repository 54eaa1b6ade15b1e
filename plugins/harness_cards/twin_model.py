"""The model of a simulated card: what all of them have, whichever application is on them.

The chip of no card is documented. Each has one flash with a littlefs on it, and starts its application when it gets
power.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.api import (
    Board,
    CallerError,
    CardFirmware,
    HexTracer,
    Panic,
    Part,
    Plain,
    Store,
    StoreDamaged,
    TwinOptions,
    age,
    one_of,
)

SECURE_ELEMENT = Part("secure element", 512, 240, 4, 120, 2_500, 500_000)
"""120 KiB in pages of 512 bytes. Its figures are those of flash on secure elements in general, not of one chip."""
_GEOMETRY = {"block_size": 512, "read_size": 4, "cache_size": 512, "lookahead_size": 32}
SMALL_PAGES = "this chip's pages are as small as its blocks"


class CardModel:
    """A base of twin models (harness.twin.model.TwinModel) of cards: no flash layer to choose, names that are checked.

    :ivar title: "the Nitrokey HSM 2 twin", for errors. :ivar one_layer: why there is no choice of flash layers.
    """

    title: str
    one_layer: str = SMALL_PAGES

    def tracer(self) -> HexTracer:
        return HexTracer()

    def layer(self, options: TwinOptions) -> str:
        """The only flash layer.

        :raises CallerError: the options ask for another one.
        """
        if options.layer not in (None, Plain.name):
            raise CallerError(
                f'flash layer "{options.layer}" of {self.title}',
                found=options.layer,
                expected=Plain.name,
                mend=f"leave it out: {self.one_layer}",
            )
        return Plain.name

    def check(
        self, options: TwinOptions, personalities: Mapping[str, object], defects: Mapping[str, object]
    ) -> None:
        """Check every name in the options.

        :raises CallerError: a layer, personality or defect that this card does not have.
        """
        self.layer(options)
        self._among("personality", options.personality, personalities)
        for defect in options.defects:
            self._among("defect", defect, defects)

    def _among(self, what: str, name: str, known: Mapping[str, object]) -> None:
        if name not in known:
            raise CallerError(
                f'{what} "{name}" of {self.title}',
                found=name,
                expected=one_of(name, list(known)),
                mend="name one of these",
            )


def store_of(board: Board, chip: str, *, prog_size: int = 256) -> Store:
    """The file system of a card, not mounted yet. :param prog_size: smallest number of bytes that it programs."""
    return Store(Plain(board.flash[chip]), board.rail, prog_size=prog_size, **_GEOMETRY)


def formatted(board: Board, store: Store) -> Store:
    """Give a new card power and an empty file system, which is mounted then."""
    board.rail.restore_for_boot()
    store.format()
    store.mount()
    return store


def started(board: Board, store: Store, start_us: int, firmware: Callable[[], CardFirmware]) -> CardFirmware:
    """Boot: wait until the chip has started, mount, start the firmware.

    :param store: not mounted yet. :param firmware: makes the firmware on the mounted store.
    :raises PowerLost: the power failed meanwhile.
    :raises Panic: there is no file system, or `firmware` finds what it keeps damaged.
    """
    board.clock.wait_us(start_us)
    board.rail.check()
    try:
        store.mount()
        return firmware()
    except StoreDamaged:
        raise Panic from None


def aged(
    board: Board, chip: str, bits: int, count: Callable[[Store], Mapping[str, int]], *, prog_size: int = 256
) -> dict[str, int]:
    """Age the file system of a card, and what its application counts; the board is off afterwards.

    :param bits: the counters are set just below 2 ** bits.
    :param count: sets what the application counts, on the mounted store; returns it by name.
    """
    board.power_off()
    board.rail.restore_for_boot()
    store = store_of(board, chip, prog_size=prog_size)
    store.mount()
    counted = dict(count(store))
    board.power_off()
    age(Plain(board.flash[chip]), bits)
    return counted
