"""Golden files: what users, CI servers and Allure's history rely on, as text that must not change unnoticed.

    .venv/bin/python tests/golden/renew.py            write all golden files
    .venv/bin/python tests/golden/renew.py help.txt   write one
    ... --python /another/checkout/.venv/bin/python   write what that version gives

Renew a file in the commit that changes it on purpose, and say there what changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
import zipfile
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

HERE = Path(__file__).parent
COMMANDS = (
    *(
        "run",
        "firmware",
        "firmware show",
        "firmware make",
        "list",
        "report",
        "replay",
        "prove",
        "ceremony",
        "twin",
        "enroll",
        "inspect",
        "autopsy",
        "rigs",
        "recover",
    ),
    *(
        "bundle",
        "field",
        "reports",
        "reports prune",
        "quarantine",
        "history",
        "power",
        "touch",
        "serve",
        "calibrate",
        "doctor",
    ),
    *("qualify", "compare", "triage", "export"),
)
SMALL_RUN = (
    *("run", "--seed", "1", "--cuts", "30"),
    *("--operation", "fido2.get_assertion", "--operation", "fido2.client_pin.wrong"),
    *("--", "-k", "test_basics or test_power_cut or (test_damaged and unsigned)"),
)
PLANS = (
    "run --plan --seed 1 --operation fido2.get_assertion --operation update.refused",
    "run endurance --plan --seed 1 --bench late-replay.toml --cuts 50 --operation fido2.client_pin.change",
)
HELP_OF_ALL = """
import sys
from importlib.metadata import entry_points
(script,) = entry_points(group="console_scripts", name="keyharness")
main = script.load()
for words in [[], *(command.split() for command in sys.argv[1:])]:
    print("$ " + " ".join(["keyharness", *words, "--help"]), flush=True)
    sys.argv[0] = "keyharness"
    try:
        main([*words, "--help"])
    except SystemExit as end:
        assert not end.code, end.code
"""


class Version:
    """One installed version of Keyharness.

    :param python: the interpreter of its environment.
    """

    def __init__(self, python: str):
        self._python = python
        self._folder = tempfile.TemporaryDirectory(prefix="keyharness-golden-")
        self.cwd = Path(self._folder.name)

    def out(self, *command: str) -> str:
        """Run its Python with arguments in an empty folder; return what it wrote to standard output."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "KEYHARNESS"))
        }
        done = subprocess.run(
            [self._python, *command],
            cwd=self.cwd,
            env={
                **kept,
                "COLUMNS": "80",
                "NO_COLOR": "1",
                "KEYHARNESS_ALLURE": "/dev/null/absent",
                "KEYHARNESS_NO_PICTURES": "1",
                "KEYHARNESS_RUNTIME": str(self.cwd / "runtime"),
                "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:cacheprovider",
                "XDG_STATE_HOME": str(self.cwd / "state"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @cached_property
    def small_run(self) -> Path:
        """The folder of a run of a few cases of each suite, made when it is first asked for."""
        self.out("-m", "harness", *SMALL_RUN)
        (run,) = (file.parent for file in self.cwd.glob("reports/*/run.json"))
        return run


def help_texts(version: Version) -> str:
    """Every --help of the command, and the plugin's part of pytest's."""
    of_pytest = version.out("-m", "pytest", "--help").partition("\nKeyharness: ")[2].partition("\n\n")[0]
    return f"{version.out('-c', HELP_OF_ALL, *COMMANDS)}$ pytest --help\nKeyharness: {of_pytest}\n"


def node_ids(version: Version) -> str:
    """Each test function of the suites, with number and digest of its node ids on two rigs of the default bench."""
    where = version.out(
        "-c", "import harness, harness_suites as s; print(harness.__path__[0]); print(s.__path__[0])"
    )
    core, suites = where.splitlines()
    listed = version.out(
        *("-m", "pytest", "-c", f"{core}/data/pytest.ini", "--rootdir", suites, "--collect-only", "-q"),
        *("--kh-seed", "1", "--kh-rig", "nk3-mini", "--kh-rig", "hsm-1", suites),
    )
    functions: dict[str, list[str]] = defaultdict(list)
    for line in listed.splitlines():
        if "::" in line:
            functions[line.partition("[")[0]].append(line)
    return "".join(f"{name} {len(ids)} {digest(ids)}\n" for name, ids in sorted(functions.items()))


def digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:8]


def junit_names(version: Version) -> str:
    """Class name and name of each case in JUnit's file."""
    cases = ET.parse(version.small_run / "junit.xml").getroot().iter("testcase")
    return "".join(sorted(f"{case.get('classname')} {case.get('name')}\n" for case in cases))


def allure_history(version: Version) -> str:
    """Name, history id and test case id of each case in Allure's results."""
    with zipfile.ZipFile(version.small_run / "allure-results.zip") as archive:
        results = [
            json.loads(archive.read(name)) for name in archive.namelist() if name.endswith("-result.json")
        ]
    return "".join(sorted(f"{one['name']} {one['historyId']} {one['testCaseId']}\n" for one in results))


def replay_ids(version: Version) -> str:
    """The first 20 replay ids."""
    rows = (version.small_run / "evidence.jsonl").read_text().splitlines()[:20]
    return "".join(f"{json.loads(row)['id']}\n" for row in rows)


def plans(version: Version) -> str:
    """What --plan shows; how long it takes depends on the host."""
    shown = ""
    for plan in PLANS:
        text = version.out("-m", "harness", *plan.split())
        shown += f"$ keyharness {plan}\n" + re.sub(r"about .* processes?", "about ...", text)
    return shown


def wheel_files(version: Version) -> str:
    """The packages of the wheel, and its files that are no modules."""
    where = version.out("-c", "import harness; print(harness.__path__[0])").strip()
    source = str(Path(where).parent)
    version.out("-m", "build", "--wheel", "--no-isolation", "--outdir", str(version.cwd / "dist"), source)
    (wheel,) = (version.cwd / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    shown = {name.removesuffix("__init__.py") for name in names if name.endswith("/__init__.py")}
    shown |= {name for name in names if not name.endswith(".py") and ".dist-info/" not in name}
    return "".join(f"{name}\n" for name in sorted(shown))


GOLDEN: dict[str, Callable[[Version], str]] = {
    "allure_history.txt": allure_history,
    "help.txt": help_texts,
    "junit_names.txt": junit_names,
    "node_ids.txt": node_ids,
    "plans.txt": plans,
    "replay_ids.txt": replay_ids,
    "wheel_files.txt": wheel_files,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="which golden files; default: all")
    parser.add_argument("--python", default=sys.executable, help="Python of the version that gives the texts")
    asked = parser.parse_args()
    version = Version(asked.python)
    for name in asked.files or GOLDEN:
        (HERE / name).write_text(GOLDEN[name](version), encoding="utf-8")
        print(f"{HERE / name}")


if __name__ == "__main__":
    main()
