"""Check an export of Keyharness: is every file, every row and every run what was signed?

    python3 verify.py [--signers FILE] [--ca FILE] [FOLDER]

Standard library only. FOLDER is the export; by default the one that holds this file. Each thing that is wrong is one
line. Exit code 0: nothing is wrong; 1: something is; 2: this is no export.

--signers: an allowed_signers file of ssh-keygen(1) with the keys that you trust; without it only the form of the
signature is checked, by the key that came with it. --ca: certificates that you trust for time stamps. With either,
a head without that signature or time stamp is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

PYTHON = (3, 11)
NAMESPACE = "keyharness-audit"
TITLE = "keyharness audit 1"
UNLISTED = {"manifest.json", "head.txt", "head.txt.sig", "head.tsq", "head.tsr", "redacted.json"}
NAMING = {"plan.json", "plan.toml", "qualification.json", "qualification.html"}
LEFT_OUT = {"abnormal", "logs", "allure-results", "pictures"}
LEFT_OUT_FILES = {"allure-results.zip", "allure.html", "index.html", "junit.xml", "results.jsonl"}
"""What a redacted copy has not: files that name people and keys, of which public/ has the rest; folders and files of a
run. Of run.json it has a part."""
UNPACKED_MAX = 1 << 30
"""No journal is as long: a packed one that says so is not unpacked. zipfile gives no more than it says."""
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Python raises these for files that were changed, and for archives that were."""
TAIL = b',"prev":"'
TAIL_LENGTH = len(TAIL) + 64 + len(b'"}\n')
UNLINKED = b'{"unlinked":true}\n'
"""Before the rows of a packed journal of which only the first and the last carry a digest."""


class Check:
    """One export. `wrong` and `notes` are sentences."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.manifest = json.loads((folder / "manifest.json").read_bytes())
        kept = folder / "redacted.json"
        self.redacted = json.loads(kept.read_bytes()) if kept.exists() else {}
        self.wrong: list[str] = []
        self.notes: list[str] = []

    def all(self) -> None:
        self.head()
        self.files()
        self.plan()
        self.numbers()
        rows, last = 0, ""
        for run in self.manifest["runs"]:
            try:
                count, head = self.run(run)
            except UNREADABLE as error:
                self.wrong.append(f"runs/{run['run']}: cannot be read: {reason(error)}")
                count, head = 0, ""
            rows += count
            last = digest(f"{last}{head}".encode())
        if (rows, last) != (self.manifest["rows"], self.manifest["head"]):
            self.wrong.append(
                f"evidence: {rows} rows with the head {last[:12]}..., and {self.manifest['rows']} rows with "
                f"{self.manifest['head'][:12]}... were signed"
            )

    def head(self) -> None:
        found = digest((self.folder / "manifest.json").read_bytes())
        asked = {
            "plan": self.manifest["plan"],
            "rows": str(self.manifest["rows"]),
            "head": self.manifest["head"],
            "manifest": found,
        }
        text = (self.folder / "head.txt").read_text("utf-8", "replace")
        lines = text.splitlines()
        said = dict(line.split(" ", 1) for line in lines[1:] if " " in line)
        other = [name for name in asked if said.get(name) != asked[name]]
        for name in other:
            self.wrong.append(f"head.txt: {name} is {said.get(name)}, and the export has {asked[name]}")
        if not other and text != "\n".join(
            [TITLE, *(f"{name} {value}" for name, value in asked.items()), ""]
        ):
            self.wrong.append("head.txt: changed")

    def files(self) -> None:
        listed = {row["path"]: row for row in self.manifest["files"]}
        for path, row in listed.items():
            file = self.folder / path
            if path in self.redacted:
                stand_in = self.redacted[path]
                if not may_be(path, shortened=stand_in is not None):
                    self.wrong.append(f"{path}: redacted.json excuses it, and a redacted copy has it whole")
                elif stand_in is None and not file.exists():
                    self.notes.append(f"{path}: left out of this copy; its digest is {row['sha256']}")
                elif stand_in is not None and file.exists() and digest(file.read_bytes()) == stand_in:
                    self.notes.append(
                        f"{path}: shortened in this copy; the digest of the whole is {row['sha256']}"
                    )
                else:
                    self.wrong.append(
                        f"{path}: neither left out nor the shortened file that redacted.json says"
                    )
            elif not file.is_file() or file.is_symlink():
                self.wrong.append(f"{path}: missing")
            else:
                data = file.read_bytes()
                if digest(data) != row["sha256"]:
                    shorter = len(data) < row["bytes"]
                    how = f"truncated, {len(data)} of {row['bytes']} bytes" if shorter else "changed"
                    self.wrong.append(f"{path}: {how}")
        for path in sorted(set(self.redacted) - set(listed)):
            self.wrong.append(f"redacted.json: it excuses {path}, which the manifest does not name")
        if not self.redacted and (self.folder / "redacted.json").exists():
            self.wrong.append("redacted.json: added, it excuses nothing")
        for file in sorted(self.folder.rglob("*")):
            path = str(file.relative_to(self.folder))
            is_signature = (
                path.startswith("countersigned/") and path.count("/") == 1 and path.endswith(".sig")
            )
            is_extra = path not in listed and path not in UNLISTED and not is_signature
            if (file.is_file() or file.is_symlink()) and is_extra:
                self.wrong.append(f"{path}: added, it is not in the manifest")

    def plan(self) -> None:
        if not (self.folder / "plan.json").is_file():
            return
        found = digest((self.folder / "plan.json").read_bytes())
        if found != self.manifest["plan"]:
            self.wrong.append(
                f"plan.json: its digest is {found[:12]}..., and {self.manifest['plan'][:12]}... was frozen"
            )

    def numbers(self) -> None:
        """The plan's runs are 1, 2, 3 ...; each is here, or somebody said why it is not."""
        held = {run["run"] for run in self.manifest["runs"]}
        excluded = {row["run"] for row in self.manifest["excluded"]}
        numbers = [row["number"] for row in self.manifest["numbers"]]
        if numbers != list(range(1, len(numbers) + 1)):
            self.wrong.append(f"runs: their numbers are {numbers}, with a gap")
        for row in self.manifest["numbers"]:
            if row["run"] not in held | excluded:
                self.wrong.append(
                    f"run {row['run']}: number {row['number']} of the plan is not in the export"
                )

    def run(self, said: dict[str, Any]) -> tuple[int, str]:
        """Return (rows, head) of a run as its journals are now."""
        where = f"runs/{said['run']}"
        folder = self.folder / where
        if not (folder / "run.json").is_file():
            return 0, ""
        try:
            head = json.loads((folder / "run.json").read_bytes())
        except UNREADABLE as error:
            self.wrong.append(f"{where}/run.json: cannot be read: {reason(error)}")
            return 0, ""
        if not is_head(head):
            self.wrong.append(f"{where}/run.json: it is not the head of a run")
            return 0, ""
        series = head.get("series") or {}
        if series.get("digest") != said["plan"]:
            self.wrong.append(f"{where}/run.json: it names another plan")
        elif said["plan"] is not None and said["plan"] not in self.manifest["states"]:
            self.notes.append(
                f"{where}: begun by another plan, {said['plan'][:12]}...; it tested the same firmware"
            )
        rows, heads, plain = 0, [], []
        for rig, operation in head["order"]:
            name = f"{rig}.{operation.replace('/', '_')}.jsonl"
            lines = self.journal(folder / "journal", name)
            if lines:
                opened = {
                    "plan": series.get("digest"),
                    "run": head["run"],
                    "rig": rig,
                    "operation": operation,
                }
                recorded = next((one for one in said["journals"] if one["name"] == name), None)
                self.chain(f"{where}/journal/{name}", lines, opened, recorded)
                rows += len(lines)
                heads.append(digest(lines[-1]))
                plain += [without(line) for line in lines]
        missing = {one["name"] for one in said["journals"]} - {
            f"{rig}.{operation.replace('/', '_')}.jsonl" for rig, operation in head["order"]
        }
        self.wrong += [f"{where}/run.json: it no longer names the journal {name}" for name in sorted(missing)]
        evidence = folder / "evidence.jsonl"
        if evidence.is_file() and evidence.read_bytes() != b"".join(plain):
            self.evidence(f"{where}/evidence.jsonl", evidence.read_bytes().splitlines(keepends=True), plain)
        return rows, digest("\n".join([head["run"], *heads]).encode())

    def evidence(self, where: str, found: list[bytes], plain: list[bytes]) -> None:
        if sorted(found) == sorted(plain):
            at = next(n for n, (one, other) in enumerate(zip(found, plain), 1) if one != other)
            self.wrong.append(f"{where}: reordered from row {at} on")
        elif len(found) < len(plain) and found == plain[: len(found)]:
            self.wrong.append(f"{where}: truncated, {len(found)} of {len(plain)} rows")
        else:
            pairs = enumerate(zip(found, plain), 1)
            at = next((n for n, (one, other) in pairs if one != other), len(plain) + 1)
            self.wrong.append(f"{where}: row {at} is not that of the journal")

    def journal(self, folder: Path, name: str) -> list[bytes]:
        if (folder / name).is_file():
            return (folder / name).read_bytes().splitlines(keepends=True)
        if (folder / "rows.zip").is_file():
            try:
                with zipfile.ZipFile(folder / "rows.zip") as packed:
                    if name in packed.namelist():
                        if packed.getinfo(name).file_size > UNPACKED_MAX:
                            raise ValueError(f"{name} is {packed.getinfo(name).file_size} bytes")
                        return linked(packed.read(name).splitlines(keepends=True))
            except UNREADABLE as error:
                place = (folder / "rows.zip").relative_to(self.folder)
                self.wrong.append(f"{place}: cannot be read: {reason(error)}")
        return []

    def chain(
        self, where: str, lines: list[bytes], opened: dict[str, Any], recorded: dict[str, Any] | None
    ) -> None:
        text = json.dumps(opened, sort_keys=True, separators=(",", ":"))
        before, digests = digest(text.encode()), {digest(line) for line in lines}
        for at, line in enumerate(lines, 1):
            carried = carried_by(line)
            if carried is None:
                self.wrong.append(f"{where}: row {at} of {len(lines)} carries no digest, it is not chained")
                break
            if carried != before:
                moved = carried in digests or (at == 1 and any(carried_by(one) == before for one in lines))
                how = "reordered" if moved else "the row before it was changed or removed"
                self.wrong.append(f"{where}: row {at} of {len(lines)}: {how}")
                break
            before = digest(line)
        if recorded is None:
            self.wrong.append(f"{where}: added, it is not in the manifest")
        elif len(lines) < recorded["rows"]:
            self.wrong.append(f"{where}: truncated, {len(lines)} of {recorded['rows']} rows")
        elif digest(lines[-1]) != recorded["head"]:
            self.wrong.append(f"{where}: its last row is not the one that was signed")

    def signatures(self, signers: str | None, ca: str | None) -> None:
        pairs = [(self.folder / "head.txt.sig", "the lab's")]
        pairs += [(path, "a second host's") for path in sorted((self.folder / "countersigned").glob("*.sig"))]
        for path, whose in pairs:
            if path.exists():
                self.signature(path, whose, signers)
            else:
                (self.notes if signers is None else self.wrong).append("head.txt: it is not signed")
        if (self.folder / "head.tsr").exists():
            self.time_stamp(ca)
        elif ca is not None:
            self.wrong.append("head.txt: it has no time stamp")

    def signature(self, path: Path, whose: str, signers: str | None) -> None:
        if shutil.which("ssh-keygen") is None:
            asked = self.notes if signers is None else self.wrong
            asked.append(f"{path.name}: not checked, ssh-keygen is not here")
            return
        head = (self.folder / "head.txt").read_bytes()
        command = ["ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(path)]
        if signers is not None:
            found = subprocess.run(
                ["ssh-keygen", "-Y", "find-principals", "-s", str(path), "-f", str(signers)],
                capture_output=True,
                text=True,
                check=False,
            )
            names = found.stdout.split("\n")[0].strip()
            if not names:
                self.wrong.append(f"{path.name}: signed by a key that {signers} does not name")
                return
            command = ["ssh-keygen", "-Y", "verify", "-n", NAMESPACE, "-s", str(path)]
            command += ["-f", str(signers), "-I", names.split(",")[0]]
        done = subprocess.run(command, input=head, capture_output=True, check=False)
        if done.returncode:
            self.wrong.append(f"{path.name}: {whose} signature does not fit head.txt")
        elif signers is None:
            self.notes.append(
                f"{path.name}: {whose} signature fits, but nobody said whom to trust (--signers)"
            )

    def time_stamp(self, ca: str | None) -> None:
        if ca is None or shutil.which("openssl") is None:
            asked = self.notes if ca is None else self.wrong
            asked.append("head.tsr: not checked; it needs openssl and --ca")
            return
        done = subprocess.run(
            [
                "openssl",
                "ts",
                "-verify",
                "-in",
                "head.tsr",
                "-data",
                "head.txt",
                "-CAfile",
                str(Path(ca).resolve()),
            ],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or "Verification: OK" not in done.stdout + done.stderr:
            self.wrong.append("head.tsr: the time stamp does not fit head.txt")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def is_export(folder: Path) -> bool:
    """Return whether head.txt is that of an export, and the manifest there is another one than it names."""
    try:
        lines = (folder / "head.txt").read_bytes().split(b"\n")
        found = digest((folder / "manifest.json").read_bytes())
    except OSError:
        return False
    return lines[0] == TITLE.encode() and f"manifest {found}".encode() not in lines


def is_head(value: Any) -> bool:
    """Whether it says of a run what is needed to check its rows."""
    if not isinstance(value, dict) or not isinstance(value.get("run"), str):
        return False
    order = value.get("order")
    pairs = isinstance(order, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(name, str) for name in pair)
        for pair in order
    )
    return pairs and isinstance(value.get("series") or {}, dict)


def may_be(path: str, *, shortened: bool) -> bool:
    """Return whether `keyharness export --redact` leaves a file out, or shortens it."""
    parts = path.split("/")
    if path in NAMING:
        return not shortened
    if parts[0] != "runs" or len(parts) < 3:
        return False
    if shortened:
        return parts[2:] == ["run.json"]
    is_file = len(parts) == 3 and parts[2] in LEFT_OUT_FILES
    return parts[2] in LEFT_OUT or is_file or path.endswith((".facts.json", "/journal/cases.zip"))


def carried_by(line: bytes) -> str | None:
    tail = line[-TAIL_LENGTH:]
    return (
        tail[len(TAIL) : -3].decode("ascii", "replace")
        if tail.startswith(TAIL) and tail.endswith(b'"}\n')
        else None
    )


def linked(lines: list[bytes]) -> list[bytes]:
    """Return the rows of a packed journal with the digests that follow from the rows before them.

    The last row carries its own: it does not fit if a row before it was changed.
    """
    if lines[:1] != [UNLINKED]:
        return lines
    rows = lines[1:]
    for at in range(1, len(rows) - 1):
        rows[at] = rows[at][:-2] + TAIL + digest(rows[at - 1]).encode() + b'"}\n'
    return rows


def without(line: bytes) -> bytes:
    """Return a journal's row as evidence.jsonl has it."""
    body = line[:-TAIL_LENGTH] + b"}\n" if carried_by(line) is not None else line
    if b'"note":' not in body:
        return body
    try:
        row = json.loads(body)
    except ValueError:
        return body
    row.pop("note", None)
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=str(Path(__file__).resolve().parent))
    parser.add_argument(
        "--signers", help="an allowed_signers file of ssh-keygen with the keys that you trust"
    )
    parser.add_argument("--ca", help="certificates that you trust for time stamps")
    options = parser.parse_args(arguments)
    if sys.version_info < PYTHON:
        # An older one reads this file, and may stumble over a row: nothing would be known of the export then.
        has = ".".join(str(part) for part in sys.version_info[:2])
        print(f"verify.py: found Python {has}, expected {PYTHON[0]}.{PYTHON[1]} or later", file=sys.stderr)
        return 2
    try:
        check = Check(Path(options.folder))
        check.all()
    except UNREADABLE as error:
        if is_export(Path(options.folder)):
            print(f"WRONG  manifest.json: it is not the one that head.txt names: {reason(error)}")
            return 1
        print(f"{options.folder}: no export that can be read: {reason(error)}", file=sys.stderr)
        return 2
    check.signatures(options.signers, options.ca)
    for said in check.notes:
        print(f"note   {said}")
    for said in check.wrong:
        print(f"WRONG  {said}")
    files, rows = len(check.manifest["files"]), check.manifest["rows"]
    print(
        f"{'WRONG' if check.wrong else 'ok'}: {files} files, {len(check.manifest['runs'])} runs, {rows} rows"
    )
    return 1 if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
