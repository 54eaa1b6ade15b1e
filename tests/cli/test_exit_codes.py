"""Exit code 1 says that the key failed, and nothing else ever does."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess

import pytest

from harness.pytest_plugin.cases import blame_of
from harness.run.launch import checked
from support.limits import HUNG_S

SMALL = ("run", "endurance", "--seed", "1", "--operation", "fido2.client_pin.verify", "--cuts", "3")


def run(cli, *arguments, **more):
    return subprocess.run(
        [*cli.command, *arguments],
        cwd=cli.cwd,
        env={**cli.env, **more.pop("env", {})},
        stderr=subprocess.PIPE,
        text=True,
        timeout=HUNG_S,
        check=False,
        **{"stdout": subprocess.PIPE, **more},
    )


def refused(done, code, *words):
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr


def test_a_full_disk_behind_standard_output_is_inconclusive(cli):
    with open("/dev/full", "w") as full:
        done = run(cli, "list", stdout=full)
    refused(done, 3, "No space left on device")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("limit", [20_000, 60_000])
def test_a_disk_that_takes_no_more_is_the_hosts_fault(cli, limit):
    """A limit of the size of files stands for a full disk: it is met in the run's files, one sooner, one later."""
    done = run(cli, *SMALL, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert done.returncode != 1, done.stderr
    for file in cli.cwd.glob("reports/*/summary.json"):
        try:
            summary = json.loads(file.read_text())
        except ValueError:
            continue
        assert summary["verdict"] != "fail"
        assert all(found["blame"] != "key" for found in summary["violations"])


def test_reports_in_the_place_of_a_file_are_explained(cli):
    (cli.cwd / "reports").write_text("a file")
    done = run(cli, *SMALL)
    assert done.returncode in (3, 4), done.stderr
    assert "reports" in done.stderr


def test_plugins_that_pytest_cannot_import_are_no_verdict(cli):
    refused(run(cli, *SMALL, env={"PYTEST_PLUGINS": "no_such_plugin"}), 3, "inconclusive: pytest ended")


def test_a_bench_nested_too_deep_is_the_callers_fault(cli):
    (cli.cwd / "deep.toml").write_text("rig = " + "[" * 5000 + "]" * 5000)
    refused(run(cli, "run", "--bench", "deep.toml"), 4, "bench deep.toml", "inside each other")


@pytest.mark.parametrize(
    "code, verdict, expected",
    [
        (0, "pass", 0),
        (1, "fail", 1),
        (1, "pass", 3),
        (1, None, 3),
        (0, "fail", 3),
        (0, None, 3),
        (4, "fail", 4),
        (2, "interrupted", 2),
        (5, None, 5),
    ],
)
def test_a_verdict_counts_only_if_the_summary_has_it(tmp_path, code, verdict, expected):
    if verdict is not None:
        (tmp_path / "summary.json").write_text(json.dumps({"verdict": verdict}))
    assert checked(code, tmp_path) == expected


class KeyWithoutClients:
    def fault(self, error):
        return None


@pytest.mark.parametrize(
    "module, blame", [("allure_pytest.plugin", "harness"), ("acme_suite.test_it", "key")]
)
def test_only_a_suite_says_that_the_key_failed(module, blame):
    """pytest-timeout and other plugins of pytest call pytest.fail as well."""
    with pytest.raises(pytest.fail.Exception) as caught:
        exec("import pytest\npytest.fail('too late')", {"__name__": module})
    assert blame_of(caught.value, KeyWithoutClients()) == blame


@pytest.mark.parametrize("error, blame", [(28, "rig"), (13, "rig"), (19, "key"), (71, "key")])
def test_an_error_of_the_host_is_not_the_keys(error, blame):
    """ENOSPC and EACCES are the host's; ENODEV and EPROTO come from a transport."""
    assert blame_of(OSError(error, os.strerror(error)), KeyWithoutClients()) == blame


@pytest.mark.parametrize(
    "name, blame",
    [
        ("reports/run/logs/nk3.trace.json", "rig"),
        (b"reports/gone", "rig"),
        ("/dev/hidraw3", "key"),
        (None, "key"),
    ],
)
def test_a_file_that_is_gone_is_the_hosts_and_a_device_that_is_gone_the_keys(name, blame):
    assert blame_of(OSError(errno.ENOENT, "No such file or directory", name), KeyWithoutClients()) == blame
