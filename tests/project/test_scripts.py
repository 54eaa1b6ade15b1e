"""The scripts of a checkout: they parse, say what they want, and the project names no machine's things."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import PARTS, show
from support.files import text_of, tracked
from support.limits import HUNG_S
from support.paths import ROOT

SCRIPTS = [*sorted((ROOT / "script").iterdir()), ROOT / ".ci" / "run", ROOT / "docs" / "pictures" / "make"]
NAMED = [str(path.relative_to(ROOT)) for path in SCRIPTS]


@pytest.mark.parametrize("path", SCRIPTS, ids=NAMED)
def test_it_is_a_shell_script_that_parses_and_may_be_run(path):
    assert path.read_text().startswith("#!/bin/sh\n# ")
    assert os.access(path, os.X_OK)
    done = subprocess.run(["sh", "-n", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_ci_runs_all_tests():
    assert "exec script/test --all\n" in (ROOT / ".ci" / "run").read_text()


# Put together here, so that this file does not name them either.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("golang", "org"),
        ("rubygems", "org"),
        ("maven", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("docker", "io"),
        ("anaconda", "org"),
    )
]
PLACES = re.compile(
    "|".join(
        rf"(?<![\w.~-])/{place}"
        # Where locks lie if nothing says otherwise is documented, and no machine's own.
        for place in ("work/", "root/", r"opt/\w", r"tmp/(?!keyharness-<uid>)\w", r"home/\w")
    )
)


def test_no_file_names_the_host_of_a_package_registry():
    found = [
        f"{path.relative_to(ROOT)}: {host}" for path in tracked() for host in HOSTS if host in text_of(path)
    ]
    assert found == []


def test_no_file_names_a_path_of_somebodys_machine():
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked()
        for match in PLACES.finditer(text_of(path))
    ]
    assert found == []


class Machine:
    """A copy of the scripts, and a PATH with only those programs that a test puts there."""

    TOOLS = ("sh", "cat", "cksum", "dirname", "basename", "sed", "rm", "mkdir", "flock", "env")

    def __init__(self, home: Path):
        self.checkout, self.path = home / "a checkout", home / "bin"
        self.path.mkdir()
        (self.checkout / "script").mkdir(parents=True)
        for name in ("script/bootstrap", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.checkout / name)
        for tool in self.TOOLS:
            if found := shutil.which(tool):
                (self.path / tool).symlink_to(found)

    def program(self, path: Path | str, body: str) -> None:
        """A shell script, on PATH or at a place of the checkout."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def bootstrap(self, **environ: str) -> tuple[int, str]:
        done = subprocess.run(
            [self.checkout / "script" / "bootstrap"],
            env={"PATH": str(self.path), **environ},
            capture_output=True,
            text=True,
            timeout=HUNG_S,
            check=False,
        )
        return done.returncode, done.stderr


NO_ENSUREPIP = f'case "$*" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"'


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_who_is_not_root_and_has_no_sudo_is_told_what_to_ask_for(machine):
    machine.program("id", "echo 1000")
    machine.program("apt-get", "echo must not be called; exit 1")
    code, said = machine.bootstrap()
    assert code == 1
    assert "needs the Debian package python3: no Python 3.11 or later was found" in said
    assert (
        "you are not root and there is no sudo; please have root run: apt-get install python3 python3-venv"
        in said
    )


def test_where_there_is_no_apt_it_names_what_is_missing(machine):
    code, said = machine.bootstrap()
    assert code == 1
    assert "no apt-get here; please install what Debian calls python3 python3-venv, then try again" in said


def test_a_python_of_ones_own_without_ensurepip_is_not_mended_by_a_debian_package(machine):
    machine.program("python3", NO_ENSUREPIP)
    code, said = machine.bootstrap()
    assert code == 1
    assert "has no ensurepip; set KEYHARNESS_PYTHON to a complete Python 3.11 or later" in said


def test_a_python_that_was_named_and_will_not_do_is_no_reason_to_take_another(machine):
    machine.program("python3", f'exec {sys.executable} "$@"')
    code, said = machine.bootstrap(KEYHARNESS_PYTHON="python2")
    assert code == 1
    assert "KEYHARNESS_PYTHON is python2, which is no Python 3.11 or later that runs" in said


def test_apt_that_fails_is_said_to_have_failed(machine):
    machine.program("id", "echo 0")
    machine.program("dpkg", "exit 0")
    machine.program("apt-get", 'echo "E: no such mirror" >&2; exit 100')
    code, said = machine.bootstrap()
    assert code == 1
    assert "E: no such mirror" in said
    assert "apt-get failed (see above); try again, or have this installed: python3 python3-venv" in said


PIP = """case "$*" in
*"pip install"*) echo install >>"$LOG"; exit $PIP_ENDS_WITH ;;
*"-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; echo venv >>"$LOG" ;;
esac"""


class Installed(Machine):
    """A machine whose Python notes what it is asked to install, and installs nothing."""

    def __init__(self, home: Path):
        super().__init__(home)
        (self.path / "cp").symlink_to(shutil.which("cp") or "cp")
        self.program("python3", PIP)
        self.log = home / "log"

    def does(self, pip_ends_with: int = 0) -> tuple[int, list[str]]:
        """The exit code, and what was done since the last time."""
        self.log.write_text("")
        code, _ = self.bootstrap(LOG=str(self.log), PIP_ENDS_WITH=str(pip_ends_with))
        return code, self.log.read_text().split()


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


def test_the_second_time_nothing_is_done(installed):
    assert installed.does() == (0, ["venv", "install"])
    assert installed.does() == (0, [])


def test_what_changed_is_installed_into_the_same_environment(installed):
    installed.does()
    with (installed.checkout / "constraints.txt").open("a") as file:
        file.write("\n")
    assert installed.does() == (0, ["install"])
    assert installed.does() == (0, [])


def test_an_installation_that_did_not_end_well_is_made_anew(installed):
    assert installed.does(pip_ends_with=1) == (1, ["venv", "install"])
    assert installed.does() == (0, ["venv", "install"])
    assert installed.does() == (0, [])


def test_a_change_that_was_not_installed_well_makes_it_anew(installed):
    installed.does()
    with (installed.checkout / "constraints.txt").open("a") as file:
        file.write("\n")
    assert installed.does(pip_ends_with=1) == (1, ["install"])
    assert installed.does() == (0, ["venv", "install"])


def test_a_checkout_that_was_moved_gets_a_new_environment(installed):
    installed.does()
    installed.checkout = installed.checkout.rename(installed.checkout.with_name("moved"))
    assert installed.does() == (0, ["venv", "install"])


def test_an_environment_of_somebody_elses_is_kept(installed):
    installed.program(installed.checkout / ".venv" / "bin" / "python", PIP)
    mine = installed.checkout / ".venv" / "mine"
    mine.touch()
    assert installed.does() == (0, ["install"])
    assert mine.exists()


def test_without_a_compiler_the_rest_is_installed_and_what_is_missing_is_said(installed):
    installed.program("python3", 'case "$*" in *smartcard*|*pcsc*) exit 1 ;; esac\n' + PIP)
    code, said = installed.bootstrap(LOG=str(installed.log), PIP_ENDS_WITH="0")
    assert code == 0
    assert "needs the Debian package gcc: compiles pyscard, which reaches cards through pcscd" in said
    assert "rigs with transport pcsc will not do; have this installed and try again: gcc" in said
    assert "installs none of them, which takes root or a sudo without a password" in said
    assert installed.does() == (0, []), "it is not tried each time"


def test_what_the_tests_of_cards_need_is_installed_by_one_call_of_apt(installed):
    """By sudo, which asks for no password; nobody may write to /usr/sbin here, as tee is not there."""
    installed.program("python3", 'case "$*" in *smartcard*|*pcsc*) exit 1 ;; esac\n' + PIP)
    installed.program("id", "echo 1000")
    installed.program("sudo", '[ "$1" = -n ] || exec "$@"')
    installed.program("apt-get", 'echo "$*" >>"$CALLS"')
    calls = installed.log.with_name("calls")
    code, said = installed.bootstrap(LOG=str(installed.log), PIP_ENDS_WITH="0", CALLS=str(calls))
    assert code == 0
    (install,) = [
        line for line in calls.read_text().splitlines() if " install " in line or line.startswith("install")
    ]
    for package in ("gcc", "opensc", "openssl"):
        assert f" {package}" in install
        assert f"needs the Debian package {package}: " in said
    assert "installs none of them" not in said


@pytest.mark.parametrize(("ldd", "is_wanted"), [("exit 0", True), ("exit 1", False)])
def test_a_busybox_that_needs_libraries_is_not_enough_for_the_virtual_machine(installed, ldd, is_wanted):
    installed.program("busybox", "")
    installed.program("ldd", ldd)
    _, said = installed.bootstrap(LOG=str(installed.log), PIP_ENDS_WITH="0")
    assert ("needs the Debian package busybox-static" in said) == is_wanted


def test_an_apt_that_fails_leaves_the_rest_installed(installed):
    installed.program("id", "echo 1000")
    installed.program("sudo", '[ "$1" = -n ] || exec "$@"')
    installed.program("apt-get", "exit 100")
    code, said = installed.bootstrap(LOG=str(installed.log), PIP_ENDS_WITH="0")
    assert code == 0
    assert "apt-get failed (see above); tests that need these packages are skipped" in said


@pytest.mark.long
def test_the_benchmarks_measure_and_say_it_as_json():
    """All but those that start many processes of their own: rigs at once, and an emulator that is cut."""
    parts = [word for name in PARTS if name not in ("emulator", "rigs") for word in ("--only", name)]
    command = [sys.executable, "-m", "benchmarks", "--quick", *parts, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HUNG_S, check=False)
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    assert [row["operation"] for row in table["campaigns"]["speed"]] == ["fido2.client_pin.wrong"]
    pairs = [*table["campaigns"]["beside"], *table["functions"]]
    assert all(row["ours_s"] > 0 and row["other_s"] > 0 for row in pairs)
    show(table)
