"""A picture is written in fewer bytes than matplotlib's, and shows the same."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest

from harness.report import canvas, pictures
from harness.report.svg import compact
from support.report import sample
from support.report.sample import one

SVG = "{http://www.w3.org/2000/svg}"
_PART = re.compile(r"([MLHVZCQmlhvzcq])([^MLHVZCQmlhvzcq]*)")
_NUMBER = re.compile(r"-?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)")


def outlines(path):
    """The places of each line of a path, and whether it is closed; in absolute figures."""
    found, x, y = [], 0.0, 0.0
    for letter, said in _PART.findall(path):
        numbers, stays = [float(number) for number in _NUMBER.findall(said)], letter.islower()
        if letter in "zZ":
            found[-1][1] = True
            (x, y) = found[-1][0][0]
            continue
        if letter in "hH":
            numbers = [numbers[0], 0 if stays else y]
        elif letter in "vV":
            numbers = [0 if stays else x, numbers[0]]
        base = (x, y) if stays else (0.0, 0.0)
        places = [(base[0] + a, base[1] + b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
        if letter in "mM":
            found.append([[], False])
        found[-1][0].extend(places)
        (x, y) = places[-1]
    return found


def drawn(svg):
    """Each line, area and text of a picture: (what it looks like, number of its places) -> places of each."""
    shown = []
    tree = ET.fromstring(svg)
    for node in tree.iter():
        style = dict(
            part.split(":") for part in (node.get("style") or "").replace(" ", "").split(";") if part
        )
        style = {name: re.sub(r"#(.)(.)(.)$", r"#\1\1\2\2\3\3", value) for name, value in style.items()}
        if node.tag == f"{SVG}path":
            for places, closed in outlines(node.get("d")):
                colour = style.get("fill"), style.get("stroke"), style.get("stroke-dasharray")
                if closed and places[0] == places[-1]:
                    places.pop()
                if not closed and style.get("fill") == "none" and "stroke-dasharray" not in style:
                    # A thick level line is a box of that height.
                    ((x, y), *_, (right, below)) = places
                    half = float(style.get("stroke-width", 1)) / 2
                    if y == below and len(places) == 2 and half > 1:
                        places = [(x, y + half), (right, y + half), (right, y - half), (x, y - half)]
                        colour = style["stroke"], None, None
                shown.append((colour, tuple(places)))
        elif node.tag == f"{SVG}text":
            numbers = _NUMBER.findall(node.get("transform") or "")[:2]
            place = (node.get("x"), node.get("y")) if node.get("x") else numbers
            usual = (
                style.get("fill", "#222222"),
                style.get("text-anchor", "start"),
                style.get("font-size", "8.5px"),
            )
            shown.append((("".join(node.itertext()), *usual), ((float(place[0]), float(place[1])),)))
        elif node.tag == f"{SVG}use":
            shown.append((("use", style.get("fill")), ((float(node.get("x")), float(node.get("y"))),)))
    found = {}
    for look, places in shown:
        found.setdefault((look, len(places)), []).append(places)
    return found


@pytest.mark.parametrize("made", [sample.failing, sample.passing, sample.hardware])
def test_a_shortened_picture_shows_what_matplotlib_drew(tmp_path, monkeypatch, made):
    before = []
    monkeypatch.setattr(canvas, "compact", lambda svg, *look: before.append(svg) or compact(svg, *look))
    names = ("fido2.client_pin.change", "mini-1") if made is sample.hardware else ()
    op, rows, trace = one(made(), *names)
    pictured = [
        draw(op, rows, tmp_path / "a.svg", trace).read_text()
        for draw in (pictures.cut_map, pictures.flash_raster)
    ]
    if made is sample.hardware:
        pictured.append(pictures.risk(op, rows, tmp_path / "a.svg", trace).read_text())
    for was, now in zip(before, pictured, strict=True):
        assert len(now) < 0.5 * len(was)
        expected, found = drawn(was), drawn(now)
        assert {look: len(of) for look, of in expected.items()} == {
            look: len(of) for look, of in found.items()
        }
        for look, of in expected.items():
            for places in of:
                (there, *_) = (one for one in found[look] if all(map(near, places, one)))
                found[look].remove(there)


def near(a, b):
    return math.dist(a, b) < 0.03
