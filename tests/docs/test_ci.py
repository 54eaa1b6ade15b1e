"""The workflows of docs/ci: their form, and what the script that they share makes of each verdict."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support.limits import HUNG_S
from support.paths import ROOT

CI = ROOT / "docs" / "ci"


def ran(*command: object, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=HUNG_S, check=False, **more
    )


def test_the_workflows_fit_the_schemas_of_their_servers():
    """Schemas of SchemaStore and GitLab, as check-jsonschema carries them: no network is needed."""
    for name, schema, more in (
        ("github.yml", "vendor.github-workflows", ()),
        ("gitlab-ci.yml", "vendor.gitlab-ci", ("--data-transform", "gitlab-ci")),
    ):
        done = ran(sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *more, CI / name)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_units_fit_systemd(tmp_path):
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("no systemd-analyze")
    units = [shutil.copy(path, tmp_path) for path in sorted(CI.glob("keyharness-nightly.*"))]
    done = ran(analyze, "verify", "--man=no", *units)
    said = [line for line in done.stderr.splitlines() if "keyharness-nightly" in line]
    assert not said, said


def block(text: str, name: str) -> str:
    """The lines below a key of YAML that are indented more than it."""
    found = re.search(rf"^( *)(?:- )?{name}:[^\n]*\n((?:\1 +[^\n]*\n|\n)+)", text, re.M)
    assert found, name
    return found.group(2)


def keys(text: str, indent: int) -> list[str]:
    return re.findall(rf"^ {{{indent}}}([\w-]+):", text, re.M)


@pytest.mark.parametrize("name", ["github.yml", "gitlab-ci.yml"])
def test_a_workflow_is_yaml_as_far_as_it_is_used(name):
    """Checked by hand where no YAML parser is: two spaces, no tab, balanced quotes, no key twice on the top level."""
    text = (CI / name).read_text()
    assert "\t" not in text
    for at, line in enumerate(text.splitlines(), 1):
        indent = len(line) - len(line.lstrip())
        assert indent % 2 == 0, f"line {at}"
        if not line.lstrip().startswith("#"):
            assert line.count('"') % 2 == 0, f"line {at}"
    top = keys(text, 0)
    assert len(top) == len(set(top))


def test_github_keeps_keys_from_strangers_and_everything_that_was_found():
    text = (CI / "github.yml").read_text()
    assert {"name", "on", "permissions", "concurrency", "jobs"} == set(keys(text, 0))
    assert "pull_request" not in block(text, "on")
    job = block(text, "nightly")
    assert "if: github.ref_protected" in job
    assert "cancel-in-progress: false" in block(text, "concurrency")
    assert "contents: read" in block(text, "permissions")
    steps = re.split(r"^ {6}- ", block(text, "steps"), flags=re.M)
    always = [step for step in steps if "if: always()" in step]
    assert any("keyharness power on" in step for step in always)
    assert any("upload-artifact" in step for step in always)
    assert any("junit.xml" in step for step in always)
    assert any("run: docs/ci/nightly" in step for step in steps)


def test_gitlab_does_the_same():
    text = (CI / "gitlab-ci.yml").read_text()
    job = block(text, "keyharness")
    assert 'CI_COMMIT_REF_PROTECTED == "true"' in block(text, "rules")
    assert "resource_group:" in job
    assert "docs/ci/nightly" in block(text, "script")
    assert "keyharness power on" in block(text, "after_script")
    artifacts = block(text, "artifacts")
    assert "when: always" in artifacts
    assert "junit: artefacts/junit.xml" in artifacts


def test_the_files_name_options_that_there_are():
    from typer.main import get_command

    from harness.cli.main import app

    commands = vars(get_command(app))["commands"]
    said = [
        line
        for path in sorted(CI.iterdir())
        for line in path.read_text().splitlines()
        if not line.startswith("#")
    ]
    used = re.findall(r"\bkeyharness (doctor|power|qualify|run|history)\b([^;|&\n]*)", "\n".join(said))
    assert {name for name, _ in used} == {"doctor", "power", "qualify", "run", "history"}
    for name, rest in used:
        options = {one for parameter in commands[name].params for one in parameter.opts}
        assert set(re.findall(r"--[a-z][a-z-]+", rest)) <= options


class Night:
    """The script, with a `keyharness` that notes its arguments and exits as it is told."""

    def __init__(self, folder: Path):
        self.folder = folder
        program = folder / "bin" / "keyharness"
        program.parent.mkdir()
        program.write_text(
            '#!/bin/sh\necho "$*" >> "$NOTED"\ncase $1 in\n'
            '  history) exit $HISTORY ;;\n  power) exit $POWER ;;\n  *) eval "$DURING"; exit $VERDICT ;;\nesac\n'
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def __call__(self, **told: object) -> tuple[int, list[str]]:
        environment = {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "NOTED": str(self.folder / "noted"),
            "KEYHARNESS_REPORTS": str(self.folder / "reports"),
            "RIGS": "mini-1 mini-2",
            "VERDICT": "0",
            "HISTORY": "0",
            "POWER": "0",
            "DURING": ":",
            **{name: str(value) for name, value in told.items()},
        }
        done = ran("sh", CI / "nightly", cwd=self.folder, env=environment)
        return done.returncode, (self.folder / "noted").read_text().splitlines()


@pytest.fixture
def night(tmp_path):
    return Night(tmp_path)


ON = ["power on mini-1", "power on mini-2"]


@pytest.mark.parametrize("code", [0, 1, 2, 4, 5])
def test_a_verdict_is_passed_on_and_keys_get_their_power_back(night, code):
    found, calls = night(VERDICT=code, PLAN="plan.toml")
    assert found == code
    assert calls[0].startswith("qualify plan.toml")
    assert calls[1:] == ON


@pytest.mark.parametrize(("history", "code"), [(0, 0), (3, 3)])
def test_one_inconclusive_night_is_green_and_some_in_a_row_are_red(night, history, code):
    found, calls = night(VERDICT=3, HISTORY=history, NIGHTS=4)
    assert found == code
    assert calls[1] == "history --inconclusive 4"
    assert calls[2:] == ON


def test_a_rig_that_stays_dark_is_red(night):
    assert night(POWER=3) == (3, [f"run --reports {night.folder / 'reports'}", *ON])
    (night.folder / "noted").unlink()
    assert night(POWER=3, VERDICT=1)[0] == 1


def test_a_night_that_is_ended_gives_power_back_once(night):
    found, calls = night(DURING="kill -TERM $PPID")
    assert found == 2
    assert calls[1:] == ON


def test_who_ends_a_night_ends_the_run_in_it(night):
    """systemd and others tell the script only: a run that nobody tells is killed in the end."""
    waits = "n=0; while [ $n -lt 3000 ]; do n=$((n + 1)); sleep 0.01; done"
    found, calls = night(DURING=f"trap 'echo told >> \"$NOTED\"; exit 2' TERM; kill -TERM $PPID; {waits}")
    assert found == 2
    assert calls[1:] == ["told", *ON]


def test_the_newest_junit_file_is_where_servers_look(night):
    for name in ("20261101-220000-aaaa", "20261102-220000-bbbb"):
        (night.folder / "reports" / name).mkdir(parents=True)
        (night.folder / "reports" / name / "junit.xml").write_text(name)
    night()
    assert (night.folder / "reports" / "junit.xml").read_text() == "20261102-220000-bbbb"
