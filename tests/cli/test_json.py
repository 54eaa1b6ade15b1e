"""--json: one document on standard output, with the version of its schema, and nothing else there."""

from __future__ import annotations

import json

import pytest

from support.paths import ROOT

ASKED = ("run", "endurance", "--operation", "fido2.client_pin.wrong", "--seed", "1", "--cuts", "6")
GONE = """\
[[rig]]
name = "gone"
key = "nitrokey3-mini"
driver = "usb"
port = "250-1"
expendable = true
[rig.power]
driver = "hub"
[rig.touch]
driver = "hand"
"""


def document(done, command, code=0):
    assert done.returncode == code, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["schema"], found["command"]) == (1, command)
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A folder with one small run that failed."""
    from support.command import Cli

    cli = Cli(tmp_path_factory.mktemp("json"))
    done = cli(*ASKED, "--bench", "late-replay.toml")
    assert done.returncode == 1, done.stdout + done.stderr
    return cli


@pytest.fixture
def gone(cli):
    (cli.cwd / "gone.toml").write_text(GONE)
    return cli


def test_list(cli):
    found = document(cli.inside("list", "--json"), "list")
    assert found["rigs"][0]["name"] == "nk3-mini"
    assert {"suites", "drivers", "plugins"} <= {name for name, rows in found.items() if rows}
    assert "hubs" in document(cli.inside("list", "--hubs", "--json"), "list")


def test_rigs_inspect_and_recover(cli):
    rows = document(cli.inside("rigs", "--json"), "rigs")["rigs"]
    assert [row["rig"] for row in rows][:2] == ["nk3-mini", "hsm-1"]
    assert {row["health"] for row in rows} == {"free"}
    assert document(cli.inside("inspect", "nk3-mini", "--json"), "inspect")["items"]
    found = document(cli.inside("recover", "nk3-mini", "--json"), "recover")
    assert found["answers"]
    assert found["steps"][-1]["why_not"] is None


def test_quarantine_of_a_rig_that_is_not_there(gone):
    asked = ("quarantine", "gone", "--bench", "gone.toml", "--json")
    assert document(gone.inside(*asked), "quarantine")["quarantine"] is None
    assert document(gone.inside(*asked, "--reason", "burnt"), "quarantine")["quarantine"]["why"] == "burnt"
    (row,) = document(gone.inside("rigs", "--bench", "gone.toml", "--json"), "rigs")["rigs"]
    assert (row["health"], row["quarantine"]["why"]) == ("not there", "burnt")
    found = document(gone.inside(*asked, "--clear", "--reason", "mended"), "quarantine")
    assert (found["quarantine"], found["cleared"]["why"]) == (None, "burnt")


def test_a_plan(cli):
    found = document(cli.inside(*ASKED, "--plan", "--json"), "plan")
    rig, of_another_kind = found["rigs"]
    assert of_another_kind["operations"] == []
    (row,) = rig["operations"]
    assert (row["operation"], row["cuts"], row["certainty"]) == ("fido2.client_pin.wrong", 6, "exact")
    assert found["total"]["cuts"] == 6


def test_a_plan_without_any_rig_names_why(gone):
    found = document(gone.inside("run", "--bench", "gone.toml", "--plan", "--json"), "plan")
    (rig,) = found["rigs"]
    assert "250" in rig["absent"]
    assert rig["operations"] == []
    assert not (gone.cwd / "reports").exists()


def test_replay(told):
    first = json.loads((told.run_dir / "summary.json").read_text())["violations"][0]["first"]
    found = document(told.inside("replay", first, "--bench", "late-replay.toml", "--json"), "replay", 1)
    assert found["violated"]
    assert found["id"] == first
    assert found["breaches"][0]["severity"]


def test_history(told):
    (key,) = document(told.inside("history", "--json"), "history")["keys"]
    found = document(told.inside("history", key["id"], "--json"), "history")
    assert found["runs"][0]["id"] == told.run_dir.name


def test_firmware(cli):
    made = cli.inside("firmware", "make", "new.zip", "--version", "1.9.0", "--json")
    assert document(made, "firmware make")["path"] == "new.zip"
    (cli.cwd / "bad.zip").write_bytes(b"PK")
    found = document(cli.inside("firmware", "new.zip", "bad.zip", "--json"), "firmware show", 4)
    good, bad = found["files"]
    assert (good["version"], good["fault"]) == ("v1.9.0", None)
    assert "bad.zip" in bad["fault"]


def test_doctor(cli):
    found = document(cli.inside("doctor", "--json"), "doctor")
    assert sum(found["totals"].values()) == len(found["results"])


def test_enroll(cli):
    assert "found" in document(cli.inside("enroll", "--bench", "lab.toml", "--scan"), "enroll")


def test_an_error_writes_no_document(cli):
    done = cli.inside("inspect", "nobody", "--json")
    assert (done.returncode, done.stdout) == (4, "")
    assert 'rig "nobody"' in done.stderr


def test_the_page_names_each_document():
    text = (ROOT / "docs" / "commands.md").read_text()
    for command in (
        "list",
        "rigs",
        "inspect",
        "recover",
        "quarantine",
        "plan",
        "replay",
        "history",
        "doctor",
    ):
        assert f"| `{command}` |" in text
