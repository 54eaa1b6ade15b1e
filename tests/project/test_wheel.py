"""What a wheel of Keyharness holds, and that it does the same as a checkout."""

from __future__ import annotations

import json
import sys
import tarfile
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

from harness.report.schema import check_evidence, check_summary
from support.installation import ROOT, Environment, build, ran

pytestmark = pytest.mark.long

PACKAGES = {
    "harness",
    "harness_cards",
    "harness_fido2",
    "harness_nitrokey3",
    "harness_nitrokey_hsm2",
    "harness_nitrokey_pro",
    "harness_openpgp",
    "harness_rigs",
    "harness_schsm",
    "harness_suites",
    "harness_transports",
}
DATA = {
    "harness/data/pytest.ini",
    "harness/py.typed",
    "harness/report/data/allurerc.json",
    "harness/report/data/page.css",
    "harness/report/data/page.js",
    "harness/report/templates/page.html",
    "harness_nitrokey3/personalities.toml",
    "harness_cards/primes.txt",
}
CONTRACT = {
    "summary.json",
    "evidence.jsonl",
    "allure-results.zip",
    "index.html",
    "junit.xml",
    "logs",
    "pictures",
}
RUN = ("run", "endurance", "downgrade", "--seed", "1", "--cuts", "12")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel") / "dist", "wheel")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    made = Environment(tmp_path_factory.mktemp("environment") / "venv")
    made.install(wheel)
    made.see_the_rest()
    return made


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def sources() -> set[str]:
    """Every file of the packages, as it must lie in a wheel."""
    found = set()
    for package in PACKAGES:
        (home,) = (
            path for part in (".", "plugins", "rigs", "suites") if (path := ROOT / part / package).is_dir()
        )
        found |= {
            f"{package}/{path.relative_to(home)}"
            for path in home.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    card = [ROOT / "docs" / "small_card.py", *(ROOT / "docs" / "small_card_suite").glob("*.py")]
    found |= {f"harness_rigs/vendor_flash/{file.relative_to(ROOT / 'docs')}" for file in card}
    return found | {f"harness_rigs/benches/{file.name}" for file in (ROOT / "rigs").glob("*.toml")}


def test_it_holds_every_file_of_the_packages_and_nothing_else(wheel):
    names = names_in(wheel)
    information = {name for name in names if ".dist-info/" in name}
    assert names - information == sources()
    assert names >= DATA
    assert any(name.endswith("licenses/LICENSE") for name in information)


def test_it_puts_only_names_of_its_own_into_site_packages(wheel):
    top = {name.partition("/")[0] for name in names_in(wheel)}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES


def test_the_sdist_builds_and_a_wheel_of_it_is_the_same(wheel, tmp_path):
    sdist = build(ROOT, tmp_path / "sdist", "sdist")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert not [name for name in names if name.startswith((".venv/", "dist/"))]
    # What a run leaves there, and how to remove it.
    assert {name for name in names if name.startswith("reports/") and name != "reports/"} <= {
        "reports/README.md"
    }
    assert {
        "README.md",
        "constraints.txt",
        "script/run",
        "tests/project/test_wheel.py",
        "docs/plugins.md",
    } <= names
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert names_in(build(unpacked, tmp_path / "again", "wheel")) == names_in(wheel)


def test_what_runs_is_the_wheel(environment, tmp_path):
    modules = ", ".join(sorted(PACKAGES))
    show = f"import {modules}\nfor module in ({modules}): print(module.__file__)"
    files = ran(environment.python, "-c", show, cwd=tmp_path).splitlines()
    assert len(files) == len(PACKAGES)
    for file in files:
        assert Path(file).is_relative_to(environment.path), file


def test_list_shows_its_plugins(environment, tmp_path):
    table = json.loads(ran(environment.command("keyharness"), "list", "--json", cwd=tmp_path))
    assert table["bench"] == "virtual.toml"
    assert {"fido2", "nitrokey3", "rigs", "suites"} <= {plugin["name"] for plugin in table["plugins"]}
    people = ran(environment.command("keyharness"), "list", cwd=tmp_path)
    for name in ("nitrokey3-mini", "fido2.client_pin.change", "endurance", "virtual"):
        assert name in people


def run_in(folder: Path, *command: object) -> Path:
    """The folder of a run that was made in a new folder."""
    folder.mkdir()
    ran(*command, cwd=folder)
    (run,) = (path.parent for path in folder.glob("reports/*/run.json"))
    return run


def nodes(run: Path) -> list[tuple[str | None, str | None]]:
    cases = ET.parse(run / "junit.xml").getroot().iter("testcase")
    return [(case.get("classname"), case.get("name")) for case in cases]


def test_a_run_from_an_empty_folder_is_that_of_the_checkout(environment, tmp_path):
    run = run_in(tmp_path / "wheel", environment.command("keyharness"), *RUN)
    assert {path.name for path in run.iterdir()} >= CONTRACT
    summary = check_summary((run / "summary.json").read_text())
    assert summary.verdict == "pass"
    assert 0 < summary.cuts <= 12
    evidence = (run / "evidence.jsonl").read_bytes()
    for line in evidence.splitlines():
        check_evidence(line)

    checkout = run_in(tmp_path / "checkout", sys.executable, "-m", "harness", *RUN)
    assert nodes(run) == nodes(checkout)
    assert evidence == (checkout / "evidence.jsonl").read_bytes()
