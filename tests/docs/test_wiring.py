"""The wiring pictures are what their script draws, and they are pictures."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET

from support.paths import ROOT

DOCS = ROOT / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def test_the_pictures_are_those_of_the_script(tmp_path):
    subprocess.run([sys.executable, DOCS / "draw_wiring.py", tmp_path], check=True)
    drawn = sorted(tmp_path.glob("*.svg"))
    assert [file.name for file in drawn] == sorted(file.name for file in DOCS.glob("pictures/wiring-*.svg"))
    page = (DOCS / "rigs.md").read_text(encoding="utf-8")
    for file in drawn:
        assert file.read_bytes() == (DOCS / "pictures" / file.name).read_bytes(), "python docs/draw_wiring.py"
        assert f"(pictures/{file.name})" in page


def test_nothing_is_drawn_outside_of_its_picture():
    for file in DOCS.glob("pictures/wiring-*.svg"):
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
