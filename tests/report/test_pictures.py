"""The pictures: what is in them, and that the same input gives the same bytes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from harness.report import pictures, risk
from harness.report.canvas import lanes, merged
from harness.report.cut_map import place
from harness.report.flash_raster import collect, commit_point
from support.paths import with_support
from support.report import sample
from support.report.sample import one

SVG = "{http://www.w3.org/2000/svg}"


def texts(path):
    return ["".join(node.itertext()).strip() for node in ET.parse(path).iter(f"{SVG}text")]


def test_cut_map_says_what_it_shows(tmp_path):
    op, rows, trace = one(sample.failing())
    said = texts(pictures.cut_map(op, rows, tmp_path / "a.svg", trace))
    assert "fido2.get_assertion on nk3-mini" in said
    assert {"unchanged", "completed", "lost", "stuck"} <= set(said)
    assert {"request sent", "keepalive (first of 3)", "keepalive 3", "response"} <= set(said)
    assert (
        "123 judged cuts · 35 distinct states · every modelled flash operation in every modelled phase"
        in said
    )


def test_the_marker_that_a_finding_names_is_on_the_cut_map(tmp_path):
    op, rows, trace = one(sample.failing())
    assert "keepalive 2" not in texts(pictures.cut_map(op, rows, tmp_path / "a.svg", trace))
    op["findings"][0]["narrowest"] = {"text": 'between 1.0 and 2.5 ms after "keepalive 2"; not at 0.2 ms'}
    said = texts(pictures.cut_map(op, rows, tmp_path / "a.svg", trace))
    assert {"keepalive 2", "keepalive (first of 3)", "keepalive 3"} <= set(said)


def test_cut_map_of_a_sampled_operation(tmp_path):
    op, rows, trace = one(sample.hardware(), "fido2.client_pin.change", "mini-1")
    said = texts(pictures.cut_map(op, rows, tmp_path / "a.svg", trace))
    assert "918 judged cuts · 459 of them evenly spread" in said
    assert "a window that fails every hit and is wider than 12 ms would have been found (95 %)" in said


def test_coverage_is_below_the_lanes(tmp_path):
    op, rows, trace = one(sample.hardware(), "fido2.client_pin.change", "mini-1")
    said = texts(pictures.cut_map(op, rows, tmp_path / "a.svg", trace))
    assert "459 evenly spread" in said
    assert "w95 12 ms" in said
    walked, walk, trace = one(sample.passing())
    assert not any(
        "evenly" in text for text in texts(pictures.cut_map(walked, walk, tmp_path / "b.svg", trace))
    )


def test_where_a_finding_lies_is_framed(tmp_path):
    op, rows, trace = one(sample.hardware(), "fido2.client_pin.change", "mini-1")
    plain = pictures.cut_map(op, rows, tmp_path / "a.svg", trace).read_text()
    finding = {"narrowest": {"from_us": 100_000, "to_us": 150_000}}
    framed = pictures.cut_map({**op, "findings": [finding]}, rows, tmp_path / "b.svg", trace).read_text()
    assert framed.count("stroke-dasharray") == plain.count("stroke-dasharray") + 1


def test_risk_comes_down_to_the_bound(tmp_path):
    op, rows, trace = one(sample.hardware(), "fido2.client_pin.change", "mini-1")
    way = risk.steps(op, rows, trace)
    assert way[-1].cuts == len(rows)
    assert way[-1].below == pytest.approx(op["bound"]["below"], rel=0.01)
    assert all(later.below <= earlier.below for earlier, later in pairwise(way))
    known = [step.window_us for step in way if step.window_us is not None]
    assert known[0] > known[-1]
    goal = {**op, "goal": {"confidence": 0.99, "below": 0.01}}
    said = texts(pictures.risk(goal, rows, tmp_path / "a.svg", trace))
    assert "1 %" in said
    assert any(text.startswith("bound (99 %, approximate): below 1 %") for text in said)
    again = pictures.risk(goal, rows, tmp_path / "b.svg", trace).read_bytes()
    assert (tmp_path / "a.svg").read_bytes() == again


def test_risk_rises_with_a_violation():
    op, rows, trace = one(sample.hardware(), "fido2.client_pin.change", "mini-1")
    at = next(i for i, row in enumerate(rows) if i > 400 and row["stream"] == "cover")
    bad = [*rows[:at], {**rows[at], "outcome": "lost", "blame": "key"}, *rows[at + 1 :]]
    clean, spoiled = (risk.steps(op, some, trace)[-1].below for some in (rows, bad))
    assert spoiled > 1.3 * clean


def test_marks_are_inferred_where_there_is_no_trace():
    _, rows, _ = one(sample.hardware(), "fido2.client_pin.change", "mini-1")
    placed = place(rows, None)
    assert placed.marks == [("request-sent", 0.0), ("keepalive", 200_000.0)]
    assert len(placed.cuts) == len(rows)


def test_cuts_stand_where_they_were():
    _, rows, trace = one(sample.passing())
    placed = place(rows, trace)
    assert len(placed.cuts) == len(rows)
    assert placed.x(placed.first_us) == 0
    assert placed.x(trace["marks"][-1]["at_us"]) == 1
    first = trace["ops"][0]
    assert placed.cuts[0][0] == first["start_us"]
    assert placed.cuts[4][0] == first["end_us"]
    assert first["start_us"] < placed.cuts[2][0] < first["end_us"]


def live(offset_us, lost, outcome="old"):
    planned = {"marker": "request-sent", "offset_us": offset_us}
    landed = lost is not None and lost[1] is not None
    cut = {"fired_us": offset_us, "lost": lost, "stream": "cover", "landed": landed, "outcome": outcome}
    return {"rig": "mini-1", "operation": "fido2.client_pin.change", "planned": planned, **cut}


LIVE = {"marks": [{"name": "request-sent", "at_us": 1_000}, {"name": "response", "at_us": 101_000}]}


def test_a_live_cut_stands_where_its_power_went_and_not_where_it_was_planned(tmp_path):
    late, unknown = live(20_000, [60_000, 64_000]), live(30_000, [45_000, None], "missed")
    gone, never = live(40_000, [900_000, 900_000], "missed"), live(50_000, None, "missed")
    placed = place([late, unknown, gone, never], LIVE)
    assert placed.spans == [(60_000, 64_000), (45_000, 45_000), (111_000, 111_000), (51_000, 51_000)]
    assert [at for at, _ in placed.cuts] == [62_000, 45_000, 111_000, 51_000]
    assert placed.covering == [62_000]


def test_the_width_of_a_live_cut_is_that_of_its_interval(tmp_path):
    def drawn(lost):
        rows = [live(20_000, lost), live(30_000, [70_000, 71_000], "new")]
        return pictures.cut_map(sample.campaign(rows), rows, tmp_path / "a.svg", LIVE).read_text()

    assert drawn([40_000, 60_000]) != drawn([49_000, 51_000])


def test_flash_raster_says_what_it_shows(tmp_path):
    op, rows, trace = one(sample.passing())
    said = texts(pictures.flash_raster(op, rows, tmp_path / "a.svg", trace))
    assert "22 flash operations: 4 erases (tall, framed), 18 programs (low), on 7 pages" in said
    assert "commit point: after operation 13" in said
    assert any(text.startswith("internal page ") for text in said)
    assert "end" in said


def test_raster_is_broken_into_lines(tmp_path):
    trace = sample.make_trace(random.Random(1), 30, 270)
    rows = sample.walk("nk3-mini", "big", trace, commit=211)
    said = texts(pictures.flash_raster(sample.campaign(rows), rows, tmp_path / "a.svg", trace))
    assert said.count("unchanged") == 4
    assert {"1", "75", "76", "150", "151", "225", "226", "end"} <= set(said)


@pytest.mark.parametrize(
    ("bad", "commit", "point"),
    [
        ({}, 13, 13),
        ({(15, "torn1"): "lost"}, 13, 15),
        ({(15, "after"): "lost"}, 13, 16),
        ({(16, "before"): "lost"}, 13, 16),
        ({(23, "end"): "lost"}, 13, None),
        ({(20, "torn1"): "missed"}, 13, 13),
        ({}, 99, None),
        ({}, 0, 0),
    ],
)
def test_commit_point(bad, commit, point):
    trace = sample.make_trace(random.Random("fido2.get_assertion"), 4, 18)
    rows = sample.walk("r", "o", trace, commit=commit, bad=bad, nested=9)
    assert commit_point(rows, 22) == point


def test_the_worst_outcome_of_a_cell_is_drawn():
    rows = sample.walk("r", "o", sample.make_trace(random.Random(1), 1, 1), commit=1)
    twice = [*rows, {**rows[0], "outcome": "lost"}, {**rows[0], "outcome": "new"}]
    cells = collect(twice)
    assert cells.worst[1, "before"] == "lost"
    assert cells.phases == ("before", "torn1", "torn2", "torn3", "after")


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_same_input_same_bytes(tmp_path, suffix):
    op, rows, trace = one(sample.failing())
    for draw in (pictures.cut_map, pictures.flash_raster):
        first = draw(op, rows, tmp_path / f"a{suffix}", trace).read_bytes()
        assert draw(op, rows, tmp_path / f"b{suffix}", trace).read_bytes() == first


def test_same_bytes_in_another_process_with_other_settings(tmp_path):
    op, rows, trace = one(sample.passing())
    here = pictures.cut_map(op, rows, tmp_path / "a.svg", trace).read_bytes()
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nsvg.fonttype: path\nlines.color: red\n")
    code = (
        "import sys\n"
        "from harness.report import pictures\n"
        "from support.report import sample\n"
        "from support.report.sample import one\n"
        "from pathlib import Path\n"
        "op, rows, trace = one(sample.passing())\n"
        "pictures.cut_map(op, rows, Path('b.svg'), trace)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=with_support(), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "b.svg").read_bytes() == here


def test_an_svg_loads_nothing(tmp_path):
    op, rows, trace = one(sample.failing())
    text = pictures.flash_raster(op, rows, tmp_path / "a.svg", trace).read_text()
    assert "DOCTYPE" not in text
    assert "<metadata" not in text
    assert 'href="http' not in text


def test_no_warning(tmp_path):
    op, rows, trace = one(sample.failing())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.cut_map(op, rows, tmp_path / "a.svg", trace)
        pictures.flash_raster(op, rows, tmp_path / "b.svg", trace)


def test_a_picture_of_two_thousand_cuts_is_a_small_file(tmp_path):
    trace = sample.make_trace(random.Random(1), 30, 270, keepalives=60)
    rows = sample.walk("nk3-mini", "big", trace, commit=211, middle="bootloader", nested=500)
    op = sample.campaign(rows)
    for draw in (pictures.cut_map, pictures.flash_raster):
        path = draw(op, rows, tmp_path / "a.svg", trace)
        assert path.stat().st_size < 500_000


def test_next_to_nothing_can_be_drawn(tmp_path):
    op, _, trace = one(sample.passing())
    empty = {**op, "cuts": 0, "outcomes": {}, "distinct_states": None}
    pictures.cut_map(empty, [], tmp_path / "a.svg", trace)
    pictures.cut_map(empty, [], tmp_path / "b.svg")
    pictures.flash_raster(empty, [], tmp_path / "c.svg", trace)
    pictures.risk(empty, [], tmp_path / "e.svg", trace)
    no_marks = {**trace, "marks": []}
    pictures.cut_map(op, one(sample.passing())[1], tmp_path / "d.svg", no_marks)
    for name in "abcde":
        assert op["operation"] in " ".join(texts(tmp_path / f"{name}.svg")), name


def test_pictures_of_a_run(tmp_path):
    made = sample.passing()
    run_dir = made.write(tmp_path / "run")
    drawn = pictures.draw_run(run_dir)
    assert len(drawn) == 2 * len(made.operations)
    assert sorted(drawn) == sorted((run_dir / "pictures").iterdir())
    op, rows, trace = one(made)
    assert pictures.draw(tmp_path / "again", op, rows, trace)[0].read_bytes() == drawn[4].read_bytes()


def test_pictures_that_are_drawn_again_show_the_cuts_of_one_trace(tmp_path):
    """As those that the run drew itself: cuts from another home, or with more after them, have other instants."""
    made = sample.passing()
    run_dir = made.write(tmp_path / "run")
    first = {path.name: path.read_bytes() for path in pictures.draw_run(run_dir)}
    evidence = run_dir / "evidence.jsonl"
    rows = [json.loads(text) for text in evidence.read_text().splitlines()]
    beside = [{**row, "stream": stream, "outcome": "lost"} for row in rows for stream in ("home", "next")]
    evidence.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *beside]))
    assert {path.name: path.read_bytes() for path in pictures.draw_run(run_dir)} == first


def test_a_sample_has_a_raster_only_if_it_found_something(tmp_path):
    op, rows, trace = one(sample.passing())
    sampled = {**op, "exhaustive": False}

    def kinds(operation, name):
        return {path.name.split(".")[-2] for path in pictures.draw(tmp_path / name, operation, rows, trace)}

    assert "flash-raster" in kinds(op, "walked")
    assert "flash-raster" not in kinds({**sampled, "violations": 0}, "clean")
    assert "flash-raster" in kinds({**sampled, "violations": 1}, "bad")


def test_lanes():
    assert lanes(["lost", "recovered"]) == ["old", "new", "recovered", "lost"]


def test_merged():
    assert merged([(2, 0, 1, 1), (0, 0, 1, 1), (1, 0, 1, 1), (4, 0, 1, 1)]) == [(0, 0, 3, 1), (4, 0, 1, 1)]
