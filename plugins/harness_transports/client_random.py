"""The randomness of the client library, handed in.

python-fido2 takes nonces and initialisation vectors from os.urandom and key-agreement keys from the
cryptography package. On twins both come from a named stream, so that a run is the same byte for byte. Where
no stream is set (a rig with real hardware in the same process) the real sources are used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from harness.api import Stream

READS_ANSWERS = True
"""For `harness_transports.answers`: what the library calls here decodes nothing and cannot fail."""

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_current: Stream | None = None


class ModuleProxy(ModuleType):
    """Stands in for a module that a client module imported, with one function exchanged."""

    def __init__(self, module: ModuleType, **exchanged: Any):
        super().__init__(module.__name__)
        self.__dict__.update(module.__dict__)
        self.__dict__.update(exchanged)


def _urandom(count: int) -> bytes:
    return os.urandom(count) if _current is None else _current.bytes(count)


def _generate_private_key(curve: ec.EllipticCurve, backend: Any = None) -> ec.EllipticCurvePrivateKey:
    if _current is None:
        return ec.generate_private_key(curve)
    scalar = int.from_bytes(_current.bytes(40), "big") % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(scalar, curve)


def install() -> None:
    """Exchange the sources in python-fido2; does nothing the second time."""
    from importlib import import_module

    pin: Any = import_module("fido2.ctap2.pin")
    hid: Any = import_module("fido2.hid")

    if not isinstance(hid.os, ModuleProxy):
        hid.os = ModuleProxy(os, urandom=_urandom)
        pin.os = ModuleProxy(os, urandom=_urandom)
        pin.ec = ModuleProxy(ec, generate_private_key=_generate_private_key)


@contextmanager
def client_random(stream: Stream) -> Iterator[None]:
    """While entered, the client's randomness comes from `stream`."""
    global _current
    install()
    before, _current = _current, stream
    try:
        yield
    finally:
        _current = before
