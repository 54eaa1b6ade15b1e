"""What does not fit in a file is said in our words, never in those of the library that checks it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from harness.base.wording import expected_words, in_words

THEIRS = re.compile(r"Input should|should match|should have|valid |instance of|Field required")


class Inner(BaseModel):
    word: Literal["a", "b"] = "a"


class Everything(BaseModel):
    text: str = ""
    short: Annotated[str, Field(min_length=2, max_length=3)] = "ab"
    shaped: Annotated[str, Field(pattern=r"^x+$")] = "x"
    whole: int = 0
    some: Annotated[int, Field(ge=1, lt=9)] = 2
    even: Annotated[int, Field(multiple_of=2)] = 2
    number: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1
    flag: bool = False
    day: date | None = None
    later: Annotated[date, Field(gt=date(2020, 1, 1))] = date(2021, 1, 1)
    names: Annotated[list[str], Field(min_length=1, max_length=2)] = ["a"]
    pair: tuple[int, int] = (1, 2)
    table: dict[str, int] = {}
    inner: Inner = Inner()
    place: Path = Path()
    mark: UUID | None = None
    raw: bytes = b""

    @field_validator("text")
    @classmethod
    def _no_x(cls, text: str) -> str:
        if text == "x":
            raise ValueError("a text without x")
        if text == "y":
            raise PydanticCustomError("driver", "the {what} of a driver", {"what": "words"})
        return text


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"text": 5}, "a text in quotation marks"),
        ({"text": "x"}, "a text without x"),
        ({"text": "y"}, "the words of a driver"),
        ({"short": "abcd"}, "a text in quotation marks"),
        ({"shaped": "y"}, "a text that fits ^x+$"),
        ({"whole": "one"}, "a whole number"),
        ({"some": 0}, "a number, at least 1"),
        ({"some": 9}, "a number less than 9"),
        ({"even": 3}, "a value of another kind"),
        ({"number": 0}, "a number above 0"),
        ({"number": float("nan")}, "a number that is not infinite"),
        ({"flag": "perhaps"}, "true or false"),
        ({"day": "soon"}, "a date such as 2026-11-30"),
        ({"later": date(2019, 1, 1)}, "above 2020-01-01"),
        ({"names": []}, "a list of 1 or more"),
        ({"names": "a"}, "a list in brackets"),
        ({"pair": [1]}, "a value"),
        ({"table": 3}, "a table"),
        ({"inner": 3}, "a table"),
        ({"inner": {"word": "c"}}, '"a", "b"'),
        ({"place": 3}, "a path in quotation marks"),
        ({"mark": "no"}, "a value of another kind"),
        ({"raw": 3}, "a value of another kind"),
    ],
)
def test_no_word_of_the_library_is_shown(table, expected):
    with pytest.raises(ValidationError) as error:
        Everything.model_validate(table)
    first = error.value.errors(include_url=False)[0]
    _, said = in_words(first, Everything)
    assert expected in said
    assert not THEIRS.search(said)
    assert not THEIRS.search(expected_words(first))
