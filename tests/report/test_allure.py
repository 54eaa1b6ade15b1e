"""Allure's page: what is written for it, made with Node where there is one, and what stands in for it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.report import allure, allure_history, files, pictures
from harness.report.node_js import find_tools
from harness.report.offline import loads
from harness.report.summary import conclude
from support.limits import HUNG_S
from support.paths import ABSENT, SUPPORT
from support.report import sample

NOWHERE = {
    "PATH": str(ABSENT),
    "KEYHARNESS_NODE": str(ABSENT / "node"),
    "KEYHARNESS_ALLURE": str(ABSENT),
}
TOOLS = find_tools()
needs_allure = pytest.mark.skipif(bool(TOOLS.missing), reason="; ".join(TOOLS.missing))
CHROMIUM = shutil.which("chromium")


def test_environment_is_escaped():
    text = allure.environment_properties(sample.head(bench="C:\\a=b", version=None))
    assert "Bench=C:\\\\a=b\n" in text
    assert "Rig\\ nk3-mini=Nitrokey 3A Mini, v1.8.3, reference, ctaphid\n" in text
    assert "Keyharness" not in text


def test_results_about_the_run(tmp_path):
    allure.write_results_about(tmp_path, sample.head())
    names = sorted(path.name for path in (tmp_path / files.ALLURE_RESULTS).iterdir())
    assert names == ["categories.json", "environment.properties", "executor.json"]


@pytest.mark.parametrize(
    ("message", "category"),
    [
        ('x:\n   S1 key   fido2.x: item "a" lost\n  28 cuts', "Violation: lost"),
        ('x:\n   S2 key   fido2.x: item "a" rolled back\n', "Violation: rolled back"),
        ("harness.base.errors.RigError: hub", "The rig's fault: not the key's"),
        ("harness.base.errors.CallerError: no PIN", "The caller's mistake"),
        ("assert 1 == 2", None),
    ],
)
def test_categories_by_message(message, category):
    found = [row["name"] for row in allure.categories() if re.fullmatch(row["messageRegex"], message)]
    assert found[:1] == ([category] if category else [])


def test_without_node_our_page_stands_in(tmp_path):
    run_dir = sample.failing().write(tmp_path / "run")
    conclude(run_dir)
    path = allure.generate(run_dir, environ=NOWHERE)
    html = path.read_text()
    assert path == run_dir / "index.html"
    assert "stands in for Allure" in html
    assert "the npm package allure 3.18.0 is not installed" in html
    assert "python -m harness.report.node_js" in html


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("process.exit(3)", "exit code 3"),
        ("", "without an error and without a page"),
        ("require('fs').mkdirSync('x')", "without an error and without a page"),
        ("syntax error here", "exit code 1"),
    ],
)
def test_an_allure_that_fails_is_told(tmp_path, script, told):
    if TOOLS.node is None:
        pytest.skip("no Node")
    package = tmp_path / "allure"
    package.mkdir()
    (package / "package.json").write_text('{"name": "allure", "version": "3.18.0"}')
    (package / "cli.js").write_text(script)
    run_dir = sample.passing().write(tmp_path / "run")
    (run_dir / "allure-results").mkdir()
    (run_dir / "allure-results" / "a-result.json").write_text("{}")
    environ = {"KEYHARNESS_NODE": str(TOOLS.node.program), "KEYHARNESS_ALLURE": str(package)}
    html = allure.generate(run_dir, environ=environ).read_text()
    assert "stands in for Allure" in html
    assert told in html


def test_labels_do_nothing_without_allure(tmp_path):
    code = (
        "from harness.report import allure_labels as labels\n"
        "import sys\n"
        "labels.label_case(suite='a', rig='b'); labels.label_failure('key', ['lost'])\n"
        "labels.attach_evidence([]); labels.attach_replay('kh1:x'); labels.attach_text('a', 'b')\n"
        "assert 'allure' not in sys.modules and not labels.active()\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def cases_of(run_dir: Path, cases: str = "sample_cases.py") -> list[dict]:
    """Run cases of the sample under allure-pytest; returns what it wrote of them."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", str(run_dir)]
    command += ["-p", "no:cacheprovider", "-p", "no:keyharness", "-p", "no:xdist"]
    command += ["--alluredir", str(run_dir / files.ALLURE_RESULTS)]
    command.append(str(SUPPORT / "report" / cases))
    env = {**os.environ, "SAMPLE_RUN_DIR": str(run_dir), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    results = (run_dir / files.ALLURE_RESULTS).glob("*-result.json")
    return [json.loads(path.read_text()) for path in results]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs with Allure's results, the second one failing."""
    reports = tmp_path_factory.mktemp("reports [a] {b}")
    first = sample.passing().write(reports / "first")
    second = sample.failing()
    second.head |= {"run": "20261121-101010-aaaa", "started": "2026-11-21T10:10:10Z"}
    second.write(reports / "second")
    for name in ("first", "second"):
        conclude(reports / name)
        pictures.draw_run(reports / name)
        allure.write_results_about(reports / name, json.loads((reports / name / "run.json").read_text()))
    return first, reports / "second", cases_of(first), cases_of(reports / "second")


def labelled(case: dict, name: str) -> list[str]:
    return [label["value"] for label in case["labels"] if label["name"] == name]


def test_labels(runs):
    *_, cases = runs
    (failed,) = [case for case in cases if labelled(case, "outcome")]
    assert failed["status"] == "failed"
    assert labelled(failed, "epic") == ["endurance"]
    assert labelled(failed, "feature") == ["fido2"]
    assert labelled(failed, "story") == ["fido2.get_assertion"]
    assert labelled(failed, "blame") == ["key"]
    assert labelled(failed, "outcome") == ["lost", "stuck"]
    assert labelled(failed, "severity") == ["blocker"]
    kinds = {attached["name"]: attached["type"] for attached in failed["attachments"]}
    assert kinds == {
        "evidence": "text/plain",
        "cut map": "image/svg+xml",
        "flash raster": "image/svg+xml",
        "replay": "text/plain",
    }
    excluded = {parameter["name"]: parameter.get("excluded") for parameter in failed["parameters"]}
    assert (excluded["rig"], excluded["firmware"], excluded["seed"]) == (None, True, True)


def test_a_test_keeps_its_history_id(runs):
    _, _, first, second = runs
    assert {case["historyId"] for case in first} == {case["historyId"] for case in second}


def test_cases_that_differ_only_in_bytes_stay_apart(tmp_path):
    shown = [str(case["parameters"]) for case in cases_of(tmp_path, "sample_bytes.py")]
    assert len(set(shown)) == 3


@needs_allure
def test_allure_s_page(runs):
    first, second, *_ = runs
    for run_dir in (first, second):
        html = allure.generate(run_dir).read_text()
        assert "allureReportData" in html
        assert loads(html) == []
        assert "googletagmanager" not in html
    data = {
        name: json.loads(base64.b64decode(body))
        for name, body in re.findall(
            r'd\("((?:widgets|data/test-results)/[^"]+\.json)","([A-Za-z0-9+/=]*)"\)', html
        )
    }
    names = {
        node["name"]
        for node in data["widgets/categories.json"]["nodes"].values()
        if node["type"] == "category"
    }
    assert names == {"Violation: lost", "The key's fault"}
    seen = [case for name, case in data.items() if name.startswith("data/test-results/")]
    (failed,) = [case for case in seen if case["name"] == "Sign in"]
    assert [(past["status"]) for past in failed["history"]] == ["passed"]
    entries = [json.loads(line) for line in (first.parent / "history.jsonl").read_text().splitlines()]
    assert [entry["name"] for entry in entries] == [
        "Keyharness 20261120-093012-7c1e",
        "Keyharness 20261121-101010-aaaa",
    ]
    # Made again, a run is still one entry, and nothing is left beside the page.
    before = sorted(path.name for path in second.iterdir())
    allure.generate(second)
    assert len((first.parent / "history.jsonl").read_text().splitlines()) == 2
    assert sorted(path.name for path in second.iterdir()) == before


@needs_allure
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the page with")
def test_the_page_makes_no_request(runs, tmp_path):
    html = allure.generate(runs[1]).read_text()
    probe = "addEventListener('securitypolicyviolation', e => document.title = 'forbidden ' + e.blockedURI)"
    page = tmp_path / "page.html"
    page.write_text(html.replace("</head>", f"<script>{probe}</script></head>", 1))
    asked, dom = opened(page, tmp_path)
    assert asked == set()
    assert "<title>forbidden" not in dom
    assert "endurance" in dom
    # The same look at a page that does ask.
    page.write_text("<script src='http://127.0.0.1:9/tag.js'></script><p>endurance</p>")
    assert opened(page, tmp_path)[0] == {"127.0.0.1:9"}


def opened(page: Path, tmp_path: Path) -> tuple[set[str], str]:
    """What a page asks for when a fresh browser opens it (the browser's own requests have no origin)."""
    log = tmp_path / "net.json"
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)
    dom = chromium(page, tmp_path, f"--log-net-log={log}", "--dump-dom").stdout
    asks = re.compile(r'"initiator":"(?!not an origin)[^\n]*?"url":"(?:https?|wss?|ftp)://([^/"]+)')
    return set(asks.findall(log.read_text(errors="replace"))), dom


def chromium(page: Path, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", profile]
    command += ["--disable-background-networking", "--virtual-time-budget=3000", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=HUNG_S, check=False)


def entry(run: str, at: int) -> dict:
    return {"uuid": run, "name": allure_history.entry_name(run), "timestamp": at, "testResults": {}}


def write_history(path: Path, *entries: dict) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in entries))


def names_in(path: Path) -> list[str]:
    return [json.loads(line)["uuid"] for line in path.read_text().splitlines()]


def test_history_before_a_run(tmp_path):
    early, late = (
        allure_history.started_ms("2026-11-19T00:00:00Z"),
        allure_history.started_ms("2026-11-21T00:00:00Z"),
    )
    write_history(tmp_path / "history.jsonl", entry("a", early), entry("b", early + 1), entry("c", late))
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"uuid": "torn')
    allure_history.lay_out(tmp_path, "b", "2026-11-20T00:00:00Z", tmp_path / "copy")
    assert names_in(tmp_path / "copy") == ["a"]
    allure_history.lay_out(tmp_path, "x", None, tmp_path / "copy")
    assert names_in(tmp_path / "copy") == ["a", "b", "c"]


def test_history_takes_a_run_in_once(tmp_path):
    for _ in range(2):
        write_history(tmp_path / "copy", entry("b", 5), entry("a", 9))
        allure_history.take_in(tmp_path, "a", "1970-01-01T00:00:00.004Z", tmp_path / "copy")
    assert names_in(tmp_path / "history.jsonl") == ["a"]
    write_history(tmp_path / "copy", entry("c", 2))
    allure_history.take_in(tmp_path, "c", None, tmp_path / "copy")
    assert names_in(tmp_path / "history.jsonl") == ["c", "a"]


def test_history_does_not_grow_for_ever(tmp_path):
    write_history(tmp_path / "history.jsonl", *(entry(f"r{i}", i) for i in range(200)))
    write_history(tmp_path / "copy", entry("new", 1000))
    allure_history.take_in(tmp_path, "new", None, tmp_path / "copy")
    assert len(names_in(tmp_path / "history.jsonl")) == allure_history.RUNS_MAX
    assert names_in(tmp_path / "history.jsonl")[-1] == "new"


def test_evidence_is_attached_line_by_line(runs):
    _, second, _, cases = runs
    (failed,) = [case for case in cases if labelled(case, "outcome")]
    (source,) = [a["source"] for a in failed["attachments"] if a["name"] == "evidence"]
    rows = [json.loads(line) for line in (second / files.ALLURE_RESULTS / source).read_text().splitlines()]
    assert rows
    assert {row["operation"] for row in rows} == {"fido2.get_assertion"}
