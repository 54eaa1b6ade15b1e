"""`keyharness compare` and `keyharness triage` on runs that were made, and on copies that differ in one thing."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest


def names(lab) -> tuple[str, str]:
    """The run on the weak layer, and that on the safe one."""
    found = []
    for plan in ("Q-1", "Q-2"):
        it = json.loads(
            (lab.cli.cwd / "reports" / f"qualification-{plan}" / "qualification.json").read_text()
        )
        found.append(it["runs"]["counted"][0]["run"])
    return found[0], found[1]


def test_a_run_against_itself_is_paired_and_does_not_differ(safe):
    weak, _ = names(safe)
    done = safe.cli.inside("compare", weak, weak, "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["operations"]
    assert row["pairs"] == row["a"][1] == row["b"][1]
    assert row["difference"] == 0
    assert row["low"] < 0 < row["high"]
    assert row["not_seen"] == []


def test_what_one_side_does_not_show_is_not_called_fixed(safe):
    weak, sound = names(safe)
    done = safe.cli.inside("compare", weak, sound, "--json", "--force")
    it = json.loads(done.stdout)
    (row,) = it["operations"]
    (finding,) = row["not_seen"]
    bad, of = row["a"]
    assert finding["item"] == "admin.status"
    assert finding["cuts"] == row["b"][1]
    # 1 - (1 - k/n)^N >= 95 %, and one cut fewer is not enough.
    assert 1 - (1 - bad / of) ** finding["takes"] >= 0.95 > 1 - (1 - bad / of) ** (finding["takes"] - 1)
    shown = safe.cli.inside("compare", sound, weak, "--force").stdout
    assert "admin.status: not seen in" in shown
    assert "fixed" not in shown


def changed(lab, run: str, name: str, **fields: object) -> str:
    """A copy of a run whose head says something else."""
    folder = lab.cli.cwd / "reports" / name
    shutil.copytree(lab.cli.cwd / "reports" / run, folder)
    head = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**head, "run": name, **fields}))
    return name


@pytest.mark.parametrize("what", ["kernels", "homes", "evidence"])
def test_what_is_not_alike_is_refused_unless_forced(own, what):
    run = own.statement["runs"]["counted"][0]["run"]
    a, b = "20260101-000000-000a", "20260101-000000-000b"
    if what == "kernels":
        changed(own, run, a, evidence_kind=["hardware"], host={"system": "Linux 6.1"})
        changed(own, run, b, evidence_kind=["hardware"], host={"system": "Linux 6.12"})
    elif what == "evidence":
        changed(own, run, a)
        changed(own, run, b, evidence_kind=["emulator"])
    else:
        changed(own, run, a)
        rows = own.cli.cwd / "reports" / changed(own, run, b) / "evidence.jsonl"
        rows.write_text(rows.read_text().replace('"home":"fresh"', '"home":"aged"'))
    refused = own.cli.inside("compare", a, b)
    assert refused.returncode == 4
    assert f"{what}: " in refused.stderr
    forced = own.cli.inside("compare", a, b, "--force", "--json")
    assert forced.returncode == 0
    assert any(said.startswith(f"{what}: ") for said in json.loads(forced.stdout)["unlike"])


def test_keys_of_unlike_age_are_refused(own):
    run = own.statement["runs"]["counted"][0]["run"]
    a, b = "20260101-000000-000a", "20260101-000000-000b"
    for name in (a, b):
        changed(own, run, name, evidence_kind=["hardware"], host={"system": "Linux 6.1"})
    with closing(sqlite3.connect(own.cli.state / "keyharness" / "ledger.sqlite")) as ledger, ledger:
        for name, key, day in ((a, "uuid:new", "2026-01-01"), (b, "uuid:old", "2026-02-01")):
            ledger.execute("insert into runs (id, started) values (?, ?)", (name, day))
            ledger.execute("insert into tested (run, key, kind) values (?, ?, 'hardware')", (name, key))
        ledger.execute("insert into runs (id, started) values ('before', '2026-01-15')")
        ledger.execute(
            "insert into wear (run, key, kind, what, used, upto) "
            "values ('before', 'uuid:old', 'hardware', 'page 3', 4000, 10000)"
        )
    refused = own.cli.inside("compare", a, b)
    assert refused.returncode == 4
    assert "age of the keys: 0 % of the erases were spent, and 40 %" in refused.stderr


def test_a_firmware_is_compared_by_its_own_rigs(own):
    """One run has a rig for each of two firmwares: each side has the rows of its own rig only."""
    run = own.statement["runs"]["counted"][0]["run"]
    folder = own.cli.cwd / "reports" / changed(own, run, "20260101-000000-000a")
    head = json.loads((folder / "run.json").read_text())
    (rig,) = head["rigs"]
    (folder / "run.json").write_text(
        json.dumps({**head, "rigs": [rig, {**rig, "name": "other", "firmware": "v9.9.9"}]})
    )
    rows = (folder / "evidence.jsonl").read_text().splitlines()
    other = [row.replace(f'"rig":"{rig["name"]}"', '"rig":"other"') for row in rows[:3]]
    (folder / "evidence.jsonl").write_text("\n".join([*rows, *other]) + "\n")
    with closing(sqlite3.connect(own.cli.state / "keyharness" / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("delete from tested")
        for name, firmware in ((rig["name"], "v9.9.8"), ("other", "v9.9.9")):
            ledger.execute(
                "insert into tested (run, key, rig, kind, firmware, folder) values (?, ?, ?, 'twin', ?, ?)",
                (folder.name, name, name, firmware, str(folder)),
            )
    done = own.cli.inside("compare", "9.9.8", "9.9.9", "--json", "--force")
    assert done.returncode == 0, done.stderr
    it = json.loads(done.stdout)
    (row,) = it["operations"]
    assert (row["a"][1], row["b"][1]) == (20, 3)


def test_a_version_of_two_flash_layers_is_no_side(safe):
    """The ledger has a run of this version on the weak layer, and one on the safe layer."""
    weak, _ = names(safe)
    refused = safe.cli.inside("compare", weak, "1.8.3")
    assert refused.returncode == 4
    assert "models in 1.8.3: " in refused.stderr
    assert "layer late-replay" in refused.stderr
    assert safe.cli.inside("compare", weak, "1.8.3", "--force").returncode == 0


def test_an_unknown_side_is_named(own):
    refused = own.cli.inside("compare", "nothing", "nothing")
    assert refused.returncode == 4
    assert 'compare "nothing"' in refused.stderr


def test_a_finding_is_new_until_another_run_shows_it(own):
    run = own.statement["runs"]["counted"][0]["run"]
    first = own.cli.inside("triage", run, "--json")
    assert first.returncode == 1
    assert [one["state"] for one in json.loads(first.stdout)["findings"]] == ["new"]
    changed(own, run, "20991231-000000-000a")
    again = own.cli.inside("triage", "--json")
    assert again.returncode == 0
    (finding,) = json.loads(again.stdout)["findings"]
    assert (finding["state"], finding["seen_in"]) == ("known", [run])
    assert finding["first_bad_firmware"] == "1.8.3"


def test_what_was_seen_once_and_did_not_come_back_is_unexplained(own):
    run = own.statement["runs"]["counted"][0]["run"]
    path = own.cli.cwd / "reports" / changed(own, run, "20991231-000000-000b") / "operations.jsonl"
    row = json.loads(path.read_text())
    row["findings"][0] |= {
        "item": "fido2.pin",
        "count": 1,
        "again": {"reproduced": [0, 5], "read": [], "cycle": []},
    }
    path.write_text(json.dumps(row) + "\n")
    done = own.cli.inside("triage")
    assert done.returncode == 1
    assert "1 unexplained" in done.stdout
    assert "made again 5 times, came back 0 times" in done.stdout
