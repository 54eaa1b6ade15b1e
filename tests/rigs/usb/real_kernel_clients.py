"""Clients of others on keys behind a real Linux USB stack: `script/lab --test` runs them."""

from __future__ import annotations

import re
import shutil

import pytest

from support.guest.channel import Done
from support.guest.fixtures import OTHER, SWITCH, bound, hidraw, machine, shell
from support.guest.machine import Machine, PluggedKey

__all__ = ["machine"]

PLUGGED = [
    PluggedKey(1),
    PluggedKey(2),
    PluggedKey(3, "nitrokey-hsm2"),
    PluggedKey(4, "nitrokey-pro", {"speed": "max"}),
    PluggedKey(5, options={"twin": {"personality": "1.3.1"}}),
    PluggedKey(6),
]
SO_PIN, PIN = "3537363231383830", "648219"
OLD, SAFE = "1-1.5", "1-1.6"
GLITCHES = 100
"""Each meets the window with a chance of about a tenth."""


def needs(*programs: str) -> pytest.MarkDecorator:
    absent = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(absent), reason=f"no {', '.join(absent)} here")


def power(machine: Machine, port: int, on: bool) -> None:
    """Switch a port of the hub by the kernel's own file."""
    shell(machine, f"echo {int(not on)} > {SWITCH.format(port=port)}")
    if on:
        bound(machine, f"1-1.{port}")


@pytest.fixture(scope="module")
def readers(machine: Machine) -> str:
    """The readers of a pcscd in the guest, which drives them by libccid, as opensc-tool lists them."""
    if shutil.which("pcscd") is None or shutil.which("opensc-tool") is None:
        pytest.skip("no pcscd or opensc-tool here")
    # Without this host's virtual readers: OpenSC has 16 slots, and takes four for each reader.
    shell(machine, "rm -f /etc/reader.conf.d/* && mkdir -p /run/pcscd && pcscd")
    return shell(machine, "opensc-tool --list-readers")


# Nitrokey 3


@needs("ssh-keygen")
def test_after_a_cut_in_mid_enrolment_the_earlier_key_still_signs(machine):
    """The key that is cut waits for a touch: the enrolment has begun, and cannot have ended."""
    made = shell(machine, f"ssh-keygen -q -t ed25519-sk -N '' -f early -O device={hidraw(machine, OTHER)}")
    assert "error" not in made.lower()
    power(machine, 2, on=False)
    machine.change(2, touch="never")
    power(machine, 2, on=True)
    before = machine.cuts[2]
    cut = f"""
    mkfifo said
    stdbuf -oL ssh-keygen -t ed25519-sk -N '' -f late -O device={hidraw(machine, OTHER)} > said 2>&1 &
    while read -r line; do
        # It is written before the request is sent.
        case $line in *"need to touch"*) sleep 3; echo 1 > {SWITCH.format(port=2)} ;; esac
        echo "$line"
    done < said
    wait $! && exit 1
    test ! -e late
    """
    failed = shell(machine, cut)
    assert "Key enrollment failed" in failed, failed
    assert machine.cuts[2] == before + 1
    machine.change(2, touch="always")
    power(machine, 2, on=True)
    shell(
        machine,
        """
        echo words > m
        ssh-keygen -q -Y sign -f early -n file m
        echo "me $(cat early.pub)" > allowed
        ssh-keygen -Y verify -f allowed -I me -n file -s m.sig < m
        """,
    )


@needs("fido2-token", "fido2-cred", "fido2-assert")
def test_fido2_token_tells_what_a_key_is_and_it_registers_and_logs_in_by_libfido2(machine):
    node = hidraw(machine, OTHER)
    told = machine.run("fido2-token", "-I", node).out
    assert "proto: 0x02" in told, told
    assert "FIDO_2_1" in told, told
    shell(
        machine,
        f"""
        digest=$(printf x | openssl dgst -sha256 -binary | base64)
        printf '%s\\nexample.org\\nme\\n%s\\n' $digest $(printf me | base64) > ask
        fido2-cred -M -i ask {node} > made
        fido2-cred -V -i made -o known es256
        printf '%s\\nexample.org\\n%s\\n' $digest $(head -n 1 known) > login
        fido2-assert -G -i login {node} > proof
        tail -n +2 known > public.pem
        fido2-assert -V -i proof public.pem es256
        """,
    )


def test_a_key_of_firmware_1_3_1_that_is_glitched_forgets_its_ssh_keys_and_makes_new_ones_and_a_safe_one_keeps_them(
    machine,
):
    """The story of a Nitrokey 3A Mini: https://support.nitrokey.com/t/nitrokey-3a-mini-spontaneous-reset/5903."""
    for port in (OLD, SAFE):
        enrol = f"ssh-keygen -q -t ed25519-sk -N '' -f {port} -O device={hidraw(machine, port)}"
        shell(machine, enrol)
    shell(machine, "echo words > told")

    def signs(key: str) -> Done:
        return machine.run("sh", "-c", f"rm -f told.sig; ssh-keygen -Y sign -f {key} -n file told")

    def glitched(port: str, cuts: int) -> Done:
        return machine.run("module", "support.guest.glitch_client", port, port, str(cuts))

    assert signs(OLD).code == 0
    lost = glitched(OLD, GLITCHES)
    assert lost.code == 0, lost.out
    refused = signs(OLD)
    assert refused.code, refused.out
    assert "device not found" in refused.out, refused.out
    shell(machine, f"ssh-keygen -q -t ed25519-sk -N '' -f new -O device={hidraw(machine, OLD)}")
    assert signs("new").code == 0
    (cuts,) = re.findall(r"lost after (\d+) cuts", lost.out)
    kept = glitched(SAFE, max(int(cuts), 12))
    assert "kept after" in kept.out, kept.out
    assert signs(SAFE).code == 0


# Cards through libccid


def test_pcscd_lists_each_key_with_a_card_by_libccid(readers):
    for name in ("Nitrokey Nitrokey 3", "Nitrokey Nitrokey HSM", "Nitrokey Nitrokey Pro"):
        assert name in readers, readers


@needs("sc-hsm-tool", "pkcs11-tool", "openssl")
def test_opensc_makes_a_key_on_the_hsm_and_openssl_verifies_what_it_signed(machine, readers):
    (reader,) = re.findall(r"^(\d+) .*Nitrokey HSM", readers, re.MULTILINE)
    module = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"
    tool = f"pkcs11-tool --module {module} --token-label 'lab (UserPIN)' --login --pin {PIN}"
    shell(machine, f"sc-hsm-tool -r {reader} --initialize --so-pin {SO_PIN} --pin {PIN} --label lab")
    shell(machine, f"{tool} --keypairgen --key-type EC:prime256v1 --id 10 --label first")
    said = shell(
        machine,
        f"""
        echo words > signed
        {tool} --sign --mechanism ECDSA-SHA256 --id 10 --signature-format openssl -i signed -o signature
        {tool} --read-object --type pubkey --id 10 -o public.der
        openssl dgst -sha256 -verify public.der -keyform DER -signature signature signed
        """,
    )
    assert "Verified OK" in said


@needs("gpg", "gpgconf", "gpg-connect-agent", "ssh-add")
def test_gnupg_makes_keys_on_the_pro_signs_decrypts_and_offers_one_to_ssh(machine, readers):
    (reader,) = re.findall(r"(Nitrokey Nitrokey Pro.*\S)", readers)
    done = machine.run("module", "support.guest.gnupg_client", reader)
    assert done.code == 0, done.out
    assert "PIN retry counter : 3 0 3" in done.out
    for said in ("signs True", "decrypts True", "offers to ssh 1"):
        assert said in done.out, done.out
