"""Nothing in the repository cites a document that is not in it."""

from __future__ import annotations

import re

from support.files import text_of, tracked
from support.paths import ROOT

PAGE = re.compile(r"(?<![\w/*>.-])((?:[\w.-]+/)*[A-Za-z][\w.-]*\.md)\b")
INVARIANT = re.compile(r"\binvariants? ((?:[A-Z]\d+)(?:(?:, | and | to )[A-Z]\d+)*)")
# Notes of those who made this project, which are not in it. Put together here, as this file is searched, too.
NOTES = re.compile(
    "|".join((r"\bfact" + r"s[:/]", r"\bU" + r"X[:.]", r"\bHOU" + r"SE\b", r"\bDES" + r"IGN\b"))
)


def cited() -> list[tuple[str, str]]:
    """(file, page) for every page that is named in a file of the project."""
    return [
        (str(path.relative_to(ROOT)), match)
        for path in tracked()
        if path.suffix not in (".svg", ".png")
        for match in PAGE.findall(text_of(path))
    ]


def exists(file: str, page: str) -> bool:
    return any((folder / page).is_file() for folder in (ROOT, ROOT / "docs", (ROOT / file).parent))


def test_every_page_that_is_named_is_there():
    found = cited()
    assert len(found) > 30
    assert [one for one in found if not exists(*one)] == []


def test_no_note_from_elsewhere_is_named():
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked()
        if path.suffix not in (".svg", ".png")
        for match in NOTES.finditer(text_of(path))
    ]
    assert found == []


def test_every_invariant_that_is_named_is_explained():
    page = (ROOT / "docs" / "invariants.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"(?m)^\| `([A-Z]\d+)` \| [A-Z]", page))
    named = {
        number
        for path in tracked()
        for match in INVARIANT.finditer(text_of(path))
        for number in re.findall(r"[A-Z]\d+", match[1])
    }
    assert len(named) > 15
    assert named <= explained
