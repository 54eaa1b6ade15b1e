"""Ceremonies: numbered steps that people in roles do with several devices, and what a key's plugin knows of each step.

A script is a TOML file; what a step does stands in the plugin, so that a script only names it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.base.errors import CallerError, one_of
from harness.base.limited_file import read_limited_text
from harness.base.wording import in_words
from harness.model.rig import Rig

P = TypeVar("P")
"""What the people write down or keep outside of the devices."""


@dataclass(frozen=True)
class Advice:
    """What the people at the table do when the power has failed.

    :ivar next: the next safe action. :ivar never: what must not be typed now. :ivar lost: what is lost.
    """

    next: str
    never: str
    lost: str


@dataclass(frozen=True)
class Doing(Generic[P]):
    """What a step does, and what follows from each state that a power cut in it may leave.

    :param do: (device, what is on paper) -> the words that are then seen.
    :param not_done: the device is as before. :param done: the device is as after the step.
    :param half_done: neither; None if a sound device never shows that.
    :param mend: from half done to done; as `do` without its words.
    """

    title: str
    do: Callable[[Rig, P], str]
    not_done: Advice
    done: Advice
    half_done: Advice | None = None
    mend: Callable[[Rig, P], object] | None = None


@dataclass(frozen=True)
class CeremonyRules(Generic[P]):
    """What a plugin knows of ceremonies with one key.

    :ivar paper: makes what the people write down or keep outside of the devices; it can be copied deeply.
    :ivar state: a device's state in words that cost no try and need no PIN.
    :ivar scripts: the folder with the scripts that come with it.
    """

    doings: Mapping[str, Doing[P]]
    state: Callable[[Rig], str]
    paper: Callable[[], P]
    scripts: Path


class Step(BaseModel):
    """One step of a script."""

    model_config = ConfigDict(extra="forbid")

    role: str = Field(min_length=1)
    device: str = Field(min_length=1)
    do: str
    expect: str
    """Words that must be seen after it."""


class Script(BaseModel):
    """A ceremony."""

    model_config = ConfigDict(extra="forbid")

    title: str
    key: str
    devices: list[str] = Field(min_length=1)
    roles: list[str] = Field(min_length=1)
    step: list[Step] = Field(min_length=1)


def read_script(file: Path, rules: Mapping[str, CeremonyRules[Any]]) -> Script:
    """Read a script, or a plugin's script of that name, and check it.

    :raises CallerError: it cannot be read, or names a key, role, device or action that is not there.
    """
    shipped = [one.scripts / file.name for one in rules.values()]
    path = file if file.exists() else next((one for one in shipped if one.is_file()), file)
    where = f"ceremony {file}"
    text = read_limited_text(path, "a script of a ceremony", what=where, mend="root-key.toml is one")
    try:
        script = Script.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise CallerError(where, found=str(error), expected="TOML", mend="mend that line") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = " · ".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        found, expected = in_words(first, Script)
        raise CallerError(
            f"{where} · {place}", found=found, expected=expected, mend="root-key.toml is one"
        ) from None
    if script.key not in rules:
        raise CallerError(
            f"{where} · key",
            found=script.key,
            expected=f"a key with ceremonies: {one_of(script.key, list(rules))}",
        )
    for number, step in enumerate(script.step, 1):
        for name, given, known in (
            ("role", step.role, script.roles),
            ("device", step.device, script.devices),
            ("do", step.do, list(rules[script.key].doings)),
        ):
            if given not in known:
                raise CallerError(
                    f"{where} · step {number} · {name}", found=given, expected=one_of(given, known)
                )
    return script
