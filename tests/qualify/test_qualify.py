"""A qualification as a release manager sees it: a plan, `keyharness qualify`, and what stands on the page."""

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from html.parser import HTMLParser

import pytest

from support.paths import shared
from support.report import chromium

WAIVER = """
[[waiver]]
id = "W-31"
severity = "S2"
firmware_from = "1.8.0"
firmware_to = "1.8.9"
ceiling = [{k}, {n}]
impact = "the key says that its flash is worn"
ticket = "T-7"
approver = ["J.D."]
until = {{ date = {date}, version = "1.9.0" }}
[waiver.finding]
operation = "fido2.client_pin.change"
item = "admin.status"
law = "kept"

[[waiver]]
id = "W-32"
severity = "S2"
firmware_from = "1.8.0"
firmware_to = "1.8.9"
ceiling = [1, 10]
impact = "none was ever seen"
ticket = "T-8"
approver = ["J.D."]
until = {{ date = 2999-01-01, version = "1.9.0" }}
[waiver.finding]
operation = "fido2.client_pin.change"
item = "fido2.pin"
law = "kept"
"""


def test_a_weak_flash_layer_is_not_qualified_and_the_page_says_why(weak):
    it = weak.statement
    assert it["verdict"] == "not qualified"
    (finding,) = it["findings"]
    assert (finding["operation"], finding["item"], finding["severity"], finding["state"]) == (
        "fido2.client_pin.change",
        "admin.status",
        "S2",
        "new",
    )
    assert finding["n"] == 20
    assert 0 < finding["k"] < 20
    assert finding["first_bad_firmware"] == "1.8.3"
    assert any("layer late-replay" in reason and "admin.status" in reason for reason in it["reasons"])
    (requirement,) = it["requirements"]
    assert requirement["state"] == "violated"
    assert "NOT QUALIFIED" in weak.ran
    assert "late-replay" in weak.ran


def test_the_run_carries_the_digest_of_the_frozen_plan(weak):
    (run,) = weak.statement["runs"]["counted"]
    assert run["number"] == 1
    assert run["plan"] == weak.statement["plan"]["digest"]
    head = json.loads((weak.cli.cwd / "reports" / run["run"] / "run.json").read_text())
    assert head["series"] == {"plan": "Q-1", "digest": run["plan"]}


@pytest.mark.skipif(chromium.PROGRAM is None, reason="no chromium")
def test_the_page_prints_on_one_sheet(weak, tmp_path):
    sheet = tmp_path / "sheet.pdf"
    done = chromium.run(
        weak.folder / "qualification.html", tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={sheet}"
    )
    assert sheet.exists(), done.stderr
    assert len(re.findall(rb"/Type\s*/Page\b", sheet.read_bytes())) == 1


class Page(HTMLParser):
    """The words of a page, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.loads: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [str(value) for name, value in attrs if name in ("src", "href")]


def test_the_page_holds_what_is_signed_and_loads_nothing(weak):
    page = Page()
    page.feed((weak.folder / "qualification.html").read_text())
    text = " ".join(" ".join(page.words).split())
    for words in (
        "NOT QUALIFIED",
        "Nitrokey 3A Mini",
        "QUALIFICATION Q-1",
        "Executed A.K.",
        "Reviewed M.R.",
        "Approved J.D.",
        "no FIDO, FIPS or Common Criteria certification",
        "NFC",
        "R-1 violated",
        weak.statement["evidence_head"],
    ):
        assert words in text
    assert not page.loads


def test_a_waiver_is_used_unused_exceeded_or_expired(own):
    weak = own

    def verdict(**waiver: object) -> dict:
        weak.write(more=WAIVER.format(**{"k": 5, "n": 10, "date": "2999-01-01", **waiver}))
        done = weak.again()
        it = json.loads(done.stdout)
        return {
            "code": done.returncode,
            "verdict": it["verdict"],
            "reasons": it["reasons"],
            "states": {one["id"]: one["state"] for one in it["waivers"]},
        }

    held = verdict()
    assert (held["code"], held["verdict"]) == (0, "qualified with waivers")
    assert held["states"] == {"W-31": "used", "W-32": "unused"}
    exceeded = verdict(k=1, n=1000)
    assert (exceeded["code"], exceeded["states"]["W-31"]) == (1, "exceeded")
    ended = verdict(date="2020-01-01")
    assert (ended["code"], ended["states"]["W-31"]) == (1, "expired")
    assert "ended on 2020-01-01" in ended["reasons"][0]


def test_a_run_that_nobody_named_counts_and_leaving_one_out_is_printed(own):
    weak = own
    other = weak.cli(
        "run",
        "endurance",
        "--bench",
        "late-replay.toml",
        "--operation",
        "fido2.client_pin.change",
        "--cuts",
        "4",
        "--seed",
        "9",
        "-q",
    )
    assert other.returncode in (0, 1), other.stderr
    weak.write()
    it = json.loads(weak.again().stdout)
    assert [run["number"] for run in it["runs"]["counted"]] == [1, None]
    name = it["runs"]["counted"][1]["run"]
    assert any(name in said and "without this plan" in said for said in it["deviations"])
    weak.write(more=f'[[exclude]]\nrun = "{name}"\nreason = "the hub died"\nby = "A.K."\n')
    it = json.loads(weak.again().stdout)
    assert [run["number"] for run in it["runs"]["counted"]] == [1]
    assert any(name in said and "the hub died" in said and "A.K." in said for said in it["deviations"])


def test_a_frozen_plan_is_changed_by_an_amendment_only(own):
    weak = own
    weak.write(goal='models = "sample"\ncuts = 21')
    done = weak.again()
    assert done.returncode == 4
    assert "frozen as" in done.stderr
    assert "[[amendment]]" in done.stderr
    last = re.search(r'replaces = "([0-9a-f]{64})"', done.stderr)
    assert last
    amended = f'[[amendment]]\nat = 2026-11-02\nby = "J.D."\nwhy = "one more"\nreplaces = "{last.group(1)}"\n'
    weak.write(goal='models = "sample"\ncuts = 21', more=amended)
    it = json.loads(weak.again().stdout)
    assert last.group(1) in it["plan"]["states"]
    assert len(it["plan"]["states"]) == 2
    assert any("amended 2026-11-02 by J.D.: one more" in said for said in it["deviations"])
    assert not any("does not know" in said for said in it["deviations"])
    invented = amended.replace(last.group(1), "a" * 64)
    weak.write(goal='models = "sample"\ncuts = 21', more=amended + invented)
    it = json.loads(weak.again().stdout)
    assert any("replaces aaaaaaaaaaaa..., a state that this" in said for said in it["deviations"])


@pytest.mark.parametrize("code", [2, 4])
def test_a_night_that_could_not_begin_has_its_own_exit_code(own, monkeypatch, code):
    monkeypatch.setattr("harness.qualify.command.run_night", lambda *_: code)
    own.write(id="Q-9", goal='models = "exhaustive"', more=WAIVER.format(k=9, n=10, date="2999-01-01"))
    done = own.cli.inside("qualify", "plan.toml")
    assert "NOT YET" in done.stdout
    assert done.returncode == code


def test_the_safe_layer_is_qualified_by_an_exhaustive_walk(safe):
    it = json.loads((safe.cli.cwd / "reports" / "qualification-Q-2" / "qualification.json").read_text())
    assert it["verdict"] == "qualified"
    assert it["reasons"] == []
    assert it["operations"][0]["exhaustive"] is True
    assert it["matrix"][0]["kinds"]["twin"]["exhaustive"] is True
    # A run on the weak layer is in the same ledger, and of another model.
    assert [run["plan"] for run in it["runs"]["counted"]] == [it["plan"]["digest"]]
    # Nothing is left: a second night runs nothing.
    before = {*safe.cli.cwd.glob("reports/*/run.json")}
    assert safe.cli("qualify", "safe.toml", "--json").returncode == 0
    assert {*safe.cli.cwd.glob("reports/*/run.json")} == before


def test_a_run_whose_folder_is_gone_proves_nothing_and_keeps_its_findings(own):
    name = own.statement["runs"]["counted"][0]["run"]
    with closing(sqlite3.connect(own.cli.state / "keyharness" / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("update tested set folder = ?", (str(own.cli.cwd / "gone"),))
    done = own.again()
    it = json.loads(done.stdout)
    assert done.returncode == 1
    assert [one["item"] for one in it["findings"]] == ["admin.status"]
    assert any(name in said and "its folder is gone" in said for said in it["reasons"])
    # A copy of the folder brings it back.
    done = own.cli.inside("qualify", "plan.toml", "--report-only", "--json", "--merge", f"reports/{name}")
    assert not any("is gone" in said for said in json.loads(done.stdout)["reasons"])


def test_a_run_of_another_plan_is_not_merged(own, safe):
    other = json.loads((safe.cli.cwd / "reports" / "qualification-Q-2" / "qualification.json").read_text())
    name = other["runs"]["counted"][0]["run"]
    done = own.cli.inside("qualify", "plan.toml", "--report-only", "--merge", safe.cli.cwd / "reports" / name)
    assert done.returncode == 4
    assert f"a run of plan {other['plan']['digest'][:12]}" in done.stderr


@pytest.mark.parametrize("what", ["firmware", "home"])
def test_a_run_of_another_firmware_or_home_is_not_merged(own, what):
    name = own.statement["runs"]["counted"][0]["run"]
    run = own.cli.cwd / "reports" / name
    if what == "firmware":
        head = json.loads((run / "run.json").read_text())
        head["rigs"][0]["firmware"] = "v1.7.0"
        (run / "run.json").write_text(json.dumps(head))
        words = ("firmware 1.7.0", "1.8.3")
    else:
        rows = run / "evidence.jsonl"
        rows.write_text(rows.read_text().replace('"home":"fresh"', '"home":"aged"'))
        words = ("the home aged", "fresh")
    done = own.cli.inside("qualify", "plan.toml", "--report-only", "--merge", run)
    assert done.returncode == 4, done.stdout
    assert all(word in done.stderr for word in words), done.stderr


GENUINE = """
schema = 1
id = "Q-1"
[product]
key = "nitrokey3-mini"
[firmware]
version = "1.7.2"
file = "{container}"
sha256 = "{sha256}"
from_versions = ["1.7.1"]
[[bench]]
file = "bench.toml"
kind = "twin"
[goal]
operations = ["update.install", "fido2.client_pin.change"]
models = "sample"
cuts = 20
[roles]
executor = "A.K."
reviewer = "M.R."
approver = "J.D."
"""
BENCH = """
name = "shipping"
[[rig]]
name = "nk3"
key = "nitrokey3-mini"
driver = "virtual"
expendable = true
twin.personality = "1.7.2"
"""


@pytest.mark.long
def test_the_genuine_container_over_the_1_7_1_twin_is_not_qualified(weak, tmp_path):
    container = shared("data/firmware-nk3-v1.7.2.zip")
    lab = type(weak)(tmp_path / "lab")
    (lab.cli.cwd / "bench.toml").write_text(BENCH)
    digest = hashlib.sha256(container.read_bytes()).hexdigest()
    lab.plan.write_text(GENUINE.format(container=container, sha256=digest))
    done = lab.qualify("--json")
    assert done.returncode == 1, done.stderr
    it = json.loads(done.stdout)
    assert it["verdict"] == "not qualified"
    assert any("layer late-replay" in reason for reason in it["reasons"])
    assert [row["row"] for row in it["matrix"]] == ["operations", "from 1.7.1"]
    cut = {(one["operation"], one["from_version"]): one["cuts"] for one in it["operations"]}
    assert cut["update.install", "1.7.1"] >= 20
    assert cut["fido2.client_pin.change", None] >= 20
