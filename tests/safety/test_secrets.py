"""Nothing secret is left behind: every file of a run is searched for every PIN, private key and token it used."""

from __future__ import annotations

import base64
import re

import pytest

from support.paths import ROOT, with_support

TEXT = bytes(range(32, 127)) + b"\t\r\n" + bytes(range(128, 256))
# Everything that any library says, down to the packets.
LOUD = [
    "--",
    "-p",
    "support.secrets_spy",
    "--log-level",
    "1",
    "--log-file",
    "all.log",
    "--log-file-level",
    "1",
]


def shapes(kind, value):
    """How a secret may look in a file."""
    if kind == "pin":
        return [value, value.hex().encode()]
    plain = [value, value.hex().encode(), value.hex().upper().encode()]
    # The last letter of base64 depends on what follows.
    plain += [encode(value).rstrip(b"=")[:-1] for encode in (base64.b64encode, base64.urlsafe_b64encode)]
    return [*plain, str(int.from_bytes(value, "big")).encode()]


def found_in(folders, secrets):
    """(file, secret) for every secret that is in a file, in any shape."""
    wanted = {}
    for kind, value in secrets:
        for shape in shapes(kind, value):
            wanted.setdefault(len(shape), set()).add(shape)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    return [(path, secret) for path in files for secret in _found(path.read_bytes(), wanted)]


def _found(data, wanted):
    # A PIN is eight digits: part of a longer number it is none.
    words = set(re.findall(rb"(?<![0-9])[0-9]{8}(?![0-9])", data))
    yield from words & wanted.get(8, set())
    text = not data.translate(None, TEXT)
    for length in wanted.keys() - {8}:
        # A secret is a run of such letters, or a part of one; in a binary file it may be anywhere.
        runs = re.findall(rb"[A-Za-z0-9+/_-]{%d,}" % length, data) if text else [data]
        for run_ in set(runs):
            for at in range(len(run_) - length + 1):
                if run_[at : at + length] in wanted[length]:
                    yield run_[at : at + length]


def run(cli, *arguments):
    """Run with the spy; what was used, by kind."""
    spy = cli.cwd.with_name(f"{cli.cwd.name}-spied")
    cli.env["SPY_FILE"] = str(spy)
    cli.env = with_support(cli.env)
    done = cli("run", "--seed", "1", *arguments)
    used = {tuple(line.split()) for line in spy.read_text().splitlines()}
    secrets = {(kind, bytes.fromhex(value)) for kind, value in used}
    # One that is written out in a suite is no secret.
    suites = b"".join(path.read_bytes() for path in (ROOT / "suites").rglob("*.py"))
    secrets = {one for one in secrets if one[1] not in suites and one[1].strip(b"\0") and len(one[1]) > 4}
    # A scalar of 1 gives the generator of a curve, and is nobody's key.
    secrets = {one for one in secrets if one[0] == "pin" or int.from_bytes(one[1], "big") >> 64}
    return done, secrets


PIN_CHANGE = ["--operation", "fido2.client_pin.change", "--cuts"]


@pytest.mark.parametrize(
    ("bench", "chosen", "codes"),
    [
        ("virtual.toml", [*PIN_CHANGE, "12"], (0,)),
        pytest.param("late-replay.toml", [*PIN_CHANGE, "60"], (1,), marks=pytest.mark.long),
        # Every operation that there is. So few cuts of each prove nothing else.
        pytest.param("virtual.toml", ["--cuts", "60"], (0, 3), marks=pytest.mark.long),
    ],
)
def test_no_pin_key_or_token_is_in_any_file(cli, bench, chosen, codes):
    done, secrets = run(cli, "endurance", "--bench", bench, *chosen, *LOUD)
    assert done.returncode in codes, done.stdout + done.stderr
    for kind in ("pin", "key", "token"):
        assert sum(1 for one in secrets if one[0] == kind) >= 2, f"no {kind} was used: nothing is proved"
    assert "SEND" in (cli.cwd / "all.log").read_text(), "the packets are in the log"
    left = found_in([cli.cwd, cli.state], secrets)
    assert not left
    for _, secret in secrets:
        assert secret.hex() not in done.stdout + done.stderr


def test_the_search_finds_what_is_there(tmp_path):
    """The check can fail: in each of the shapes."""
    for number in range(11):
        (tmp_path / str(number)).write_text("nothing")
    key = bytes(range(7, 39))
    for written in (key, key.hex().encode(), base64.b64encode(key), str(int.from_bytes(key, "big")).encode()):
        (tmp_path / "3").write_bytes(b"some " + written + b" more")
        assert found_in([tmp_path], {("key", key)})
    (tmp_path / "3").write_bytes(b'"pin": "12345678"')
    assert found_in([tmp_path], {("pin", b"12345678")})
