"""Our own page, and pages that load nothing."""

from __future__ import annotations

import pytest

from harness.report import pictures
from harness.report.offline import loads, offline
from harness.report.page import page, write_page
from harness.report.summary import build_summary, conclude
from support.report import sample

GOOGLE = """<script async src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>
    <script>
        window.dataLayer = window.dataLayer || [];
        function gtag(){dataLayer.push(arguments);}
        gtag('js', new Date());
    </script>
"""


def test_a_failing_run(tmp_path):
    run_dir = sample.failing().write(tmp_path / "run")
    conclude(run_dir)
    pictures.draw_run(run_dir)
    html = write_page(run_dir, ["no Node 20 or newer was found"]).read_text()
    assert loads(html) == []
    assert "<script" not in html
    assert "stands in for Allure" in html
    assert "no Node 20 or newer was found" in html
    assert "keyharness replay kh1:nk3-mini/fido2.get_assertion:20261120:op" in html
    assert html.count("data:image/svg+xml;base64,") == 12
    assert "CTAPHID_INIT while busy" in html
    assert "prefers-color-scheme: dark" in html
    # The operation with violations is shown, the others can be opened.
    assert html.count("<details open>") == 1


def test_what_a_test_says_is_not_markup(tmp_path):
    made = sample.failing()
    made.results[3]["reason"] = "<script>alert(1)</script>"
    made.head["bench"] = '"><img src=//evil>'
    run_dir = made.write(tmp_path / "run")
    html = write_page(run_dir).read_text()
    assert "<script" not in html
    assert loads(html) == []


@pytest.mark.parametrize(
    "made", [sample.passing(), sample.hardware(bad=0.01, missed=30)], ids=["twin", "hardware"]
)
def test_without_pictures_and_reasons(tmp_path, made):
    html = page(build_summary(made.write(tmp_path / "run")))
    assert "stands in" not in html
    assert loads(html) == []


def test_of_a_folder_with_nothing_in_it(tmp_path):
    html = write_page(tmp_path).read_text()
    assert "INTERRUPTED" in html


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://x.example/a.js"></script>',
        "<script async src='//x.example/a.js'></script>",
        "<SCRIPT defer SRC=http://x.example/a.js></SCRIPT>",
        '<link rel="stylesheet" href="https://x.example/a.css">',
        '<link rel=preconnect href="//x.example">',
        GOOGLE,
    ],
)
def test_what_loads_is_found_and_taken_out(tag):
    html = f"<html><head>{tag}</head><body>{tag}<p>here</p></body></html>"
    assert loads(html)
    clean = offline(html)
    assert loads(clean) == []
    assert "<p>here</p>" in clean
    assert clean.index("Content-Security-Policy") < clean.index("</head>")


@pytest.mark.parametrize(
    "tag",
    [
        '<img src="https://x.example/a.png">',
        '<iframe src="//x.example"></iframe>',
        "<style>@import 'https://x.example/a.css';</style>",
        '<meta http-equiv="refresh" content="0; url=https://x.example">',
        "<svg><image href='http://x.example/a.png'/></svg>",
    ],
)
def test_what_else_would_load_is_found(tag):
    assert loads(f"<html><head></head><body>{tag}</body></html>")


@pytest.mark.parametrize(
    "tag",
    [
        '<a href="https://x.example">a link is followed by hand</a>',
        '<img src="data:image/png;base64,AAAA">',
        '<script src="data:text/javascript;base64,AAAA"></script>',
        "<svg xmlns='http://www.w3.org/2000/svg'></svg>",
        '<img src="pictures/a.svg">',
    ],
)
def test_what_loads_nothing_is_left_alone(tag):
    html = f"<html><head></head><body>{tag}</body></html>"
    assert loads(html) == []
    assert tag in offline(html)
