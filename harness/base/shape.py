"""Check what a file holds before it is used: a state file or a run's folder may be damaged, or edited by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from harness.base.errors import RigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Shape = type | tuple["Shape | None", ...] | list["Shape"] | dict[str, "Shape"]
"""What a JSON value must be: a type; a tuple of shapes of which one must fit (None stands for null); a list with the
shape of each entry, or with those of all entries if it names several; a dict with the fields that must be there (a name
that ends in "?" may be missing), or with "*" for the shape of each value.
"""


class DamagedFile(RigError):
    """A file that Keyharness wrote holds something else now."""


def misfit(value: object, shape: Shape | None, place: str = "") -> str | None:
    """Return what is wrong with a value, in words with its place; None if it fits.

    A number must be finite: Python reads NaN and 1e999 as JSON. An integer fits where a float is asked for; true and
    false fit only bool.
    """
    if isinstance(shape, tuple):
        wrong = [misfit(value, one, place) for one in shape]
        return None if None in wrong else wrong[0]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _wrong(value, "a list", place)
        if len(shape) > 1 and len(value) != len(shape):
            return _wrong(value, f"a list of {len(shape)}", place)
        shapes = shape if len(shape) > 1 else shape * len(value)
        pairs = enumerate(zip(value, shapes, strict=True))
        return next((said for at, (one, its) in pairs if (said := misfit(one, its, f"{place}[{at}]"))), None)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return _wrong(value, "an object", place)
        if "*" in shape:
            shape = dict.fromkeys(map(str, value), shape["*"])
        return next(
            (said for name, one in shape.items() if (said := _field_misfit(value, name, one, place))), None
        )
    if shape is None:
        return None if value is None else _wrong(value, "null", place)
    if shape is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return None if _is_finite(value) else _wrong(value, "a finite number", place)
    return None if type(value) is shape else _wrong(value, f"a value of type {shape.__name__}", place)


def shape_of(record: type[DataclassInstance]) -> dict[str, Shape]:
    """Return the shape of a dataclass of plain values as JSON holds it; a field that has a default may be missing."""
    hints = get_type_hints(record)
    optional = {
        one.name for one in fields(record) if one.default is not MISSING or one.default_factory is not MISSING
    }
    return {f"{name}?" if name in optional else name: _shape(hint) for name, hint in hints.items()}


def _shape(hint: object) -> Shape:
    arguments = get_args(hint)
    if isinstance(hint, UnionType):
        return tuple(None if one is NoneType else _shape(one) for one in arguments)
    if get_origin(hint) in (tuple, list):
        return [_shape(arguments[0])]
    assert isinstance(hint, type)
    return hint


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of more than 308 digits
        return False


def _field_misfit(value: Mapping[str, Any], name: str, shape: Shape, place: str) -> str | None:
    field = name.removesuffix("?")
    inner = f"{place}.{field}" if place else field
    if field not in value:
        return None if name.endswith("?") else f"no {inner}"
    return misfit(value[field], shape, inner)


def _wrong(value: object, expected: str, place: str) -> str:
    return f"{place or 'it'} is {json.dumps(value)[:60]}, not {expected}"


def read_fitting(path: Path, shape: Shape, mend: str) -> dict[str, Any] | None:
    """Read a JSON object; None if there is no file.

    :param mend: what a person can do about a damaged file.
    :raises DamagedFile: it holds something else.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        raise _damaged(path, "no JSON", mend) from None
    if wrong := misfit(value, shape):
        raise _damaged(path, wrong, mend)
    found: dict[str, Any] = value
    return found


def _damaged(path: Path, found: str, mend: str) -> DamagedFile:
    return DamagedFile(str(path), found=found, expected="what Keyharness wrote there", mend=mend)
