"""Read images for the LPC55 (Nitrokey 3A NFC and 3C NFC). They are not run.

An image is an SB 2.1 file: a list of commands, encrypted under a key that is no secret and signed, which the chip's
ROM carries out one by one. So the order of the commands is what protects a key: a version that is checked after an
erase would be checked when the old firmware is gone (invariant U3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.api import CallerError

FLASH_SIZE = 0x93000
"""What an image may erase: the firmware's part of the flash and the page behind it (nitrokey-3-firmware b9ec0bdc)."""


@dataclass(frozen=True)
class Sb2:
    """The content of an SB 2.1 file.

    :ivar version: of the header. :ivar number: what the chip compares; None if nothing is compared.
    :ivar steps: its commands in order, in words. :ivar size: of what is loaded, in bytes.
    :ivar faults: what of it would let an older version in or cost the firmware for nothing.
    """

    version: str
    signed_by: str
    official: bool
    number: int | None
    steps: tuple[str, ...]
    size: int
    faults: tuple[str, ...]


def read(data: bytes, where: str) -> Sb2:
    """An SB 2.1 file as the vendor's SDK reads it.

    :raises CallerError: it is no SB 2.1 file.
    """
    from nitrokey.trussed._bootloader.lpc55 import KEK, RKTH
    from nitrokey.trussed._bootloader.lpc55_upload.sbfile.sb2.images import BootImageV21

    try:
        image = BootImageV21.parse(data, kek=KEK)
    except Exception as error:
        # The SDK's parsers raise whatever they meet: struct, index, assertion and errors of their own.
        raise CallerError(
            f"{where}: the image for the LPC55",
            found=f"{type(error).__name__}: {error}",
            expected="an SB 2.1 file",
        ) from None
    commands = [command for section in image.boot_sections for command in section]
    rkth = image.cert_block.rkth if image.cert_block else None
    official = rkth == RKTH
    signer = "Nitrokey" if official else "an unknown key" if rkth else "nobody"
    told = image.header.product_version
    checked = _checked(commands)
    return Sb2(
        f"{told.major}.{told.minor}.{told.service}",
        signer,
        official,
        min((number for _, number in checked), default=None),
        tuple(_step(command) for command in commands),
        sum(_size(command) for command in commands if _is(command, "CmdLoad")),
        tuple(faults_of(commands)),
    )


def _is(command: object, name: str) -> bool:
    return type(command).__name__ == name


def _number(command: object, name: str) -> int:
    """An integer attribute of a command of the SDK, whose base class names none."""
    return int(getattr(command, name))


def _size(command: object) -> int:
    """Bytes that a load command brings."""
    return len(getattr(command, "data"))  # noqa: B009


def _checked(commands: Sequence[object]) -> list[tuple[str, int]]:
    """The version checks, as (which, number)."""
    found = []
    for command in commands:
        if _is(command, "CmdVersionCheck"):
            kind = str(getattr(command, "type").name)  # noqa: B009
            found.append(("non-secure" if "NON" in kind else "secure", _number(command, "version")))
    return found


def _step(command: object) -> str:
    if _is(command, "CmdVersionCheck"):
        ((which, number),) = _checked([command])
        return f"check {which} version {number}"
    if _is(command, "CmdErase"):
        return f"erase {_number(command, 'address'):#x}..{_end(command):#x}"
    if _is(command, "CmdLoad"):
        return f"load {_size(command)} bytes at {_number(command, 'address'):#x}"
    return type(command).__name__.removeprefix("Cmd").lower()


def _end(command: object) -> int:
    """The address behind what an erase command erases."""
    return _number(command, "address") + _number(command, "length")


def faults_of(commands: Sequence[object]) -> Iterator[str]:
    """What must hold of the order and of what is checked (invariant U3)."""
    names = [type(command).__name__ for command in commands]
    firsts = [number for number, name in enumerate(names) if name in ("CmdErase", "CmdLoad", "CmdProg")]
    checks = [number for number, name in enumerate(names) if name == "CmdVersionCheck"]
    if firsts and any(number > firsts[0] for number in checks):
        yield "a version is checked after the flash was changed"
    checked = _checked(commands)
    for which in ("secure", "non-secure"):
        if which not in [name for name, _ in checked]:
            yield f"the {which} version is not checked"
    if len({number for _, number in checked}) > 1:
        yield "the two versions that are checked differ"
    for command in commands:
        if _is(command, "CmdErase") and _end(command) > FLASH_SIZE:
            yield f"it erases up to {_end(command):#x}, beyond the firmware"
