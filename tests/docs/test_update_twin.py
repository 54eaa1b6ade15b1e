"""docs/update_twin.py: the vendor's own updater installs what `keyharness firmware make` makes, on a served twin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from nitrokey.nk3 import NK3
from nitrokey.trussed._connection.ctaphid import CtapHidConnection as SdkConnection

from harness.commands.update_matrix import make
from support.limits import HUNG_S
from support.paths import ROOT
from support.twin_process import device, forked_twin


def made(path: Path, signer: str = "test", seed: int = 1) -> dict[str, str]:
    """What `keyharness firmware make` shows, by label."""
    rows = make("1.9.0", signer, "nitrokey3-mini", seed, path)["rows"]
    return {row["label"]: row["text"] for row in rows}


def update(container, twin, link, test_key: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "docs" / "update_twin.py"
    command = [sys.executable, script, container, test_key, str(twin.port), link]
    return subprocess.run(command, capture_output=True, text=True, timeout=HUNG_S, check=False)


@pytest.mark.long
def test_the_vendors_updater_installs_a_container_on_a_twin(tmp_path):
    new, link = tmp_path / "new.zip", tmp_path / "dfu"
    test_key = made(new)["test key"]
    unknown = made(tmp_path / "other.zip", seed=2)["test key"]
    with forked_twin(tmp_path / "state", dfu_pty=link) as twin:
        done = update(new, twin, link, test_key)
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("the key runs v1.9.0\n")
        assert str(NK3(SdkConnection(device(twin.client()))).admin.version()) == "v1.9.0"
        done = update(new, twin, link, unknown)
        assert done.returncode != 0
        assert "Nitrokey" in done.stderr, "the SDK says that it does not know who has signed this"
        assert "Traceback" not in done.stderr
