"""Let python-fido2 keep what it looks up anew for every message: hints and fields of a class, the encoder of a type.

python-fido2 2.x calls `typing.get_type_hints` and `dataclasses.fields` for each answer. The first compiles and
evaluates every annotation again, the second is called for each field of each field. Neither result changes
during the life of a class. What is relied upon: the modules in `LOOKED_UP` call the two functions by their
own global names, pass them a class or an instance and nothing else, and only read the result.

Its CBOR encoder asks one type after the other whether a value is of it, the last ones through `typing`, which is slow.
The plain types of Python are put before them, each with the function that it would come to.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from typing import Any

READS_ANSWERS = True
"""For `harness_transports.answers`."""

LOOKED_UP = (
    ("fido2.utils", "get_type_hints"),
    ("fido2.utils", "fields"),
    ("fido2.ctap2.base", "fields"),
)
"""(module, global name) of each look-up that is kept."""


@cache
def _hints(owner: type) -> dict[str, Any]:
    return typing.get_type_hints(owner)


@cache
def _fields(owner: type) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(owner)


def _kept_hints(owner: Any, *more: Any, **named: Any) -> dict[str, Any]:
    if more or named or not isinstance(owner, type):
        return typing.get_type_hints(owner, *more, **named)
    return _hints(owner)


def _kept_fields(owner: Any) -> tuple[dataclasses.Field[Any], ...]:
    return _fields(owner if isinstance(owner, type) else type(owner))


_KEPT: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "get_type_hints": (typing.get_type_hints, _kept_hints),
    "fields": (dataclasses.fields, _kept_fields),
}
"""Global name -> the function that stands there, and the one that keeps its results."""


def keep_lookups(looked_up: Iterable[tuple[str, str]] = LOOKED_UP) -> list[str]:
    """Exchange the functions in this process; nothing on disk changes.

    A module or name that is missing, or a name that stands for another function, is left alone: another version
    of python-fido2 works as it is made, only not faster.

    :returns: the names that are kept now, as "module.name".
    """
    _put_plain_types_first()
    kept = []
    for where, name in looked_up:
        try:
            module = import_module(where)
        except ModuleNotFoundError:
            continue
        original, keeping = _KEPT[name]
        if getattr(module, name, None) is original:
            setattr(module, name, keeping)
        if getattr(module, name, None) is keeping:
            kept.append(f"{where}.{name}")
    return kept


_PLAIN = (bool, int, str, bytes, dict, list)
"""Types of nearly all values of a message; a bool is an int, too, so it comes first."""
_ENCODERS = ("fido2.cbor", "_SERIALIZERS")
"""(module, global name) of the list of (type, encoder)."""


def _put_plain_types_first() -> None:
    """Prepend to python-fido2's list of (type, encoder) what the list leads to for each plain type."""
    where, name = _ENCODERS
    try:
        module = import_module(where)
        listed = list(getattr(module, name))
        encoders = [next(encode for kind, encode in listed if issubclass(plain, kind)) for plain in _PLAIN]
    except (ModuleNotFoundError, AttributeError, TypeError, ValueError, StopIteration):
        return
    first = list(zip(_PLAIN, encoders))
    if listed[: len(first)] != first:
        setattr(module, name, [*first, *listed])
