"""Allure's page and results: what is written for them, and the page that Node makes where there is one."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.case_archive import ARCHIVE, pack_cases
from harness.report import allure, allure_archive, allure_history, allure_readable, files, pictures
from harness.report.allure_compact import compact
from harness.report.files import Damage
from harness.report.node_js import find_tools
from harness.report.offline import loads
from harness.report.report import write_report
from harness.report.summary import conclude
from support.paths import ABSENT, SUPPORT
from support.report import chromium, sample
from support.report.results import allure_results
from support.report.size import BYTES_OF_CASES, BYTES_OF_HISTORY, CASES

NOWHERE = {
    "PATH": str(ABSENT),
    "KEYHARNESS_NODE": str(ABSENT / "node"),
    "KEYHARNESS_ALLURE": str(ABSENT),
}
TOOLS = find_tools()
needs_allure = pytest.mark.skipif(bool(TOOLS.missing), reason="; ".join(TOOLS.missing))


def reported(run_dir: Path, environ=os.environ) -> Path:
    """Make everything of a run, as its end does."""
    write_report(run_dir, conclude(run_dir)[0], environ=environ)
    return run_dir


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
        ("Skipped: not offered: no such command", "Not offered by this key"),
        ("XFAIL the key sorts otherwise", "Deviation: does not fail the run"),
        ("assert 1 == 2", None),
    ],
)
def test_categories_by_message(message, category):
    found = [row["name"] for row in allure.categories() if re.fullmatch(row["messageRegex"], message)]
    assert found[:1] == ([category] if category else [])


def test_without_node_there_is_our_page_alone_and_says_why(tmp_path):
    run_dir = sample.failing().write(tmp_path / "run")
    (run_dir / files.ALLURE_RESULTS).mkdir()
    (run_dir / files.ALLURE_RESULTS / "a-result.json").write_text(
        '{"uuid": "a", "name": "a", "status": "passed"}'
    )
    (run_dir / files.ALLURE_PAGE).write_text("what an earlier report showed")
    html = (reported(run_dir, NOWHERE) / "index.html").read_text()
    assert "Allure's page is not here" in html
    assert "the npm package allure 3.18.0 is not installed" in html
    assert "python -m harness.report.node_js" in html
    assert not (run_dir / files.ALLURE_PAGE).exists()
    assert not (run_dir / files.ALLURE_RESULTS).exists()
    assert [one["name"] for one in allure_results(run_dir)] == ["a"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("process.exit(3)", "exit code 3"),
        ("", "without an error and without a page"),
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
    html = (reported(run_dir, environ) / "index.html").read_text()
    assert "Allure's page is not here" in html
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


@pytest.fixture(scope="module")
def made(runs):
    """The two runs with everything made; of the second one what its page holds, too."""
    first, second, *_ = runs
    for run_dir in (first, second):
        reported(run_dir)
    html = (second / files.ALLURE_PAGE).read_text() if not TOOLS.missing else ""
    found = re.findall(r'd\("((?:widgets|data/test-results)/[^"]+\.json)","([A-Za-z0-9+/=]*)"\)', html)
    return first, second, html, {name: json.loads(base64.b64decode(body)) for name, body in found}


def case_of(run_dir: Path, operation: str) -> dict:
    (found,) = [one for one in allure_results(run_dir) if operation in labelled(one, "story")]
    return found


def test_results_are_in_one_archive_and_the_same_results_give_the_same_bytes(made, tmp_path):
    second = Path(shutil.copytree(made[1], tmp_path / "copy"))
    archive = second / files.ALLURE_ARCHIVE
    assert not (second / files.ALLURE_RESULTS).exists()
    with zipfile.ZipFile(archive) as zipped:
        names = zipped.namelist()
        assert names == sorted(names)
        assert {"categories.json", "environment.properties", "executor.json"} <= set(names)
        assert {entry.date_time for entry in zipped.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        verdict = zipped.read("environment.properties").decode()
    assert verdict.startswith("Verdict=FAIL\n")
    before = archive.read_bytes()
    allure_archive.collect(second, tmp_path / "unpacked", Damage())
    assert allure_archive.pack(tmp_path / "unpacked", tmp_path).read_bytes() == before
    reported(second, NOWHERE)
    assert archive.read_bytes() == before, "made again from the archive, it is the same archive"


def test_titles_are_words_and_severities_are_those_of_the_findings(made):
    first, second, *_ = made
    names = {one["name"] for one in allure_results(first)}
    assert {"Sign in", "Set a PIN", "exclude list"} <= names
    assert not [name for name in names if "::" in name or "_" in name]
    assert labelled(case_of(second, "fido2.get_assertion"), "severity") == ["blocker"]
    assert not {label["name"] for one in allure_results(first) for label in one["labels"]} & {
        "host",
        "package",
    }


def test_a_campaign_shows_steps_and_passed_ones_are_slim(made):
    first, second, *_ = made
    failed, passed = case_of(second, "fido2.get_assertion"), case_of(first, "fido2.get_assertion")
    assert [step["status"] for step in passed["steps"]] == ["passed"] * 3
    assert not {"attachments", "titlePath"} & passed.keys()
    assert not labelled(passed, "thread"), "one process has run all cases"
    assert [step["status"] for step in failed["steps"]] == ["passed", "passed", "failed", "failed", "failed"]
    assert failed["steps"][3]["name"].startswith('S1: Sign in, cut 3.2 ms after "request sent": ')
    assert failed["steps"][3]["statusDetails"]["message"].startswith("keyharness replay kh1:")
    assert [one["name"] for one in failed["attachments"]] == ["evidence", "cut map", "flash raster", "replay"]
    with zipfile.ZipFile(second / files.ALLURE_ARCHIVE) as zipped:
        assert not [name for name in zipped.namelist() if "container" in name]
        attached = {name for name in zipped.namelist() if "-attachment" in name}
    assert attached == {one["source"] for one in failed["attachments"]} | {"verdict-attachment.txt"}


def test_not_offered_is_apart_from_skipped(made):
    first, *_ = made
    tags = [(one["status"], tag) for one in allure_results(first) for tag in labelled(one, "tag")]
    assert tags == [("skipped", "not run")]  # the sample's reason does not say "not offered"
    offered = {"status": "skipped", "statusDetails": {"message": "Skipped: not offered: no U2F"}}
    assert allure_readable.skip_tag(offered) == "not offered"
    assert (
        allure_readable.skip_tag({"status": "skipped", "statusDetails": {"message": "XFAIL x"}})
        == "deviation"
    )


def test_history_ids_stay_when_results_are_made_readable(runs, made):
    *_, second = runs
    assert {one["historyId"] for one in allure_results(made[1])} == {case["historyId"] for case in second}


@pytest.mark.parametrize(
    "name", ["../outside-result.json", "/outside-result.json", "a/b-result.json", "..", "folder/"]
)
def test_an_archive_from_elsewhere_writes_only_into_its_folder(tmp_path, name):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with zipfile.ZipFile(run_dir / files.ALLURE_ARCHIVE, "w") as zipped:
        zipped.writestr(name, "x")
        zipped.writestr("good-result.json", "{}")
    into = tmp_path / "into"
    allure_archive.collect(run_dir, into, Damage())
    assert [path.name for path in into.iterdir()] == ["good-result.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["into", "run"]


def test_a_damaged_or_endless_archive_is_named_and_left_out(tmp_path, monkeypatch):
    archive = tmp_path / files.ALLURE_ARCHIVE
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a-result.json", bytes(100_000))
    whole = archive.read_bytes()
    for at in range(0, len(whole), 7):
        archive.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        damage = Damage()
        allure_archive.collect(tmp_path, tmp_path / "into", damage)
        assert len(damage.sentences) <= 1
    archive.write_bytes(whole)
    monkeypatch.setattr(allure_archive, "BYTES_MAX", 99_999)
    damage = Damage()
    allure_archive.collect(tmp_path, tmp_path / "large", damage)
    assert "100,000 bytes: more than any run leaves" in damage.sentences[0]
    assert not list((tmp_path / "large").iterdir())


@needs_allure
def test_allure_s_page(made):
    first, second, html, data = made
    assert "allureReportData" in html
    assert loads(html) == []
    assert "googletagmanager" not in html
    names = {
        node["name"]
        for node in data["widgets/categories.json"]["nodes"].values()
        if node["type"] == "category"
    }
    assert names == {"Violation: lost", "The key's fault", "Not run"}
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
    reported(second)
    assert len((first.parent / "history.jsonl").read_text().splitlines()) == 2
    assert sorted(path.name for path in second.iterdir()) == before


@needs_allure
def test_both_pages_say_the_verdict_and_link_each_other(made):
    first, second, html, data = made
    (gate,) = data["widgets/quality-gate.json"]["default"]
    assert (gate["success"], gate["actual"]) == (False, "fail")
    assert "exit code 1" in gate["message"]
    (error,) = data["widgets/globals.json"]["errors"]
    assert error["message"].startswith("FAIL: 2 findings against the key")
    assert html.index("<strong>FAIL</strong>") < html.index('href="index.html"') < html.index('id="app"')
    assert 'href="allure.html"' in (second / "index.html").read_text()
    assert "<strong>PASS (exhaustive)</strong>" in (first / files.ALLURE_PAGE).read_text()


@needs_allure
@pytest.mark.skipif(chromium.PROGRAM is None, reason="no chromium to open the page with")
@pytest.mark.parametrize("above", [0, 10**9], ids=["compact", "plain"])
def test_the_page_makes_no_request(made, tmp_path, monkeypatch, above):
    monkeypatch.setattr("harness.report.allure_compact.ABOVE", above)
    *_, html, _ = made
    shown = compact(html)
    assert (shown == html) == bool(above)
    assert loads(shown) == []
    # On a slow machine Allure's program looks for a file beside the page; that is no request.
    probe = "addEventListener('securitypolicyviolation', e => e.blockedURI == 'file' || "
    probe += "(document.title = 'forbidden ' + e.blockedURI))"
    page = tmp_path / "page.html"
    page.write_text(shown.replace("</head>", f"<script>{probe}</script></head>", 1))
    asked, dom = chromium.opened(page, tmp_path)
    assert asked == set()
    assert "<title>forbidden" not in dom
    assert "endurance" in dom
    assert "Quality Gates" in dom
    # The same look at a page that does ask.
    page.write_text("<script src='http://127.0.0.1:9/tag.js'></script><p>endurance</p>")
    assert chromium.opened(page, tmp_path)[0] == {"127.0.0.1:9"}


def test_a_large_page_is_compressed_and_holds_the_same():
    bodies = {f"data/{n}.json": json.dumps({"n": n, "text": "ü" * n}).encode() for n in range(300)}
    bodies["widgets/tree.json"] = json.dumps([*range(200_000)]).encode()
    bodies["widgets/default/tree.json"] = json.dumps([*range(199_999, -1, -1)]).encode()
    again = "a name that comes again, ü"
    bodies[f"data/{'b' * 32}.json"] = json.dumps({"name": again, "id": "a" * 32}, ensure_ascii=False).encode()
    bodies["data/other.json"] = json.dumps([again, f"{'b' * 32}.{'c' * 32}"], ensure_ascii=False).encode()
    bodies["data/attachment"] = b'"a name that comes again, \xff" \x010\x02 "a name that comes again, \xff"'
    bodies["widgets/nav.json"], bodies["widgets/default/nav.json"] = b"[1]", b"[2]"
    calls = ",".join(f'd("{name}","{base64.b64encode(body).decode()}")' for name, body in bodies.items())
    program = b"console.log('program')"
    html = (
        f'<html><head></head><body><script src="data:text/javascript;base64,{base64.b64encode(program).decode()}">'
        f"</script><script defer>Promise.allSettled([{calls}]).then(function(){{}})</script></body></html>"
    )
    small = compact(html)
    assert len(small) < len(html) / 4
    assert small == compact(html), "the same page gives the same bytes"
    (packed,) = re.findall(r'const text = "([^"\\]+)";', small)
    table, head, rest = gzip.decompress(base64.b85decode(packed)).split(b"\n", 2)
    fragments = json.loads(table)
    assert sorted(fragments) == [again, "b" * 32]

    def filled(held):
        number = re.compile("\x01([0-9a-z]+)\x02")
        return number.sub(lambda one: fragments[int(one[1], 36)], held.decode()).encode()

    found = [
        (filled(name.encode()).decode(), filled(body) if numbered else body)
        for name, start, length, numbered in json.loads(head)
        for body in [rest[start : start + length]]
    ]
    # Of two that differ in order only, one is held.
    bodies["widgets/default/tree.json"] = bodies["widgets/tree.json"]
    assert found == [("", program), *bodies.items()]
    assert rest.count(bodies["widgets/tree.json"]) == 1
    assert compact("<html>not a page of Allure's</html>") == "<html>not a page of Allure's</html>"


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


def test_evidence_is_attached_line_by_line(runs, made):
    _, second, _, cases = runs
    (failed,) = [case for case in cases if labelled(case, "outcome")]
    (source,) = [a["source"] for a in failed["attachments"] if a["name"] == "evidence"]
    with zipfile.ZipFile(second / files.ALLURE_ARCHIVE) as zipped:
        rows = [json.loads(line) for line in zipped.read(source).decode().splitlines()]
    assert rows
    assert {row["operation"] for row in rows} == {"fido2.get_assertion"}


def test_a_run_that_goes_on_has_its_results_again(tmp_path):
    run_dir = tmp_path / "run"
    (run_dir / files.ALLURE_RESULTS).mkdir(parents=True)
    (run_dir / files.ALLURE_RESULTS / "a-result.json").write_text('{"uuid": "a", "name": "a"}')
    allure_archive.pack(run_dir / files.ALLURE_RESULTS, run_dir)
    shutil.rmtree(run_dir / files.ALLURE_RESULTS)
    allure_archive.unpack_for_more(run_dir)
    folder = run_dir / files.ALLURE_RESULTS
    assert [path.name for path in folder.iterdir()] == ["a-result.json"]
    # What the run has changed since, a case that was booked as failed, counts.
    (folder / "a-result.json").write_text('{"uuid": "a", "name": "changed"}')
    (folder / "b-result.json").write_text('{"uuid": "b", "name": "b"}')
    allure_archive.collect(run_dir, tmp_path / "all", Damage())
    names = {json.loads(path.read_text())["name"] for path in (tmp_path / "all").iterdir()}
    assert names == {"changed", "b"}


ROOM = 20


@given(st.lists(st.integers(0, 2 * ROOM), max_size=30))
def test_a_page_shows_whole_runs_and_a_bounded_number_of_results(sizes):
    """The newest ones; the last run is shown whatever it has."""
    entries = [
        entry(str(n), n) | {"testResults": dict.fromkeys(map(str, range(size)))}
        for n, size in enumerate(sizes)
    ]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(allure_history, "SHOWN_RESULTS_MAX", ROOM)
        write_history(Path(folder) / files.HISTORY, *entries)
        allure_history.lay_out(Path(folder), "now", None, Path(folder) / "copy")
        shown = [json.loads(line) for line in (Path(folder) / "copy").read_text().splitlines()]
    number = len(shown)
    assert shown == entries[len(entries) - number :]
    assert min(1, len(sizes)) <= number <= allure_history.SHOWN_MAX
    assert number <= 1 or sum(sizes[-number:]) <= ROOM
    if number < min(len(sizes), allure_history.SHOWN_MAX):
        assert sum(sizes[-number - 1 :]) > ROOM, "one more has no room"


@needs_allure
@pytest.mark.long
def test_earlier_runs_add_a_bounded_size_to_the_page(tmp_path):
    """More than are shown, with other results of the same cases."""
    cases, runs = 700, 20
    run_dir = with_cases(tmp_path, cases)
    reported(run_dir)
    alone = (run_dir / files.ALLURE_PAGE).stat().st_size
    history = tmp_path / files.HISTORY
    (own,) = [json.loads(line) for line in history.read_text().splitlines()]
    assert len(own["testResults"]) >= cases

    def earlier(n: int) -> dict:
        def again(result: dict) -> dict:
            told = {"id": hashlib.md5(f"{n}{result['id']}".encode()).hexdigest(), "duration": 3 * n}
            return result | told | {at: result[at] - 86_400_000 * n - 7 * n for at in ("start", "stop")}

        results = {key: again(result) for key, result in own["testResults"].items()}
        at = own["timestamp"] - 86_400_000 * n
        return own | {"uuid": f"u{n}", "name": f"Keyharness e{n}", "timestamp": at, "testResults": results}

    write_history(history, *(earlier(n) for n in range(runs, 0, -1)))
    reported(run_dir)
    added = (run_dir / files.ALLURE_PAGE).stat().st_size - alone
    assert BYTES_OF_HISTORY / 10 < added < BYTES_OF_HISTORY
    assert len(history.read_text().splitlines()) == runs + 1


def with_cases(tmp_path: Path, number: int) -> Path:
    """Write a run with a number of cases, each as long as a case of the default run."""
    made = sample.passing()
    rows = [
        {**made.results[0], "nodeid": f"conformance/test_many.py::test_number_{n % 300}[nk3-mini-{n}]"}
        for n in range(number)
    ]
    made.results += rows
    run_dir = made.write(tmp_path / "run")
    results = run_dir / files.ALLURE_RESULTS
    results.mkdir()
    for n, row in enumerate(rows):
        function, _, case = row["nodeid"].rpartition("::")[2].removesuffix("]").partition("[")
        result = {
            "uuid": f"{n:08x}-0000-4000-8000-{n * 7919:012x}",
            "name": f"{function}[{case}]",
            "status": "passed",
            "description": "What the specification asks for, in a sentence of a usual length.",
            "parameters": [{"name": "case", "value": repr(case)}, {"name": "rig", "value": "'nk3-mini'"}],
            "fullName": f"conformance.test_many#{function}",
            "historyId": f"{n * 104729:032x}",
            "start": 1795977000000 + n,
            "stop": 1795977000009 + n,
            "labels": [
                {"name": name, "value": value}
                for name, value in (
                    *(("epic", "conformance"), ("feature", "many"), ("suite", "test_many"), ("host", "lab")),
                    ("thread", "1-MainThread"),
                )
            ],
            "testCaseId": f"{n * 15485863:032x}",
            "titlePath": ["conformance", "test_many.py"],
            "attachments": [{"name": "log", "source": f"{n}-attachment.txt", "type": "text/plain"}],
        }
        (results / f"{n}-result.json").write_text(json.dumps(result))
        (results / f"{n}-attachment.txt").write_text("printed\n" * 500)
        (results / f"{n}-container.json").write_text(
            '{"uuid": "c", "befores": [{"name": "rig", "status": "passed"}]}'
        )
    return run_dir


@pytest.mark.long
def test_as_many_cases_as_the_default_run_has_leave_a_small_report(tmp_path):
    """The default run has as many."""
    run_dir = with_cases(tmp_path, CASES)
    pack_cases(run_dir)
    reported(run_dir)
    left = {
        path.name: path.stat().st_size for path in [*run_dir.iterdir(), run_dir / ARCHIVE] if path.is_file()
    }
    size = sum(left[name] for name in (files.ALLURE_ARCHIVE, files.JUNIT, Path(ARCHIVE).name))
    assert files.RESULTS not in left
    assert size + left.get(files.ALLURE_PAGE, 0) < BYTES_OF_CASES, left
    assert len([path for path in run_dir.rglob("*") if path.is_file()]) < 30
    assert {one["name"] for one in allure_results(run_dir)} >= {"Number 1 (1)", "Number 299 (299)"}


def test_a_case_that_was_interrupted_has_not_passed_and_counts_once_when_it_ran_again(tmp_path):
    made = sample.passing()
    made.finish = None
    nodeid = "endurance/test_power_cut.py::test_power_cut[nk3-mini-fido2.reset]"
    campaign = made.operations.pop()
    assert campaign["operation"] == "fido2.reset"
    run_dir = made.write(tmp_path / "run")
    result = {
        "uuid": "a" * 8,
        "name": "test_power_cut[nk3-mini-fido2.reset]",
        "status": "passed",
        "fullName": "endurance.test_power_cut#test_power_cut",
        "historyId": "h",
        "parameters": [
            {"name": "case", "value": "'nk3-mini-fido2.reset'"},
            {"name": "rig", "value": "'nk3-mini'"},
        ],
        "labels": [{"name": "story", "value": "fido2.reset"}],
        "start": 5,
    }
    folder = run_dir / files.ALLURE_RESULTS
    folder.mkdir()
    (folder / "a-result.json").write_text(json.dumps(result))
    reported(run_dir, NOWHERE)
    (shown,) = allure_results(run_dir)
    assert (shown["name"], shown["status"]) == ("Power cut (fido2.reset)", "unknown")
    # The run goes on: the case runs again, and passes.
    allure_archive.unpack_for_more(run_dir)
    (folder / "b-result.json").write_text(json.dumps({**result, "uuid": "b" * 8, "start": 9}))
    made.operations.append(campaign)
    made.results.append({**made.results[0], "nodeid": nodeid})
    made.finish = {"complete": True, "interrupted": False, "duration_s": 1.0}
    made.write(run_dir)
    reported(run_dir, NOWHERE)
    (shown,) = allure_results(run_dir)
    assert (shown["name"], shown["status"], shown["start"]) == ("Reset", "passed", 9)
