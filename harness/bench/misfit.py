"""What does not fit in a bench file, in words: place, found, expected, how to mend it."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel, ValidationError

from harness.base.errors import CallerError, one_of


def misfit(
    error: ValidationError, where: str, model: type[BaseModel], raw: object = None, *, inside: bool = False
) -> CallerError:
    """The first thing that pydantic found, in our words.

    :param where: what the place begins with: "bench my.toml". :param raw: what was checked, for the names of rigs.
    :param inside: the model is of a table inside a rig: its place is written with dots.
    """
    first = error.errors(include_url=False)[0]
    place, known = _place(first["loc"], raw), _fields(model, first["loc"])
    if inside:
        place = place.replace(" · ", ".")
    found: object = first.get("input")
    expected = first["msg"]
    mend = None
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        found, expected = f'"{name}"', f"one of {one_of(name, known)}"
        mend = "remove it, or spell it as it is expected"
    elif first["type"] == "missing":
        found, expected = "nothing", f'"{first["loc"][-1]}"'
        mend = "add it; docs/rigs.md shows a bench file"
    return CallerError(f"{where}{place}", found=found, expected=expected, mend=mend)


def _place(loc: tuple[int | str, ...], raw: object) -> str:
    parts, prefix = list(loc), ""
    if len(parts) > 1 and parts[0] == "deviation" and isinstance(parts[1], int):
        prefix, parts = f": deviation number {parts[1] + 1}", parts[2:]
    if len(parts) > 1 and parts[0] == "rig" and isinstance(parts[1], int):
        entry = raw["rig"][parts[1]] if isinstance(raw, dict) and isinstance(raw.get("rig"), list) else {}
        name = entry.get("name") if isinstance(entry, dict) else None
        prefix = f': rig "{name}"' if name else f": rig number {parts[1] + 1}"
        parts = parts[2:]
    dotted = ".".join(str(part) for part in parts)
    return f"{prefix} · {dotted}" if dotted else prefix


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    for part in loc[:-1]:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        # list[AcceptedDeviation] -> AcceptedDeviation
        annotation = next(iter(get_args(annotation)), annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)
