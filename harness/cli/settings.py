"""Bench, reports and seed where no option names them: environment variables, then a file of settings.

The file is keyharness.toml, or pyproject.toml with a table [tool.keyharness], in the working directory or the nearest
folder above it; the search ends at the top folder of a repository. An option goes first, then the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.base.errors import CallerError, one_of

OWN_FILE, PROJECT_FILE = "keyharness.toml", "pyproject.toml"
BENCH, REPORTS, SEED = "bench", "reports", "seed"
VARIABLES = {BENCH: "KEYHARNESS_BENCH", REPORTS: "KEYHARNESS_REPORTS", SEED: "KEYHARNESS_SEED"}
_TYPES: Mapping[str, tuple[type, str]] = {
    BENCH: (str, "the path of a bench file"),
    REPORTS: (str, "the path of a folder"),
    SEED: (int, "a whole number"),
}


@dataclass(frozen=True)
class Setting:
    """A value that no option gave.

    :ivar source: where it stands, for messages: "KEYHARNESS_SEED", "keyharness.toml: seed".
    :ivar folder: what a relative path in it is relative to; None means the working directory.
    """

    value: str | int
    source: str
    folder: Path | None = None

    @property
    def path(self) -> Path:
        """The value as a path; a bench that is not in that folder may be one of a plugin's, and keeps its bare name."""
        path = Path(str(self.value))
        if self.folder is None or path.is_absolute():
            return path
        beside = self.folder / path
        return _shown(beside) if beside.exists() or len(path.parts) > 1 else path


_used: dict[str, Setting] = {}
"""Settings that this process took, by the text that messages call them by."""


def setting(name: str) -> Setting | None:
    """Return the value of BENCH, REPORTS or SEED; None if neither the environment nor a file says one.

    :raises CallerError: the value is of a wrong kind, or the file cannot be read or has a name that is unknown.
    """
    variable = VARIABLES[name]
    found = Setting(text, variable) if (text := os.environ.get(variable)) else _from_file(name)
    if found is not None and name == SEED:
        found = Setting(_whole_number(found), found.source)
    if found is not None:
        _used[str(found.value if name == SEED else found.path)] = found
    return found


def source_of(text: str) -> str | None:
    """Return where the setting stands that a message names; None if the message is about none."""
    return next((one.source for shown, one in _used.items() if shown in text), None)


def _whole_number(found: Setting) -> int:
    if isinstance(found.value, int):
        return found.value
    try:
        return int(found.value)
    except ValueError:
        raise CallerError(found.source, found=found.value, expected=_TYPES[SEED][1]) from None


def _from_file(name: str) -> Setting | None:
    for folder in _folders():
        for file, table in ((folder / OWN_FILE, ()), (folder / PROJECT_FILE, ("tool", "keyharness"))):
            if file.is_file() and (settings := _read(file, table)) is not None:
                where = f"{_shown(file)}: {'.'.join((*table, name))}"
                return Setting(settings[name], where, folder) if name in settings else None
    return None


def _folders() -> list[Path]:
    """The working directory and the folders above it, up to the top of the repository that it is in."""
    here = Path.cwd()
    folders = [here, *here.parents]
    top = next((n for n, folder in enumerate(folders) if (folder / ".git").exists()), None)
    return folders[:1] if top is None else folders[: top + 1]


def _read(file: Path, table: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the settings of a file, checked; None if it has no table for Keyharness."""
    import tomllib

    from harness.base.limited_file import read_limited_text

    shown = str(_shown(file))
    try:
        found: Any = tomllib.loads(read_limited_text(file, "a file of settings", what=shown))
    except (ValueError, RecursionError) as error:
        said = str(error) if isinstance(error, ValueError) else "tables too deep inside each other"
        raise CallerError(shown, found=said, expected="TOML", mend="mend that line") from None
    for part in table:
        found = found.get(part)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise CallerError(f"{shown}: {'.'.join(table)}", found=found, expected="a table")
    for name, value in found.items():
        place = f"{shown}: {'.'.join((*table, name))}"
        if name not in _TYPES:
            raise CallerError(place, found=f'"{name}"', expected=one_of(name, list(_TYPES)))
        kind, expected = _TYPES[name]
        if type(value) is not kind or value == "":
            raise CallerError(place, found=value, expected=expected)
    return dict(found)


def _shown(path: Path) -> Path:
    """The path as a person in the working directory types it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
