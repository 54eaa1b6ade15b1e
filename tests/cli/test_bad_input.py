"""Bad input: one clear message, exit code 4, no traceback, nothing written."""

from __future__ import annotations

import pytest

GOOD = '[[rig]]\nname = "a"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'

BENCHES = [
    ("not TOML", "rig = [", ["bench.toml", "TOML"]),
    ("no rigs", 'name = "x"\n', ["bench.toml", "rig"]),
    ("unknown top-level name", "rigs = 1\n" + GOOD, ["bench.toml", '"rigs"', "rig"]),
    ("rig without a key", '[[rig]]\nname = "a"\ndriver = "virtual"\n', ['rig "a" · key', "nothing"]),
    (
        "unknown key",
        GOOD.replace("nitrokey3-mini", "nitrokey4"),
        ['rig "a" · key', "nitrokey4", "nitrokey3-mini"],
    ),
    ("unknown driver", GOOD.replace('"virtual"', '"virtul"'), ['rig "a" · driver', "virtul", "virtual"]),
    ("two rigs of one name", GOOD + GOOD, ['rig "a"', "2 rigs"]),
    ("unknown setting", GOOD + "twin.flavour = 1\n", ['rig "a" · twin.flavour', '"flavour"', "personality"]),
    ("setting of a wrong type", GOOD + "twin.defects = 3\n", ['rig "a" · twin.defects', "3", "list"]),
    ("unknown personality", GOOD + 'twin.personality = "best"\n', ["best", "reference"]),
    ("unknown layer", GOOD + 'twin.layer = "unsafe"\n', ["unsafe", "safe", "late-replay"]),
    ("unknown profile", GOOD + 'twin.profile = "nor"\n', ["twin.profile", "nor-torn"]),
    ("unknown defect", GOOD + 'twin.defects = ["no-jurnal"]\n', ["no-jurnal", "no-journal"]),
    ("name with a slash", GOOD.replace('"a"', '"a/b"'), ["name", "a/b"]),
]


def check(done, expected):
    assert done.returncode == 4, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    for word in expected:
        assert word in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) <= 8


@pytest.mark.parametrize("text, expected", [row[1:] for row in BENCHES], ids=[row[0] for row in BENCHES])
def test_a_bad_bench_is_explained(cli, text, expected):
    (cli.cwd / "bench.toml").write_text(text)
    check(cli.inside("run", "--bench", "bench.toml"), expected)
    assert not (cli.cwd / "reports").exists()


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["run", "--bench", "absent.toml"], ["absent.toml", "No such file"]),
        (["run", "--bench", "a" * 300], ["bench aaa", "File name too long"]),
        (["replay", f"kh1:nk3-mini/fido2.reset:{'9' * 5000}:op1.torn1:000000"], ["replay id"]),
        (["run", "endurence"], ['suite "endurence"', "endurance"]),
        (["run", "--rig", "nk3"], ['rig "nk3"', "nk3-mini"]),
        (["run", "--operation", "fido2.resett"], ['operation "fido2.resett"', "fido2.reset"]),
        (["run", "--seed", "x"], ["--seed"]),
        (["run", "--cuts", "0"], ["--cuts"]),
        (["run", "--nonsense"], ["--nonsense"]),
        (["report"], ["no run"]),
        (["report", "x"], ["no run"]),
        (["replay", "kh1:bad"], ["replay id", "kh1:<rig>"]),
        (["replay", "kh1:nk3-mini/fido2.reset:1:op1.torn1:000000"], ["check 000000", "bench"]),
        (["replay", "kh1:nk4/fido2.reset:1:op1.torn1:000000"], ['rig "nk4"', "nk3-mini"]),
        (["replay", "kh1:nk3-mini/fido2.rest:1:op1.torn1:000000"], ["fido2.rest", "fido2.reset"]),
        (["prove", "--defect", "late"], ['defect "late"', "late-journal-replay"]),
        (["prove", "--key", "nk"], ['key "nk"', "nitrokey3-mini"]),
    ],
)
def test_a_wrong_option_is_explained(cli, arguments, expected):
    check(cli.inside(*arguments), expected)


@pytest.mark.parametrize("reports", ["file", "file/reports", "/proc/reports"])
def test_a_folder_of_reports_that_cannot_be_made_is_explained(cli, reports):
    (cli.cwd / "file").write_text("not a folder")
    check(
        cli.inside("run", "--reports", reports, "--operation", "fido2.reset"),
        [f"reports {reports}", "--reports"],
    )


def test_pytest_arguments_that_are_wrong_are_usage_too(cli):
    done = cli("run", "--", "--no-such-option")
    assert done.returncode == 4
    assert "--no-such-option" in done.stdout + done.stderr


def test_nothing_is_written_to_a_key_that_is_not_expendable(cli):
    (cli.cwd / "bench.toml").write_text(GOOD.replace("expendable = true\n", ""))
    done = cli("run", "endurance", "--bench", "bench.toml", "--operation", "fido2.reset")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "not called expendable" in " ".join(done.stdout.split())
    assert not (cli.run_dir / "evidence.jsonl").read_text()


def test_a_run_that_tests_nothing_does_not_pass(cli):
    done = cli("run", "endurance", "--", "-k", "nothing_is_called_so")
    assert done.returncode == 5
    assert "nothing was tested" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "source, expected",
    [
        ("import absent_module", ["acme", "acme-key 0.3", "absent_module"]),
        (
            "from harness.bench.plugin_api import hookimpl\n@hookimpl\ndef keyharness_keys(): return [1]",
            ["acme-key 0.3", "1"],
        ),
        (
            "from harness.bench.plugin_api import hookimpl\n@hookimpl\ndef keyharness_kees(): return []",
            ["keyharness_kees"],
        ),
        (
            "from harness.bench.plugin_api import hookimpl\n@hookimpl\ndef keyharness_keys(): 1/0",
            ["ZeroDivisionError"],
        ),
        (
            "from harness.bench.plugin_api import *\nfrom pathlib import Path\n@hookimpl\n"
            "def keyharness_suites(): return [Suite('endurance', 'x', Path('.'))]",
            ['the name "endurance"'],
        ),
        (
            "from harness.bench.plugin_api import hookimpl\n@hookimpl\ndef keyharness_benches(): return ['benches']",
            ["keyharness_benches()", "'benches'", "folders"],
        ),
    ],
    ids=[
        "does not import",
        "wrong object",
        "unknown hook",
        "hook that raises",
        "name that is taken",
        "no folder of benches",
    ],
)
def test_a_broken_plugin_is_named(cli, source, expected):
    site = cli.cwd / "site"
    info = site / "acme_key-0.3.dist-info"
    info.mkdir(parents=True)
    (site / "acme_plugin.py").write_text(source)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-key\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[keyharness]\nacme = acme_plugin\n")
    cli.env["PYTHONPATH"] = str(site)
    check(cli("list"), [*expected, "acme-key 0.3"])


def test_a_rig_that_is_not_there_hides_no_other_rig(cli):
    (cli.cwd / "lab.toml").write_text(
        '[[rig]]\nname = "gone"\nkey = "nitrokey3-mini"\ndriver = "usb"\nport = "250-1"\n'
        'power = { driver = "hub" }\n'
        '[[rig]]\nname = "twin"\nkey = "nitrokey3-mini"\ndriver = "virtual"\n'
    )
    done = cli("rigs", "--bench", "lab.toml")
    assert done.returncode == 0
    assert "gone                 not there" in done.stdout
    assert 'lab.toml: rig "gone" · port' in done.stdout
    assert "twin                 free" in done.stdout
