"""What does not fit in a bench file, in words: place, found, expected, how to mend it."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.base.errors import CallerError, one_of
from harness.base.wording import expected_words, fields_at

UNFIT = "unfit"
"""Type of a `PydanticCustomError` of settings that do not fit each other; its context has `field`, `found`, `expected`
and `mend`, so that a driver's own check is told as every other one."""

BOUNDS = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number from {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number up to {le}",
    "literal_error": "{expected}",
    UNFIT: "{expected}",
}
KINDS = {
    "list_type": "a list, in square brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "string_type": "text, in quotation marks",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


def misfit(
    error: ValidationError, where: str, model: type[BaseModel], raw: object = None, *, inside: bool = False
) -> CallerError:
    """The first thing that pydantic found, in our words.

    :param where: what the place begins with: "bench my.toml". :param raw: what was checked, for the names of rigs.
    :param inside: the model is of a table inside a rig: its place is written with dots.
    """
    first = error.errors(include_url=False)[0]
    place, known = _place(first["loc"], raw), fields_at(model, first["loc"])
    if inside:
        place = place.replace(" · ", ".")
    found: object = first.get("input")
    expected = _expected(first)
    mend = None
    if first["type"] == UNFIT:
        place += f".{first['ctx']['field']}"
        found, mend = first["ctx"]["found"], first["ctx"]["mend"]
    elif first["type"] in BOUNDS or first["type"] in KINDS:
        mend = "write that there; docs/rigs.md describes each setting"
    elif first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        found, expected = f'"{name}"', f"one of {one_of(name, known)}"
        mend = "remove it, or spell it as it is expected"
    elif first["type"] == "missing":
        found, expected = "nothing", f'"{first["loc"][-1]}"'
        mend = "add it; docs/rigs.md shows a bench file"
    return CallerError(f"{where}{place}", found=found, expected=expected, mend=mend)


def _expected(error: ErrorDetails) -> str:
    """What pydantic expected, in our words where we have some."""
    kind = error["type"]
    if kind in BOUNDS:
        return BOUNDS[kind].format(**error["ctx"]).replace("'", '"')
    return KINDS.get(kind) or expected_words(error)


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
