"""The simulated Nitrokey HSM 2 as a process: killed behind vpcd's protocol, and used by OpenSC through a pcscd."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.bench.plugin_api import RigRequest
from harness.bench.registry import discover
from harness.campaign.observe import observe
from harness.model.key import Memory
from harness_rigs.emulator.rig import EmulatorOptions, EmulatorRig
from harness_schsm.home import prepare
from harness_schsm.items import canaries
from support.emulator import private_pcscd
from support.emulator.emulated import namespaces_permitted
from support.hsm import NAME
from support.limits import HUNG_S
from support.paths import with_support

COMMAND = [
    *(sys.executable, "-m", "harness", "twin", NAME, "--state", "{state}"),
    *("--speed", "max", "--vpcd", "127.0.0.1:{port}"),
]
SO_PIN, PIN = "3537363231383830", "648219"
TOOLS = private_pcscd.ROOT / "usr/bin"
LIBRARIES = private_pcscd.ROOT / "usr/lib/x86_64-linux-gnu"


def emulated() -> EmulatorRig:
    chosen: dict[str, object] = {"ready_s": 30, "answer_s": 5, "transport": "vpcd"}
    if not namespaces_permitted():
        chosen["isolation"] = "none"
    request = RigRequest("hsm-2", discover().keys[NAME], True, 1, EmulatorOptions(command=COMMAND, **chosen))
    return EmulatorRig(request)


@pytest.mark.long
def test_what_it_acknowledged_outlives_a_kill():
    rig, memory = emulated(), Memory()
    try:
        rig.power.on()
        rig.wait_until_up()
        prepare(rig, memory)
        identity = rig.key.identify(rig)
        rig.power.off()
        rig.power.on()
        seen = observe(rig, rig.key.items, memory, memory).values
        assert rig.key.identify(rig) == identity
    finally:
        rig.close()
    assert seen["schsm.user_pin"] == "current"
    assert seen["schsm.keys"] == canaries(memory)


def lacks_opensc() -> str | None:
    if not (TOOLS / "sc-hsm-tool").exists() or not (TOOLS / "pkcs11-tool").exists():
        return "no sc-hsm-tool here: Debian's opensc"
    return private_pcscd.missing()


@pytest.mark.long
@pytest.mark.skipif(lacks_opensc() is not None, reason=str(lacks_opensc()))
def test_opensc_uses_it_as_a_genuine_one(tmp_path):
    """Initialise, burn a try of the SO-PIN, generate, sign, and let openssl verify."""
    done = subprocess.run(
        [
            *private_pcscd.namespace(),
            *(sys.executable, private_pcscd.__file__, tmp_path),
            *(sys.executable, __file__),
        ],
        cwd=tmp_path,
        env=with_support(),
        capture_output=True,
        text=True,
        timeout=HUNG_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "pcscd.log").read_text()


def ceremony() -> None:
    """What the test above runs beside its daemon."""
    twin = subprocess.Popen(
        [part.format(state="twin", port=private_pcscd.PORT) for part in COMMAND],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert twin.stdout is not None
    assert twin.stdout.readline() == "ready\n"
    wait_for_the_card()
    tool(
        "sc-hsm-tool",
        "--initialize",
        "--so-pin",
        SO_PIN,
        "--pin",
        PIN,
        "--dkek-shares",
        "1",
        "--label",
        "ours",
    )
    refused = tool("sc-hsm-tool", "--initialize", "--so-pin", "1111111111111111", "--pin", PIN)
    assert "failed with PIN code or key incorrect" in refused
    shown = tool("sc-hsm-tool")
    # The lines that owners quote when their card is blocked.
    for line in ("Version              : 4.1", "SO-PIN tries left    : 14", "User PIN tries left  : 3"):
        assert line in shown, shown
    assert "DKEK import pending, 1 share(s) still missing" in shown
    module = ("--module", str(LIBRARIES / "opensc-pkcs11.so"))
    login = (*module, "-l", "--pin", PIN, "--id", "10")
    tool("pkcs11-tool", *login, "--keypairgen", "--key-type", "rsa:2048", "--label", "ours")
    Path("text").write_text("hello")
    tool("pkcs11-tool", *module, "--read-object", "--type", "pubkey", "--id", "10", "--output-file", "key")
    for mechanism, extra in (
        ("SHA256-RSA-PKCS", ()),
        ("SHA256-RSA-PKCS-PSS", ("-sigopt", "rsa_padding_mode:pss")),
    ):
        tool(
            *("pkcs11-tool", *login, "--sign", "--mechanism", mechanism),
            *("--input-file", "text", "--output-file", "signature"),
        )
        verify = ["openssl", "dgst", "-sha256", *extra, "-verify", "key", "-keyform", "DER"]
        checked = subprocess.run(
            [*verify, "-signature", "signature", "text"], capture_output=True, text=True, check=False
        )
        assert "Verified OK" in checked.stdout, checked.stdout + checked.stderr
    assert "SmartCard-HSM" in tool("opensc-tool", "-n")
    twin.terminate()
    assert twin.wait(20) == 0


def wait_for_the_card() -> None:
    """Wait until the daemon has seen the card, as long as a reader may take."""
    from smartcard.CardRequest import CardRequest
    from smartcard.CardType import AnyCardType

    CardRequest(timeout=30, cardType=AnyCardType()).waitforcard().connection.disconnect()


def tool(name: str, *arguments: str) -> str:
    """Run one of OpenSC's tools; return what it wrote. A failed --initialize exits with 0, so the words count."""
    conf = Path("opensc.conf").absolute()
    conf.write_text(f"app default {{ profile_dir = {private_pcscd.ROOT}/usr/share/opensc; }}\n")
    env = {**os.environ, "OPENSC_CONF": str(conf), "LD_LIBRARY_PATH": str(LIBRARIES)}
    done = subprocess.run(
        [str(TOOLS / name), *arguments], env=env, capture_output=True, text=True, timeout=HUNG_S, check=False
    )
    return done.stdout + done.stderr


if __name__ == "__main__":
    assert shutil.which("openssl")
    ceremony()
