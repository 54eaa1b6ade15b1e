"""Bundles: another machine sees the same, nothing private is in one, and a hostile one does nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import CallerError
from harness.evidence.bundle import MANIFEST, Manifest, bundle, read_bundle
from support.command import Cli

PIN, OWNER = "73519264", "/" + "home" + "/alice"
SCENARIO = """
[scenario]
id = "formatted"
title = "Lost to a format"
firmware = "1.2.2"
missed = ["every login"]
[replay]
key = "nitrokey3-mini"
operations = ["fido2.make_credential.non_resident"]
[[replay.sees]]
item = "fido2.attestation"
value = "packed without x5c.*"
"""


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    """A run of a scenario, with what must not leave this machine in its logs, and its bundle under an embargo."""
    cli = Cli(tmp_path_factory.mktemp("bundled"))
    (cli.cwd / "formatted.toml").write_text(SCENARIO)
    done = cli("run", "--scenario", "formatted.toml", "--seed", "5", "--cuts", "12", "--trials", "0")
    assert done.returncode == 1, done.stdout + done.stderr
    kept = sorted(cli.run_dir.glob("abnormal/*"))
    assert kept
    talk = f"alice PIN {PIN} ({PIN.encode().hex()}) in {OWNER}/keys from 192.168.7.9\n"
    (kept[0] / "transport.log").write_text(talk)
    (cli.run_dir / "logs" / "as-told.kernel.log").write_text(talk)
    cli.env["KEYHARNESS_PIN_AS_TOLD"] = PIN
    made = cli("bundle", "failure.zip", "--embargo")
    assert made.returncode == 0, made.stderr
    return cli, cli.cwd / "failure.zip"


@pytest.mark.long
def test_another_machine_sees_the_same(bundled, tmp_path):
    _, file = bundled
    other = Cli(tmp_path / "elsewhere")
    other.cwd.mkdir()
    shutil.copy(file, other.cwd)
    done = other("replay", "failure.zip", "--json")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert document["embargo"] is True
    assert document["replayed"]
    for one in document["replayed"]:
        assert one["kept"]["then"] == one["kept"]["outcome"] == one["cut_again"]["outcome"]
        assert one["kept"]["changed"] == one["cut_again"]["changed"]
    assert [path.name for path in other.cwd.iterdir()] == ["failure.zip"]


@pytest.mark.long
def test_the_same_run_gives_the_same_bundle(bundled):
    cli, file = bundled
    assert cli("bundle", "again.zip").returncode == 0
    assert cli("bundle", "third.zip").returncode == 0
    assert (cli.cwd / "again.zip").read_bytes() == (cli.cwd / "third.zip").read_bytes()
    manifest, files = read_bundle(file)
    assert {"scenario.toml", "bench.toml", "evidence.jsonl", "run.json"} <= files.keys()
    assert any(name.startswith("abnormal/") and "/state/" in name for name in files)
    assert (manifest.seed, manifest.scenario) == (5, "formatted")


@pytest.mark.long
def test_no_secret_and_no_name_leaves_with_it(bundled):
    cli, file = bundled
    _, files = read_bundle(file)
    whole = b"\n".join(files.values())
    for private in (PIN, PIN.encode().hex(), OWNER, "192.168.7.9", str(cli.cwd)):
        assert private.encode() not in whole
    assert b"[KEYHARNESS_PIN_AS_TOLD]" in files["logs/as-told.kernel.log"]


@pytest.mark.long
def test_under_an_embargo_the_summary_says_what_and_not_how(bundled):
    cli, file = bundled
    text = (cli.cwd / "failure-public.json").read_text()
    told = json.loads(text)
    assert (told["scenario"], told["missed"]) == ("formatted", ["every login"])
    assert told["violations"] >= 1
    manifest, _ = read_bundle(file)
    assert manifest.embargo
    for detail in ("kh1:", "op1", "seed", "make_credential", *manifest.replays):
        assert detail not in text


@pytest.mark.long
def test_a_file_that_is_there_is_not_written_over(bundled):
    cli, _ = bundled
    again = cli("bundle", "failure.zip")
    assert again.returncode == 4
    assert "a new name" in again.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("bench", "said"),
    [
        (
            '[[rig]]\nname = "as-told"\nkey = "nitrokey3-mini"\ndriver = "emulator"\nexpendable = true\n'
            'transport = "ctaphid-tcp"\nport = 21001\ncommand = ["touch", "owned"]\n',
            "the driver emulator",
        ),
        (
            '[[rig]]\nname = "as-told"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
            'firmware = "../../../etc/hostname"\n',
            "a container in the bundle",
        ),
    ],
    ids=["runs a program", "reads a file"],
)
def test_a_bench_from_elsewhere_runs_and_reads_nothing_here(bundled, tmp_path, bench, said):
    manifest, files = read_bundle(bundled[1])
    cli = Cli(tmp_path / "elsewhere")
    cli.cwd.mkdir()
    (cli.cwd / "evil.zip").write_bytes(bundle(manifest, {**files, "bench.toml": bench.encode()}))
    done = cli("replay", "evil.zip")
    assert done.returncode == 4
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (cli.cwd / "owned").exists()


# Hostile files, without a run

ABOUT = Manifest("0.1.0", "run", 1)
FILES = {"evidence.jsonl": b"{}\n", "logs/a.log": b"text\n" * 50}


def archive(tmp_path: Path, change=None, files=FILES) -> Path:
    """A bundle, of which `change` may write entries of its own."""
    body = io.BytesIO(bundle(ABOUT, files))
    if change is not None:
        with zipfile.ZipFile(body, "a") as opened:
            change(opened)
    path = tmp_path / "b.zip"
    path.write_bytes(body.getvalue())
    return path


def link(opened):
    entry = zipfile.ZipInfo("logs/link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    opened.writestr(entry, "/etc/passwd")


def manifest_of(**changed):
    """A bundle's manifest with other fields, as the content of an archive of its own."""
    with zipfile.ZipFile(io.BytesIO(bundle(ABOUT, FILES))) as opened:
        table = json.loads(opened.read(MANIFEST))
    return json.dumps({**table, **changed}).encode()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda opened: opened.writestr("../out", "x"), "'../out'"),
        (lambda opened: opened.writestr("a/../../out", "x"), "stay inside"),
        (lambda opened: opened.writestr("/etc/cron", "x"), "stay inside"),
        (lambda opened: opened.writestr("C:out", "x"), "stay inside"),
        (lambda opened: opened.writestr("a//b", "x"), "stay inside"),
        (lambda opened: opened.writestr("a\\..\\b", "x"), "stay inside"),
        (link, "a link or a device"),
        (lambda opened: opened.writestr("Evidence.jsonl", "x"), "twice"),
        (lambda opened: opened.writestr("logs/a.log", "x"), "twice"),
        (lambda opened: opened.writestr("more", "x"), "does not name"),
        (lambda opened: opened.writestr("bomb", bytes(65 << 20), zipfile.ZIP_DEFLATED), "bytes"),
        (lambda opened: [opened.writestr(f"f{n}", "") for n in range(2001)], "files of"),
        (lambda opened: opened.writestr("evidence.jsonl/b", "x"), "below evidence.jsonl, which is a file"),
        (lambda opened: opened.writestr("x" * 256, "x"), "stay inside"),
        (lambda opened: opened.writestr("bomb", bytes(1 << 20), zipfile.ZIP_BZIP2), "a method that"),
        (lambda opened: opened.writestr("bomb", bytes(1 << 20), zipfile.ZIP_LZMA), "a method that"),
    ],
)
def test_a_hostile_archive_is_refused(tmp_path, change, said):
    with pytest.raises(CallerError) as error:
        read_bundle(archive(tmp_path, change))
    assert said in str(error.value)
    assert "mend" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (b"{", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b"[]", "an object"),
        (b"\xff", "JSON"),
        (manifest_of(kind="other"), "keyharness-bundle 1"),
        (manifest_of(schema=2), "keyharness-bundle 1"),
        (manifest_of(seed="7"), "seed"),
        (manifest_of(files={"evidence.jsonl": 1}), "no text"),
        (
            manifest_of(files={"evidence.jsonl": "0" * 64}),
            "SHA-256 ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356",
        ),
        (manifest_of(files={"missing": "0" * 64}), "does not name"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path, manifest, said):
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("evidence.jsonl", FILES["evidence.jsonl"])
        opened.writestr(MANIFEST, manifest)
    with pytest.raises(CallerError) as error:
        read_bundle(path)
    assert said in str(error.value)


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "b.zip").write_bytes(b"no zip")
    for path in (tmp_path / "b.zip", tmp_path / "absent.zip", tmp_path):
        with pytest.raises(CallerError, match="bundle"):
            read_bundle(path)


def test_an_archive_of_a_version_to_come_is_refused(tmp_path):
    path = archive(tmp_path)
    body = bytearray(path.read_bytes())
    body[body.index(b"PK\x01\x02") + 6] = 99
    path.write_bytes(body)
    with pytest.raises(CallerError, match="zip file version"):
        read_bundle(path)


def test_what_is_far_larger_than_any_bundle_is_not_opened(tmp_path):
    path = archive(tmp_path)
    with path.open("r+b") as opened:
        opened.truncate(80 << 20)
    with pytest.raises(CallerError, match="83,886,080 bytes"):
        read_bundle(path)


def test_a_pipe_that_nobody_writes_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "b.zip")
    with pytest.raises(CallerError, match="no plain file"):
        read_bundle(tmp_path / "b.zip")


@given(st.data())
def test_one_changed_byte_never_passes_as_another_content(tmp_path_factory, data):
    body = bytearray(bundle(ABOUT, FILES))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("changed") / "b.zip"
    path.write_bytes(body)
    try:
        manifest, files = read_bundle(path)
    except CallerError:
        return
    # Times and rights of an entry may change: nothing reads them.
    assert files == FILES
    assert manifest == read_bundle(archive(path.parent))[0]
