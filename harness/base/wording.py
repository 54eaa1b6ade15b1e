"""Say in our words what does not fit in a file of a person's: what pydantic found, without its vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel
from pydantic_core.core_schema import ErrorType

from harness.base.errors import CallerError, one_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

TOGETHER = "fields that do not fit together"
SHOWN_MAX = 200
_PATTERNS = {
    r"^[a-z0-9][a-z0-9.-]*$": "lower-case letters, digits, '.' and '-', not a sign first",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": "letters, digits, '.', '_' and '-', at most 64, not a sign first",
    r"^[^/\\]+$": "the name of a file beside this one, without a folder",
    r"^[0-9a-f]{64}$": "a SHA-256: 64 hexadecimal digits in lower case; `sha256sum FILE` shows it",
    r"^[0-9]+(\.[0-9]+)?[smh]$": "a time such as 8h, 30m or 45s",
}
"""What a pattern asks for."""
_NUMBERS = {
    "greater_than": ("gt", "a number above"),
    "greater_than_equal": ("ge", "a number, at least"),
    "less_than": ("lt", "a number less than"),
    "less_than_equal": ("le", "a number, at most"),
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a number that is not infinite",
    "string_too_short": "a text that is not empty",
    "string_type": "a text in quotation marks",
    "list": "a list in brackets",
    "tuple": "a list in brackets",
    "dict": "a table",
    "model": "a table",
    "date": "a date such as 2026-11-30, without quotation marks and without a time",
    "bool": "true or false",
    "string": "a text in quotation marks",
}
_OTHER = "a value of another kind"


def in_words(first: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    """(found, expected) of the first thing that pydantic found.

    :param model: of the whole file.
    """
    kind, told = first["type"], first["input"]
    name = str(first["loc"][-1]) if first["loc"] else ""
    if kind == "extra_forbidden":
        return f'"{name}"', one_of(name, fields_at(model, first["loc"]))
    if kind == "missing":
        return "nothing", "a value" if name.isdigit() else f'"{name}"'
    found = TOGETHER if kind == "value_error" and isinstance(told, Mapping | BaseModel) else _shown(told)
    return found, expected_words(first)


def fields_at(model: type[BaseModel], loc: Iterable[int | str]) -> list[str]:
    """The fields of the table in which a place is."""
    for part in list(loc)[:-1]:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        # list[Step] -> Step
        annotation = next(iter(get_args(annotation)), annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return [field.alias or name for name, field in model.model_fields.items()]


def refuse_truth(raw: object, where: str, mend: str) -> None:
    """Refuse true and false, which Python takes for 1 and 0, in a file in which no field is either.

    :raises CallerError: one stands there.
    """
    for place, value in _values(raw, ()):
        if isinstance(value, bool):
            raise CallerError(
                f"{where} · {'.'.join(place)}",
                found=str(value).lower(),
                expected="a number, or a text in quotation marks",
                mend=mend,
            )


def _values(raw: object, place: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], object]]:
    if isinstance(raw, Mapping):
        for name, value in raw.items():
            yield from _values(value, (*place, str(name)))
    elif isinstance(raw, list):
        for number, value in enumerate(raw, 1):
            yield from _values(value, (*place, str(number)))
    else:
        yield place, raw


def expected_words(first: ErrorDetails) -> str:
    """Return what pydantic expected, in words for a person who does not know it."""
    kind, more = first["type"], first.get("ctx", {})
    if kind == "missing":
        return "a value; there is none"
    if kind == "path_type":
        return "a path in quotation marks"
    if kind not in get_args(ErrorType):
        return first["msg"]  # a driver's or a model's own words
    if kind == "value_error":
        return first["msg"].removeprefix("Value error, ")
    if kind == "literal_error":
        return str(more["expected"]).replace(" or ", ", ").replace("'", '"')
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(str(more["pattern"]), f"a text that fits {more['pattern']}")
    if kind in _NUMBERS:
        limit, words = _NUMBERS[kind]
        given = more[limit]
        return f"{words} {given:g}" if isinstance(given, int | float) else f"{words} {given}"
    if kind == "too_short":
        return f"a list of {more['min_length']} or more"
    if kind == "too_long":
        return f"a list of {more['max_length']} at most"
    for begin, words in _KINDS.items():
        if kind.startswith(begin):
            return words
    return _OTHER


def _shown(told: object) -> str:
    return str(told) if isinstance(told, date) else repr(told)[:SHOWN_MAX]
