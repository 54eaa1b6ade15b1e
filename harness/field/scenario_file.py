"""A scenario file: what happened to a key, and how to see on another one whether it happens again.

`keyharness field --scenario` writes the first part, from logs; plugins bring whole ones (docs/field.md).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness.base.errors import CallerError
from harness.base.limited_file import read_limited_text
from harness.base.wording import in_words, refuse_truth

Act = Literal[
    "connect", "disconnect", "glitch", "bounce", "enumeration-cut", "power-cycle", "data-before-power"
]
Span = tuple[float, float]
NAME = r"^[a-z0-9][a-z0-9.-]*$"
SHOWN = "docs/field.md shows one"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class About(_Table):
    """What is known of the failure.

    :ivar missed: what the owner missed, in words. :ivar ask: what still has to be asked.
    :ivar key: name of the model of whom answers are asked; a replay names its own.
    """

    id: str = Field(default="scenario", pattern=NAME)
    title: str = ""
    reference: str = ""
    key: str = ""
    product: str = ""
    firmware: str = ""
    client: str = ""
    signatures: list[str] = []
    missed: list[str] = []
    ask: list[str] = []


class Sees(_Table):
    """One thing that the owner saw, or missed, after it had happened.

    :ivar item: what is observed, by its name in `keyharness list`.
    :ivar value: regular expression that the whole value, as evidence shows it, must match.
    """

    item: str
    value: str

    @field_validator("value")
    @classmethod
    def _expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"a regular expression, and this is none: {error}") from None
        return value

    def fits(self, seen: Mapping[str, Any]) -> bool:
        """Tell whether an observation shows it; an item that was not observed does not."""
        return self.item in seen and re.fullmatch(self.value, str(seen[self.item])) is not None


class Replay(_Table):
    """How the failure is tried again.

    :ivar key: name of the model. :ivar operations: what may have been under way.
    :ivar control: personality of the twin that must not show it.
    :ivar then: the owner's actions after which it must still be seen, e.g. an update.
    :ivar sees: all of it must be seen. Empty: any violation will do.
    """

    key: str
    operations: list[str] = Field(min_length=1)
    control: str | None = None
    then: list[str] = []
    sees: list[Sees] = []


class Answer(_Table):
    """Something that people were told, and the cases of a suite that hold it."""

    says: str
    suite: str
    cases: list[str] = Field(min_length=1)


class StepRow(_Table):
    """One act of the schedule; times in seconds, spans in milliseconds.

    :ivar times: how often, of a `bounce`.
    :ivar errors: how many protocol errors the log counts in a `glitch`.
    :ivar on_ms: between how long and how long the key has power each time.
    :ivar off_ms: the same without power. :ivar growth: each gap is longer than the one before by this factor.
    """

    act: Act
    at_s: float | None = None
    within_s: float | None = Field(default=None, ge=0)
    port: str | None = None
    errors: int | None = Field(default=None, ge=1)
    times: int = Field(default=1, ge=1, le=1000)
    on_ms: Span | None = None
    off_ms: Span | None = None
    growth: float = Field(default=1.0, ge=1, le=100)

    @field_validator("on_ms", "off_ms")
    @classmethod
    def _in_order(cls, span: Span | None) -> Span | None:
        if span is not None and not 0 <= span[0] <= span[1] <= 60_000:
            raise ValueError("[least, most] in milliseconds, at most 60000")
        return span


class Scenario(_Table):
    """A whole file. It has `replay`, `answer`, or neither yet."""

    scenario: About = About()
    replay: Replay | None = None
    answer: list[Answer] = []
    step: list[StepRow] = []

    @model_validator(mode="after")
    def _one_kind(self) -> Scenario:
        if self.replay is not None and self.answer:
            raise ValueError("either [replay] or [[answer]], not both")
        return self


def parse_scenario(text: str, shown: str) -> Scenario:
    """Check the text of a scenario file.

    :param shown: what messages call the file.
    :raises CallerError: it is not TOML, or no scenario.
    """
    try:
        raw = tomllib.loads(text)
        refuse_truth(raw, f"scenario {shown}", SHOWN)
        return Scenario.model_validate(raw)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        said = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "tables hundreds deep"
        raise CallerError(f"scenario {shown}", found=said, expected="TOML", mend="mend that line") from None
    except ValidationError as error:
        raise misfit_of(error, Scenario, f"scenario {shown}", SHOWN) from None


def misfit_of(error: ValidationError, model: type[BaseModel], what: str, mend: str) -> CallerError:
    """The first thing that does not fit in a file of a person's, in our words.

    :param model: of the whole file. :param what: the file. :param mend: where a right one is shown.
    """
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
    found, expected = in_words(first, model)
    return CallerError(f"{what} · {place}" if place else what, found=found, expected=expected, mend=mend)


def read_scenario(path: Path) -> Scenario:
    """Read and check a scenario file.

    :raises CallerError: it cannot be read, is not TOML, or no scenario.
    """
    return parse_scenario(read_limited_text(path, "a scenario file", mend=SHOWN), str(path))
