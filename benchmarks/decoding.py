"""One answer decoded by python-fido2: with the look-ups that we let it keep, and as it is made."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from fido2.ctap2 import Info

from benchmarks.timing import Beside, beside, seconds_each
from harness_fido2.decoding_cache import LOOKED_UP, keep_lookups

ANSWERS = 200
INFO = {
    1: ["FIDO_2_0", "FIDO_2_1", "U2F_V2"],
    2: ["credProtect", "hmac-secret"],
    3: bytes(range(16)),
    4: {"rk": True, "up": True, "plat": False, "clientPin": False, "credMgmt": True},
    5: 3072,
    6: [2, 1],
    7: 10,
    8: 255,
    9: ["usb"],
}
"""getInfo of a key as python-fido2 gets it from its CBOR decoder (CTAP 2.1, section 6.4)."""


@contextmanager
def _as_made() -> Iterator[None]:
    kept = {(where, name): getattr(import_module(where), name) for where, name in LOOKED_UP}
    originals = {"get_type_hints": typing.get_type_hints, "fields": dataclasses.fields}
    try:
        for where, name in kept:
            setattr(import_module(where), name, originals[name])
        yield
    finally:
        for (where, name), function in kept.items():
            setattr(import_module(where), name, function)


def _decode(_: int) -> None:
    Info.from_dict(INFO)


def _decoded_as_made() -> float:
    with _as_made():
        return seconds_each(_decode, range(ANSWERS))


def info(repeats: int) -> Beside:
    """Seconds to decode one getInfo."""
    keep_lookups()
    return beside(
        "decoding an answer, getInfo",
        "python-fido2 with hints and fields kept",
        lambda: seconds_each(_decode, range(ANSWERS)),
        "python-fido2 as it is made",
        _decoded_as_made,
        repeats,
    )
