"""What the first version left behind: a run that was killed keeps what it found, a twin's folder its key."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile

import pytest
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.ctap2.pin import ClientPin

from support.paths import ROOT
from support.served_twin import Tcp, device, free_port

OLD = ROOT / "tests" / "golden" / "state-0"
RUN = "20261129-135710-40d6"
CREDENTIAL = bytes.fromhex("4d5370137c2f21af5a0e410e7a2c3044849c37f8cca43596dc352db53b9c43e8")


@pytest.mark.long
def test_a_journal_of_another_plan_is_kept_and_not_mixed_with_todays_cuts(cli):
    """The first version planned the cuts into a recovery in another way. What it found stays, with its blame."""
    shutil.copytree(OLD / "run", cli.cwd, dirs_exist_ok=True)
    (journal,) = (cli.cwd / "reports" / RUN / "journal").iterdir()
    judged = [json.loads(line) for line in journal.read_text().splitlines()]
    done = cli("run", "--resume", RUN)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "caller fault" in done.stdout
    assert "is of another plan of cuts" in " ".join(done.stdout.split())
    assert 'item "fido2.attestation" lost' in done.stdout
    evidence = [json.loads(line) for line in (cli.run_dir / "evidence.jsonl").read_text().splitlines()]
    assert [row["id"] for row in evidence] == [row["id"] for row in judged]
    summary = json.loads((cli.run_dir / "summary.json").read_text())
    assert summary["verdict"] == "fail"


@pytest.fixture
def old_twin(tmp_path):
    """Today's twin on the flash of the old one: PIN 12345678, one wrong guess, one resident credential."""
    with zipfile.ZipFile(OLD / "twin.zip") as archive:
        archive.extractall(tmp_path / "twin")
    port = free_port()
    twin = [sys.executable, "-m", "harness", "twin", "nitrokey3-mini", "--personality", "1.8.3"]
    options = ["--state", tmp_path / "twin", "--ctaphid-tcp", port, "--touch", "always", "--speed", "max"]
    with subprocess.Popen([*twin, *map(str, options)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield Ctap2(device(Tcp(port)))
        finally:
            process.kill()


def test_the_folder_of_a_twin_still_holds_its_key(old_twin):
    challenge = hashlib.sha256(b"later").digest()
    pin = ClientPin(old_twin)
    assert pin.get_pin_retries()[0] == 7
    token = pin.get_pin_token("12345678", ClientPin.PERMISSION.GET_ASSERTION, "example.com")
    assert pin.get_pin_retries()[0] == 8
    assertion = old_twin.get_assertion(
        "example.com",
        challenge,
        pin_uv_param=pin.protocol.authenticate(token, challenge),
        pin_uv_protocol=pin.protocol.VERSION,
    )
    assert assertion.credential["id"] == CREDENTIAL
    with pytest.raises(CtapError, match="PIN_INVALID"):
        pin.get_pin_token("87654321", ClientPin.PERMISSION.GET_ASSERTION, "example.com")
