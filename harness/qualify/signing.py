"""Sign the head of an export with an SSH key, and have its time stamped by a server (RFC 3161)."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from http.client import HTTPException
from pathlib import Path

from harness.base.errors import CallerError, RigError
from harness.qualify.export import HEAD

NAMESPACE = "keyharness-audit"
SERVER_S_MAX = 60
QUERY, REPLY = "head.tsq", "head.tsr"
_TYPE = "application/timestamp-query"


def sign(head: Path, key: Path) -> Path:
    """Sign a file as `ssh-keygen -Y sign` does; return the signature's file.

    :param key: a private key, or a public one whose private key an agent holds.
    :raises CallerError: no such key, or it cannot be used.
    """
    signature = head.with_name(f"{head.name}.sig")
    signature.unlink(missing_ok=True)
    _ran(
        ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(head)],
        f"--sign {key}",
        "an SSH key",
    )
    return signature


def countersign(export: Path, key: Path) -> Path:
    """Sign the head of an export that another host made; return the signature's file, below countersigned/.

    :raises CallerError: it is no export, or the key cannot be used.
    """
    head = export / HEAD
    if not head.is_file():
        raise CallerError(f"--countersign {export}", found=f"no {HEAD}", expected="an export")
    folder = export / "countersigned"
    folder.mkdir(exist_ok=True)
    held = [int(one.stem) for one in folder.glob("*.sig") if one.stem.isdecimal()]
    number = 1 + max(held, default=0)
    copy = folder / f"{number}.txt"
    shutil.copyfile(head, copy)
    try:
        signature = sign(copy, key)
    finally:
        copy.unlink()
    return signature.rename(folder / f"{number}.sig")


def time_stamp(head: Path, server: str) -> Path:
    """Have the digest of a file time-stamped; return the reply's file, beside it.

    :param server: the URL of a time-stamp authority, http or https.
    :raises CallerError: the URL is none. :raises RigError: the server refused, or cannot be reached.
    """
    if not server.startswith(("http://", "https://")):
        raise CallerError(f"--timestamp {server}", found=server, expected="an address that begins with http")
    query, reply = head.with_name(QUERY), head.with_name(REPLY)
    _ran(
        ["openssl", "ts", "-query", "-data", str(head), "-sha256", "-cert", "-out", str(query)],
        "--timestamp",
        "openssl",
    )
    request = urllib.request.Request(server, query.read_bytes(), {"Content-Type": _TYPE})
    try:
        with urllib.request.urlopen(request, timeout=SERVER_S_MAX) as answer:
            reply.write_bytes(answer.read(1 << 20))
    except (OSError, ValueError, HTTPException) as error:
        raise RigError(
            f"--timestamp {server}",
            found=(str(error) or type(error).__name__).strip(),
            expected="a reply of a time-stamp authority",
            mend="name another server, or countersign on a second host: `keyharness export --countersign`",
        ) from None
    text = _ran(
        ["openssl", "ts", "-reply", "-in", str(reply), "-text"], f"--timestamp {server}", "a time stamp"
    )
    if "Status: Granted" not in text:
        raise RigError(
            f"--timestamp {server}", found=text.strip().splitlines()[:3], expected="a granted time stamp"
        )
    return reply


def _ran(command: list[str], place: str, expected: str) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=SERVER_S_MAX,
            check=False,
        )
    except FileNotFoundError:
        raise CallerError(
            place, found=f"no program {command[0]}", expected=command[0], mend=f"install {command[0]}"
        ) from None
    except subprocess.TimeoutExpired:
        raise CallerError(
            place, found=f"{command[0]} waits", expected=expected, mend="load the key into ssh-agent first"
        ) from None
    if done.returncode:
        raise CallerError(place, found=(done.stderr or done.stdout).strip()[:300], expected=expected)
    return done.stdout
