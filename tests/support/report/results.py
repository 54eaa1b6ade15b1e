"""Allure's results of a run, as its archive holds them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any


def allure_results(run: Path) -> list[dict[str, Any]]:
    """The cases."""
    with zipfile.ZipFile(run / "allure-results.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith("-result.json")]
        return [json.loads(archive.read(name)) for name in names]


def parameter(result: dict[str, Any], name: str) -> str | None:
    """A parameter of a case, without the quotes that allure-pytest puts around it."""
    return next((one["value"].strip("'") for one in result["parameters"] if one["name"] == name), None)
