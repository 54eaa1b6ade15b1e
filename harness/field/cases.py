"""Case files: what is known of one failed key, and what many of them say together."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.base.errors import CallerError, one_of
from harness.base.limited_file import read_limited_text
from harness.base.wording import refuse_truth
from harness.field.reading import Reading
from harness.field.recognise import PROTECT, Recognised
from harness.field.scenario import UNKNOWN, client_of, last_of, product_of
from harness.field.scenario_file import NAME, misfit_of, read_scenario
from harness.field.timeline import Timeline

DAYS_OF_MONTH = 365.25 / 12
MEND = "docs/field.md shows a case file"
FILE = r"^[^/\\]+$"
Disposition = Literal["open", "explained", "not-reproduced", "returned", "replaced", "closed"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CaseFile(_Table):
    """A file that belongs to the case, by its hash; it is checked if it lies beside the case file."""

    name: str = Field(pattern=FILE)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Reproduced(_Table):
    """Reproduced `k` of `n` times."""

    k: int = Field(ge=0)
    n: int = Field(ge=1)

    @model_validator(mode="after")
    def _fits(self) -> Reproduced:
        if self.k > self.n:
            raise ValueError("k of n, with k not above n")
        return self


class Case(_Table):
    """One failed key.

    :ivar firmware: at the failure. :ivar firmware_now: today.
    :ivar in_use_since: when this key was used first. :ivar failures: how often it failed since then.
    :ivar plugs: how often it was plugged in since then, as far as the owner knows.
    :ivar actions: what was done to it since the failure. :ivar works: what still works.
    :ivar scenario: the scenario that replays it: a plugin's by its name, or a file beside the case file.
    """

    id: str = Field(pattern=NAME)
    product: str = Field(min_length=1)
    hardware: str = UNKNOWN
    firmware: str = UNKNOWN
    firmware_now: str = UNKNOWN
    system: str = UNKNOWN
    client: str = UNKNOWN
    in_use_since: date | None = None
    last_success: date | None = None
    first_failure: date | None = None
    failures: int = Field(default=1, ge=1, le=10_000)
    plugs: int | None = Field(default=None, ge=1)
    actions: list[str] = []
    works: list[str] = []
    signatures: list[str] = []
    scenario: str = ""
    reproduced: Reproduced | None = None
    advice: list[str] = []
    disposition: Disposition = "open"
    fixed_in: str = ""
    file: list[CaseFile] = []

    @model_validator(mode="after")
    def _in_order(self) -> Case:
        told = [one for one in (self.in_use_since, self.last_success, self.first_failure) if one is not None]
        if told != sorted(told):
            raise ValueError("in_use_since, last_success and first_failure in this order")
        return self

    @property
    def version(self) -> str:
        """The firmware at the failure, without "v"."""
        return self.firmware.removeprefix("v")

    @property
    def months(self) -> float | None:
        """How long the key was used until its first failure; None if nobody told."""
        if self.in_use_since is None or self.first_failure is None:
            return None
        return max(1, (self.first_failure - self.in_use_since).days) / DAYS_OF_MONTH


@dataclass(frozen=True)
class KeptCase:
    """A case and its file."""

    path: Path
    case: Case


def read_cases(folder: Path, signatures: Collection[str], scenarios: Collection[str] = ()) -> list[KeptCase]:
    """Read and check the case files of a folder, in the order of their names.

    :param signatures: the ids that are known. :param scenarios: the names of those that plugins bring.
    :raises CallerError: there is none, one does not fit, two have one id, a file beside one has another hash, or
        its scenario is not there or does not fit.
    """
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise CallerError(
            f"--cases {folder}", found="no *.toml", expected="a folder with case files", mend=MEND
        )
    found: list[KeptCase] = []
    replayed = _scenarios_of(files)
    for path in files:
        if path in replayed:
            continue
        case = _read(path)
        for one in case.signatures:
            if one not in signatures:
                raise CallerError(
                    f"case {path} · signatures",
                    found=one,
                    expected=one_of(one, sorted(signatures)),
                    mend=MEND,
                )
        _check_scenario(case, path, scenarios)
        if (other := next((kept for kept in found if kept.case.id == case.id), None)) is not None:
            raise CallerError(
                f"case {path} · id", found=f"{case.id}, as in {other.path.name}", expected="an id of its own"
            )
        found.append(KeptCase(path, case))
    return found


def _read(path: Path) -> Case:
    text = read_limited_text(path, "a case file", mend=MEND)
    try:
        raw = tomllib.loads(text)
        refuse_truth(raw, f"case {path}", MEND)
        case = Case.model_validate(raw)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        said = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "tables hundreds deep"
        raise CallerError(f"case {path}", found=said, expected="TOML", mend="mend that line") from None
    except ValidationError as error:
        raise misfit_of(error, Case, f"case {path}", MEND) from None
    for one in case.file:
        beside = path.parent / one.name
        if Path(one.name).name == one.name and beside.is_file() and (found := sha256(beside)) != one.sha256:
            raise CallerError(
                f"case {path} · file {one.name}",
                found=f"SHA-256 {found}",
                expected=one.sha256,
                mend="bring the file back: a case stands on what was sent",
            )
    return case


def _scenarios_of(files: Sequence[Path]) -> set[Path]:
    """The files that cases name as their scenario: they may lie among them, and are no cases."""
    named = set()
    for path in files:
        try:
            name = tomllib.loads(read_limited_text(path, "a case file", mend=MEND)).get("scenario")
        except (tomllib.TOMLDecodeError, RecursionError):
            continue  # said when it is read
        if isinstance(name, str):
            named.add(path.parent / name)
    return named


def _check_scenario(case: Case, path: Path, known: Collection[str]) -> None:
    """Refuse a scenario that nobody can replay."""
    if not case.scenario or case.scenario in known:
        return
    beside = path.parent / case.scenario
    if not beside.is_file():
        raise CallerError(
            f"case {path} · scenario",
            found=f'"{case.scenario}"',
            expected=f"a scenario file beside the case, or one of {one_of(case.scenario, sorted(known))}",
            mend=f"`keyharness field LOG --scenario {path.parent / 'NAME.toml'}` writes one; {MEND}",
        )
    read_scenario(beside)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def new_case(
    name: str, logs: Sequence[Path], reading: Reading, line: Timeline, found: Sequence[Recognised]
) -> str:
    """A case file with what the logs tell; the rest stands in it to be filled in.

    :param name: of the file; the case's id comes from it.
    """
    document = tomlkit.document()
    document.add(
        tomlkit.comment("Made by `keyharness field`. Dates: 2026-11-29. Leave out what nobody knows.")
    )
    document["id"] = re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.") or "case"
    document["product"] = product_of(line)
    document["firmware"] = last_of(reading, "firmware", "firmware")
    document["client"] = client_of(reading)
    for asked in ("in_use_since", "last_success", "first_failure"):
        document.add(tomlkit.comment(f"{asked} ="))
    document.add(tomlkit.comment("plugs =        # how often it was plugged in since then, about"))
    document["actions"], document["works"] = [], []
    document["signatures"] = [one.signature.id for one in found]
    document["advice"] = [PROTECT]
    document["disposition"] = "open"
    files = tomlkit.aot()
    for path in logs:
        row = tomlkit.table()
        row["name"], row["sha256"] = path.name, sha256(path)
        files.append(row)
    document["file"] = files
    return tomlkit.dumps(document)
