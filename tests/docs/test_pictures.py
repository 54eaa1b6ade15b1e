"""The pictures of docs/ are what their scripts draw, and nothing in them lies outside."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from support.paths import ROOT

DOCS = ROOT / "docs"
SVG = "{http://www.w3.org/2000/svg}"
SCRIPTS = {
    "draw_wiring.py": ("wiring-*.svg", "rigs.md"),
    "draw_architecture.py": ("architecture.svg", "architecture.md"),
}
DRAWN = [file for files, _ in SCRIPTS.values() for file in sorted((DOCS / "pictures").glob(files))]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_pictures_are_those_of_the_script(script, tmp_path):
    files, page = SCRIPTS[script]
    subprocess.run([sys.executable, DOCS / script, tmp_path], check=True)
    drawn = sorted(tmp_path.glob("*.svg"))
    assert drawn
    assert [file.name for file in drawn] == sorted(file.name for file in (DOCS / "pictures").glob(files))
    text = (DOCS / page).read_text(encoding="utf-8")
    for file in drawn:
        assert file.read_bytes() == (DOCS / "pictures" / file.name).read_bytes(), f"python docs/{script}"
        assert f"(pictures/{file.name})" in text


@pytest.mark.parametrize("file", DRAWN, ids=lambda file: file.name)
def test_nothing_is_drawn_outside_of_its_picture(file):
    root = ET.parse(file).getroot()
    width, height = (float(root.get(side)) for side in ("width", "height"))
    assert root.find(f"{SVG}title").text
    for text in root.iter(f"{SVG}text"):
        # Letters are at most 0.62 of their size wide in the fonts that are named.
        length = 0.62 * float(text.get("font-size")) * len(text.text)
        left = float(text.get("x")) - {"start": 0, "middle": length / 2}[text.get("text-anchor")]
        assert left >= 0, text.text
        assert left + length <= width + 15, text.text
        assert 0 < float(text.get("y")) <= height
    for line in root.iter(f"{SVG}polyline"):
        for point in line.get("points").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height


def constant(file, name):
    """The value that a file assigns to a name; the file is not run."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return eval(compile(ast.Expression(node.value), str(file), "eval"), {})
    raise AssertionError(f"{file} has no {name}")


def test_the_floors_of_the_picture_are_those_that_are_held():
    drawn = constant(DOCS / "draw_architecture.py", "FLOORS")
    held = constant(ROOT / "tests" / "project" / "test_floors.py", "ROOMS")
    assert list(drawn) == list(reversed(held))


def test_every_file_that_the_architecture_names_is_there():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    text += (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:harness|plugins|rigs|suites|tests)/[\w/]+\.(?:py|toml))`", text))
    assert len(named) > 25
    assert sorted(name for name in named if not (ROOT / name).is_file()) == []
    room = ""
    for _, where in constant(DOCS / "draw_architecture.py", "WAY"):
        for name in where.removeprefix("suites, ").split(", "):
            room = name.partition("/")[0] if "/" in name else room
            assert (ROOT / "harness" / room / name.rpartition("/")[2]).is_file(), name
