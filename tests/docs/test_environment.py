"""Every variable that anything here reads stands in the table of docs/safety.md, and no other."""

from __future__ import annotations

import re

from support.paths import ROOT

NAME = re.compile(r"\bKEYHARNESS_[A-Z][A-Z_]*[A-Z]\b")
CODE = ("harness", "plugins", "rigs", "suites", "script", ".ci", "tests", "benchmarks")


def read_anywhere() -> set[str]:
    found = set()
    for folder in CODE:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and (path.suffix == ".py" or "." not in path.name):
                found |= set(NAME.findall(path.read_text(encoding="utf-8", errors="replace")))
    return found


def test_every_variable_is_explained_and_no_other():
    text = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8").partition("## Environment")[2]
    explained = set(NAME.findall(text))
    # What begins so is the PIN of a rig, by its name.
    pins = {name for name in read_anywhere() if name.startswith("KEYHARNESS_PIN_")} - {"KEYHARNESS_PIN_KEY"}
    assert "`KEYHARNESS_PIN_<RIG>`" in text
    assert explained == (read_anywhere() | {"KEYHARNESS_PIN_KEY"}) - pins - {"KEYHARNESS_PIN"}
