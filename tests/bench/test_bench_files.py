"""Bench files: where `--bench` finds them, and those that come with Keyharness."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from harness.base.errors import CallerError
from harness.bench.bench import find_bench, load_bench
from harness.bench.registry import Plugins, discover
from harness.run.session import Session
from harness.run.wanted import Wanted
from support.paths import ROOT

OURS = sorted((ROOT / "rigs").glob("*.toml"))


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return discover()


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_each_of_ours_is_a_bench_and_is_found_by_its_name(file, plugins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bench = load_bench(Path(file.name), plugins)
    assert bench.file.samefile(file)
    assert bench.shown == file.name
    assert bench.rigs


DEFAULT = ["nk3-mini", "hsm-1", "nk3-all", "nk3-1.7", "nk3-1.2", "pro-1"]


def test_the_default_has_a_twin_of_each_kind_of_key(plugins):
    bench = load_bench(None, plugins)
    assert (bench.shown, bench.rigs) == ("virtual.toml", DEFAULT)
    # What a run that names nothing takes besides is a sample; a selection is of what is cut exhaustively.
    usual = Session(Wanted(seed=1, cuts=5), plugins, bench=bench).rig_names
    sampled = [name for name in DEFAULT if bench.settings(name).cuts is not None]
    assert usual == [name for name in DEFAULT if name not in sampled] == ["nk3-mini", "hsm-1"]
    assert Session(Wanted(seed=1), plugins, bench=bench).rig_names == DEFAULT


def test_a_file_that_is_there_goes_before_a_plugin_s(plugins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("virtual.toml").write_text('[[rig]]\nname = "mine"\nkey = "fido2"\ndriver = "virtual"\n')
    assert load_bench(Path("virtual.toml"), plugins).rigs == ["mine"]
    assert load_bench(None, plugins).rigs == DEFAULT, "the default is never a file that happens to lie there"


def test_the_first_plugin_that_has_it_is_asked(tmp_path):
    for folder, names in (("one", ["a.toml"]), ("two", ["a.toml", "virtual.toml"])):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    plugins = Plugins(benches=[tmp_path / "one", tmp_path / "two"])
    assert find_bench(Path("a.toml"), plugins) == tmp_path / "one" / "a.toml"
    assert find_bench(None, plugins) == tmp_path / "two" / "virtual.toml"


def test_without_a_default_the_message_says_what_to_do():
    with pytest.raises(CallerError, match="--bench"):
        find_bench(None, Plugins())


def test_the_wheel_takes_each_of_ours():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    taken = build["targets"]["wheel"]["force-include"].items()
    assert {source: place for source, place in taken if source.startswith("rigs/")} == {
        f"rigs/{file.name}": f"harness_rigs/benches/{file.name}" for file in OURS
    }


def rig_with(suites):
    return f'[[rig]]\nname = "mine"\nkey = "fido2"\ndriver = "virtual"\nsuites = {suites}\n'


def test_a_rig_takes_whole_suites_and_single_files(plugins, tmp_path):
    (tmp_path / "b.toml").write_text(rig_with('["endurance", "conformance/test_u2f.py"]'))
    bench = load_bench(tmp_path / "b.toml", plugins)
    suites = {name: plugins.suite(name).path for name in ("conformance", "endurance", "downgrade")}
    taken = {
        f"{name}/{file.name}"
        for name, folder in suites.items()
        for file in folder.glob("test_*.py")
        if bench.runs("mine", file)
    }
    assert taken == {
        "conformance/test_u2f.py",
        *(f"endurance/{file.name}" for file in suites["endurance"].glob("test_*.py")),
    }


def test_a_file_that_a_suite_does_not_have_is_named(plugins, tmp_path):
    (tmp_path / "b.toml").write_text(rig_with('["conformance/test_u3f.py"]'))
    with pytest.raises(CallerError) as refused:
        load_bench(tmp_path / "b.toml", plugins)
    said = str(refused.value)
    assert 'rig "mine" · suites' in said
    assert '"conformance/test_u3f.py"' in said
    assert "test_u2f.py" in said


@pytest.mark.parametrize(
    ("flash", "place", "found", "expected"),
    [
        ("kind = 'imag'", "flash.kind", "imag", '"image", "files" or "driver"'),
        ("kind = 'image'", "flash.files", "nothing", "the names of the files"),
        ("kind = 'files'\nfaults = 'torn'", "flash.faults", "torn", "a list"),
        ("kind = 'driver'\npages = 0", "flash.pages", "0", "a number above 0"),
        ("kind = 'driver'\npages = true", "flash.pages", "True", "a whole number"),
    ],
)
def test_a_setting_that_does_not_fit_says_what_to_write(flash, place, found, expected, plugins, tmp_path):
    file = tmp_path / "bench.toml"
    rig = "[[rig]]\nname = 'e'\nkey = 'fido2'\ndriver = 'emulator'\ncommand = ['x']\ntransport = 'ctaphid-udp'\n"
    file.write_text(f"{rig}expendable = true\n[rig.flash]\n{flash}\n")
    with pytest.raises(CallerError) as error:
        load_bench(file, plugins)
    said = error.value
    assert said.what.endswith(f'rig "e" · {place}')
    assert str(said.found) == found
    assert str(said.expected).startswith(expected)
    assert said.mend
