"""What is known of logs: the formats of their lines, and the signatures of failures. Both are data, in TOML files.

Keyharness brings one file for kernels, daemons and tools of hosts. Each plugin may bring more, for its clients and keys
(`keyharness_field`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.base.errors import CallerError
from harness.base.wording import in_words
from harness.field.prefilter import Prefilter

OWN = Path(__file__).with_name("data") / "field.toml"
BROKEN = (
    *(": new ", "device descriptor read", "idVendor=", "USB HID v", "device not accepting address"),
    *("unable to enumerate USB", "USB disconnect", "USB device strings"),
)
"""Texts in the first half of lines that mail programs break."""
PARTS = {
    "<PORT>": r"(?P<port>[0-9]+-\d+(?:\.\d+)*)",
    "<ROOT>": r"(?P<port>(?:usb)?\d+(?:-\d+(?:\.\d+)*)?-port\d+)",
    "<ERROR>": r"(?P<error>-\d+)",
    "<ID>": r"[0-9A-Fa-f]{4}",
}
"""Patterns that many formats share: a port as sysfs names it, a hub's port, an error number, a vendor or product."""


class Format(BaseModel):
    """How one kind of line looks; named groups say what is read from it."""

    model_config = ConfigDict(extra="forbid")
    source: str
    kind: str
    pattern: str


class Sign(BaseModel):
    """One event that a signature looks for.

    :ivar where: name -> regular expression that the event's own value must match whole.
    :ivar times: it must be seen at least so often.
    :ivar of_key: it must tell of a device whose vendor makes keys; logs of a whole host tell of all its devices.
    """

    model_config = ConfigDict(extra="forbid")
    kind: list[str] = Field(min_length=1)
    where: dict[str, str] = {}
    times: int = Field(default=1, ge=1)
    of_key: bool = False


class Signature(BaseModel):
    """A known failure, and by what it is recognised.

    :ivar all_of: every sign must be seen. :ivar none_of: none of them may.
    :ivar any_of: at least one must, if there are any.
    :ivar strength: how much it says: "certain" (the message itself), "likely", "possible".
    :ivar reference: a public page that tells of it. :ivar invariant: what the key or the host should have kept.
    :ivar against: what would speak against it. :ivar ask: what to ask the user next. :ivar advice: what to do first.
    """

    model_config = ConfigDict(extra="forbid")
    id: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    blame: Literal["key", "host", "cable", "client", "user", "unknown"]
    strength: Literal["certain", "likely", "possible"]
    reference: str
    invariant: str
    against: str
    ask: str
    advice: str
    all_of: list[Sign] = []
    any_of: list[Sign] = []
    none_of: list[Sign] = []


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    vendors: list[Annotated[str, Field(pattern=r"^[0-9a-f]{4}$")]] = []
    format: list[Format] = []
    signature: list[Signature] = []


@dataclass(frozen=True)
class Knowledge:
    """Formats in the order in which they are tried, and signatures by their ids.

    :ivar vendors: USB's numbers of vendors that make keys, as "20a0".
    :ivar prefilter: says quickly which formats a line can have.
    """

    formats: tuple[tuple[str, str, re.Pattern[str]], ...]
    signatures: dict[str, Signature] = field(default_factory=dict)
    vendors: frozenset[str] = frozenset()

    @cached_property
    def prefilter(self) -> Prefilter:
        return Prefilter([pattern for _, _, pattern in self.formats], BROKEN)


def load(files: Sequence[Path]) -> Knowledge:
    """Read the knowledge of plugins and Keyharness' own.

    :raises CallerError: a file cannot be read as such, or two signatures have one id.
    """
    formats: list[tuple[str, str, re.Pattern[str]]] = []
    signatures: dict[str, Signature] = {}
    vendors: set[str] = set()
    for path in (*files, OWN):
        found = _read(path)
        vendors.update(found.vendors)
        for one in found.format:
            pattern = one.pattern
            for name, part in PARTS.items():
                pattern = pattern.replace(name, part)
            try:
                formats.append((one.source, one.kind, re.compile(pattern)))
            except re.error as error:
                raise CallerError(
                    f"{path} · format {one.source} {one.kind}",
                    found=str(error),
                    expected="a regular expression",
                    mend="mend its pattern",
                ) from None
        for signature in found.signature:
            if signature.id in signatures:
                raise CallerError(
                    f"{path} · signature {signature.id}", found="an id that is taken", expected="a new id"
                )
            signatures[signature.id] = signature
    return Knowledge(tuple(formats), signatures, frozenset(vendors))


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CallerError(f"{path}", found=str(error), expected="formats and signatures in TOML") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        found, expected = in_words(first, _File)
        raise CallerError(
            f"{path} · {place}", found=found, expected=expected, mend="docs/field.md shows such a file"
        ) from None
