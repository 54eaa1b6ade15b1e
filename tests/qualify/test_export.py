"""An export for an auditor: what it holds, and what its own verify.py says of one that was changed."""

import ast
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from harness.evidence.chain import unlinked
from support.limits import HUNG_S


def ran(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=HUNG_S, check=False
    )


def verified(export: Path, *options: object) -> subprocess.CompletedProcess[str]:
    """The export's own program, without anything of ours or of others."""
    return ran(sys.executable, "-I", "-S", export / "verify.py", *options, cwd=export.parent)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen")
    path = tmp_path_factory.mktemp("ssh") / "lab"
    assert ran("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", path).returncode == 0
    signers = path.with_name("signers")
    signers.write_text(f"lab@example.org {path.with_suffix('.pub').read_text()}")
    return path


@pytest.fixture(scope="session")
def original(weak, tmp_path_factory: pytest.TempPathFactory, key: Path) -> Path:
    out = tmp_path_factory.mktemp("export") / "audit"
    done = weak.cli.inside("export", "--audit", "plan.toml", "--out", out, "--sign", key)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def export(original: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(original, tmp_path / "audit"))


def journal_of(export: Path) -> Path:
    (path,) = export.glob("runs/*/journal/*.client_pin.change.jsonl")
    return path


def wrong(export: Path) -> list[str]:
    done = verified(export)
    assert done.returncode == 1, done.stdout + done.stderr
    return [line.removeprefix("WRONG  ") for line in done.stdout.splitlines() if line.startswith("WRONG  ")]


def test_an_export_that_nobody_touched_is_right(original, key):
    done = verified(original, "--signers", key.with_name("signers"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    manifest = json.loads((original / "manifest.json").read_text())
    assert manifest["rows"] == len(journal_of(original).read_bytes().splitlines())
    assert [row["number"] for row in manifest["numbers"]] == [1]
    # What the page shows is what is signed.
    assert manifest["head"] == json.loads((original / "qualification.json").read_text())["evidence_head"]
    assert f"head {manifest['head']}\n" in (original / "head.txt").read_text()


def test_every_changed_byte_of_the_evidence_is_named(export):
    path = journal_of(export)
    data = bytearray(path.read_bytes())
    at = data.index(b'"outcome":"') + len(b'"outcome":"')
    data[at] ^= 1
    path.write_bytes(data)
    said = wrong(export)
    name = str(path.relative_to(export))
    assert f"{name}: changed" in said
    assert any(line.startswith(f"{name}: row ") and "changed or removed" in line for line in said)
    assert any("evidence.jsonl: row " in line for line in said)


def test_a_truncated_file_is_named(export):
    path = journal_of(export)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    said = wrong(export)
    assert any(f"truncated, {len(lines) - 2} of {len(lines)} rows" in line for line in said)
    assert any("rows with the head" in line for line in said)


def test_reordered_rows_are_named(export):
    path = journal_of(export)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    path.write_bytes(b"".join(lines))
    assert any("row 3 of" in line and "reordered" in line for line in wrong(export))


def test_reordered_evidence_is_named(export):
    (path,) = export.glob("runs/*/evidence.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    assert any("evidence.jsonl: reordered from row 1 on" in line for line in wrong(export))


def test_an_added_and_a_removed_file_are_named(export):
    (export / "runs" / "extra.txt").write_text("hello")
    (export / "qualification.html").unlink()
    said = wrong(export)
    assert "runs/extra.txt: added, it is not in the manifest" in said
    assert "qualification.html: missing" in said


def test_a_manifest_that_was_made_again_does_not_fit_its_signature(export, key):
    """Who changes a row, its digest, the manifest and head.txt still has no signature."""
    head = export / "head.txt"
    head.write_text(head.read_text().replace("rows ", "rows 1"))
    done = verified(export, "--signers", key.with_name("signers"))
    assert done.returncode == 1
    assert "head.txt.sig: the lab's signature does not fit head.txt" in done.stdout


def test_a_key_that_nobody_trusts_is_named(export, key, tmp_path):
    other = tmp_path / "other"
    ran("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
    (tmp_path / "signers").write_text(f"other@example.org {other.with_suffix('.pub').read_text()}")
    done = verified(export, "--signers", tmp_path / "signers")
    assert done.returncode == 1
    assert "signed by a key that" in done.stdout


def test_a_run_of_the_plan_that_is_not_there_is_named(export):
    manifest = json.loads((export / "manifest.json").read_text())
    manifest["numbers"].append({"number": 3, "run": "20260101-000000-dead"})
    (export / "manifest.json").write_text(json.dumps(manifest))
    said = wrong(export)
    assert "run 20260101-000000-dead: number 3 of the plan is not in the export" in said
    assert "runs: their numbers are [1, 3], with a gap" in said


def test_a_redacted_export_keeps_its_hashes_and_its_signature(weak, original, key, tmp_path):
    out = tmp_path / "redacted"
    done = weak.cli.inside("export", "--redact", original, "--out", out)
    assert done.returncode == 0, done.stderr
    for name in ("manifest.json", "head.txt", "head.txt.sig"):
        assert (out / name).read_bytes() == (original / name).read_bytes()
    checked = verified(out, "--signers", key.with_name("signers"))
    assert checked.returncode == 0, checked.stdout
    assert "left out of this copy" in checked.stdout
    text = next(out.glob("runs/*/run.json")).read_text()
    assert "host" not in json.loads(text)
    assert not [*out.glob("runs/*/logs/*")]
    # People stand in no file of it, and the verdict is signed.
    assert not (out / "plan.json").exists()
    for path in out.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".html", ".toml", ".txt", ".jsonl", ".log"):
            assert not [name for name in ("A.K.", "M.R.", "J.D.") if name in path.read_text()], path
    shown = json.loads((out / "public" / "qualification.json").read_text())
    assert shown["roles"] == {"executor": "[person 1]", "reviewer": "[person 2]", "approver": "[person 3]"}
    assert shown["verdict"] == json.loads((original / "qualification.json").read_text())["verdict"]
    assert shown["verdict"].upper() in (out / "public" / "qualification.html").read_text()
    page = out / "public" / "qualification.html"
    text = page.read_text()
    page.write_text(text.replace("NOT QUALIFIED", "QUALIFIED"))
    assert any(line.startswith("public/qualification.html: ") for line in wrong(out))
    page.write_text(text)
    again = weak.cli.inside("export", "--redact", tmp_path / "redacted" / "runs", "--out", tmp_path / "x")
    assert again.returncode == 4
    # It is held to its digests as the whole is.
    path = journal_of(out)
    path.write_bytes(path.read_bytes().replace(b'"boots":2', b'"boots":3', 1))
    assert any("changed" in line for line in wrong(out))


def test_a_second_host_countersigns(weak, export, key):
    done = weak.cli.inside("export", "--countersign", export, "--sign", key)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (export / "countersigned").iterdir()] == ["1.sig"]
    assert verified(export, "--signers", key.with_name("signers")).returncode == 0
    (export / "countersigned" / "1.sig").write_text(
        "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
    )
    assert verified(export).returncode == 1


CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = test time stamps
[ext]
basicConstraints = CA:FALSE
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = here
[here]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
"""


class Stamps(BaseHTTPRequestHandler):
    """A time-stamp authority: openssl ts behind HTTP."""

    folder: Path

    def do_POST(self) -> None:
        (self.folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        ran(
            "openssl",
            "ts",
            "-reply",
            "-config",
            "tsa.cnf",
            "-section",
            "here",
            "-queryfile",
            "query",
            "-out",
            "reply",
            cwd=self.folder,
        )
        body = (self.folder / "reply").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_stamps_the_head_with_its_time(weak, key, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    (tmp_path / "tsa.cnf").write_text(CONFIG)
    made = ran(
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "tsa.key",
        "-out",
        "tsa.pem",
        "-days",
        "2",
        "-config",
        "tsa.cnf",
        "-extensions",
        "ext",
        cwd=tmp_path,
    )
    assert made.returncode == 0, made.stderr
    (tmp_path / "serial").write_text("01\n")
    server = HTTPServer(("127.0.0.1", 0), type("Here", (Stamps,), {"folder": tmp_path}))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        out = tmp_path / "audit"
        done = weak.cli.inside(
            "export",
            "--audit",
            "plan.toml",
            "--out",
            out,
            "--timestamp",
            f"http://127.0.0.1:{server.server_port}/",
        )
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    right = verified(out, "--ca", tmp_path / "tsa.pem")
    assert right.returncode == 0, right.stdout
    assert "head.tsr" not in right.stdout
    head = out / "head.txt"
    head.write_text(head.read_text() + "\n")
    assert "the time stamp does not fit head.txt" in verified(out, "--ca", tmp_path / "tsa.pem").stdout


def test_a_file_that_redacted_json_excuses_is_named(export):
    """Anybody can write a redacted.json: it excuses only what `export --redact` leaves out."""
    page = export / "qualification.html"
    page.write_text(page.read_text().replace("NOT QUALIFIED", "QUALIFIED"))
    (run,) = (export / "runs").iterdir()
    excused = {
        "qualification.html": hashlib.sha256(page.read_bytes()).hexdigest(),
        f"runs/{run.name}/evidence.jsonl": None,
    }
    (run / "evidence.jsonl").unlink()
    (export / "redacted.json").write_text(json.dumps(excused))
    said = wrong(export)
    assert any(line.startswith("qualification.html: ") for line in said)
    assert any(line.startswith(f"runs/{run.name}/evidence.jsonl: ") for line in said)


@pytest.mark.parametrize("text", ["{}", '{"left_out": ["plan.json"]}', '{"runs/none": null}'])
def test_a_list_of_what_was_left_out_is_added_to_a_whole_export(export, text):
    (export / "redacted.json").write_text(text)
    (said,) = wrong(export)
    assert said.startswith("redacted.json: ")


def test_an_older_python_says_so_and_finds_nothing_wrong(original):
    script = original / "verify.py"
    ast.parse(script.read_text(), feature_version=(3, 8))
    old = "import sys, runpy; sys.version_info = (3, 9, 2); sys.argv = sys.argv[1:]; "
    done = ran(sys.executable, "-c", old + "runpy.run_path(sys.argv[0], run_name='__main__')", script)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "verify.py: found Python 3.9, expected 3.11 or later\n"


def test_a_signature_that_was_asked_for_and_is_not_there_is_wrong(export, key):
    """Who takes the signature away may make everything else again."""
    (export / "head.txt.sig").unlink()
    assert verified(export).returncode == 0
    done = verified(export, "--signers", key.with_name("signers"))
    assert done.returncode == 1
    assert "WRONG  head.txt: it is not signed" in done.stdout
    done = verified(export, "--ca", key)
    assert done.returncode == 1
    assert "WRONG  head.txt: it has no time stamp" in done.stdout


def test_what_is_beside_the_manifest_is_named_as_well(export):
    (export / "countersigned").mkdir()
    (export / "countersigned" / "1.txt").write_text("hello")
    head = export / "head.txt"
    head.write_text(head.read_text().replace("keyharness audit 1", "keyharness audit 2"))
    said = wrong(export)
    assert "countersigned/1.txt: added, it is not in the manifest" in said
    assert any(line.startswith("head.txt: ") for line in said)


def test_a_run_that_another_plan_began_counts_and_is_right(own, tmp_path):
    """Each run of the firmware counts: also one that another plan began."""
    own.write(id="Q-3")
    done = own.cli.inside("export", "--audit", "plan.toml", "--out", tmp_path / "audit")
    assert done.returncode == 0, done.stderr
    checked = verified(tmp_path / "audit")
    assert checked.returncode == 0, checked.stdout
    assert "begun by another plan" in checked.stdout


def test_journals_that_a_kill_left_beside_their_archive_are_exported_once(own, tmp_path):
    name = own.statement["runs"]["counted"][0]["run"]
    run = own.cli.cwd / "reports" / name
    head = json.loads((run / "run.json").read_text())
    (journal,) = run.glob("journal/*.client_pin.change.jsonl")
    left = journal.with_name(f"{head['order'][0][0]}.left.jsonl")
    left.touch()
    with zipfile.ZipFile(run / "journal" / "rows.zip", "w") as packed:
        for path in (journal, left):
            packed.write(path, path.name)
    journal.unlink()
    (run / "run.json").write_text(
        json.dumps({**head, "order": [*head["order"], [head["order"][0][0], "left"]]})
    )
    with closing(sqlite3.connect(own.cli.state / "keyharness" / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("update tested set folder = ? where run = ?", (str(run), name))
    out = tmp_path / "audit"
    done = own.cli.inside("export", "--audit", "plan.toml", "--out", out)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["rows"] == len((run / "evidence.jsonl").read_bytes().splitlines())
    assert manifest["head"] == json.loads((out / "qualification.json").read_text())["evidence_head"]
    assert verified(out).returncode == 0


def test_rows_that_unpack_to_very_much_are_not_unpacked(export):
    journal = journal_of(export)
    packed = journal.with_name("rows.zip")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        made.write(journal, journal.name)
    # The size that the list of contents says, four bytes from its 24th on.
    data = bytearray(packed.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (3 << 30).to_bytes(4, "little")
    packed.write_bytes(data)
    journal.unlink()
    assert any(f"{journal.name} is {3 << 30} bytes" in line for line in wrong(export))


@pytest.mark.parametrize("name", ["head.txt", "manifest.json", "runs/*/run.json"])
def test_a_byte_that_makes_a_file_unreadable_is_named(export, name):
    """What can no longer be parsed is wrong, and is still an export."""
    (path,) = export.glob(name)
    data = path.read_bytes()
    for at, bit in ((0, 0x80), (len(data) - 1, 0x01)):
        changed = bytearray(data)
        changed[at] ^= bit
        path.write_bytes(changed)
        assert any(path.name in line for line in wrong(export))


def test_a_changed_byte_of_packed_rows_is_named(export):
    journal = journal_of(export)
    packed = journal.with_name("rows.zip")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        made.write(journal, journal.name)
    data = bytearray(packed.read_bytes())
    data[200:260] = bytes(60)
    packed.write_bytes(data)
    journal.unlink()
    assert any("rows.zip: cannot be read: " in line for line in wrong(export))


def test_a_plan_that_is_refused_leaves_no_folder(own, tmp_path):
    own.plan.write_text("schema = 1")
    assert own.cli.inside("export", "--audit", "plan.toml", "--out", tmp_path / "audit").returncode == 4
    own.write()
    assert own.cli.inside("export", "--audit", "plan.toml", "--out", tmp_path / "audit").returncode == 0


class Rubbish(BaseHTTPRequestHandler):
    """A server that does not speak HTTP."""

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"no HTTP\r\n")


def test_a_server_that_does_not_speak_http_is_a_fault_of_the_rig(own, tmp_path):
    server = HTTPServer(("127.0.0.1", 0), Rubbish)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        where = f"http://127.0.0.1:{server.server_port}/"
        done = own.cli.inside(
            "export", "--audit", "plan.toml", "--out", tmp_path / "audit", "--timestamp", where
        )
    finally:
        server.shutdown()
        server.server_close()
    assert "Traceback" not in done.stderr
    assert f"--timestamp {where}" in done.stderr
    assert "a reply of a time-stamp authority" in done.stderr


def test_a_folder_that_is_there_is_not_overwritten(weak, original):
    done = weak.cli.inside("export", "--audit", "plan.toml", "--out", original)
    assert done.returncode == 4
    assert "a file or a folder" in done.stderr


def test_rows_that_are_packed_as_a_run_packs_them_are_checked_one_by_one(export):
    journal = journal_of(export)
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) > 3
    short = unlinked(journal.read_bytes()).splitlines(keepends=True)
    assert len(b"".join(short)) < len(b"".join(lines)) - 60 * (len(lines) - 3)
    journal.unlink()

    def packed(rows):
        with zipfile.ZipFile(journal.with_name("rows.zip"), "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(journal.name, b"".join(rows))
        said = wrong(export)
        # The manifest has the journal, and no archive.
        about = [one for one in said if " row" in one or "truncated" in one]
        return [one for one in about if journal.name in one], [
            one for one in about if "evidence.jsonl" in one
        ]

    assert packed(short) == ([], [])
    assert packed([short[0], short[1], short[3], short[2], *short[4:]])[0]
    assert packed(short[:-1])[0]
    chained, rows = packed([*short[:2], short[2].replace(b'"rig":"', b'"rig":"x'), *short[3:]])
    assert len(chained) == len(rows) == 1
    assert "row 2 is not that of the journal" in rows[0]
