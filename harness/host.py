"""The machine that rigs hang on: its device tree, its device nodes and its events.

Drivers ask for these here and nowhere else, so that a laboratory can be put in their place: KEYHARNESS_HOST
names a function ("package.module:function") that returns a Host of another kind.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.errors import CallerError

VARIABLE = "KEYHARNESS_HOST"


class Host:
    """This machine, as the kernel shows it below a root folder.

    :ivar root: the folder that holds sys/, proc/ and dev/.
    """

    def __init__(self, root: Path = Path("/")):
        self.root = root

    @property
    def sys(self) -> Path:
        return self.root / "sys"

    @property
    def dev(self) -> Path:
        return self.root / "dev"

    def usb_backend(self) -> Any:
        """What pyusb is to speak through; None for libusb."""
        return None

    def open_serial(self, node: Path, baud: int, limit_s: float) -> Any:
        """A serial port, shaped as pyserial's Serial; opened exclusively.

        :param limit_s: how long a read or a write may take.
        :raises OSError: it cannot be opened (serial.SerialException is one).
        """
        import serial

        return serial.Serial(str(node), baud, timeout=limit_s, write_timeout=limit_s, exclusive=True)


_here: Host | None = None


def here() -> Host:
    """The host of this process.

    :raises CallerError: KEYHARNESS_HOST names nothing that can be called.
    """
    global _here
    if _here is None:
        _here = _make(os.environ.get(VARIABLE))
    return _here


def _make(name: str | None) -> Host:
    if not name:
        return Host()
    module, _, function = name.partition(":")
    try:
        made = getattr(import_module(module), function)()
    except (ImportError, AttributeError, TypeError) as error:
        raise CallerError(
            VARIABLE, found=f"{name}: {error}", expected='"package.module:function" that makes a Host'
        ) from None
    assert isinstance(made, Host)
    return made
