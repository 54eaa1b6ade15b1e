"""GnuPG and OpenSSH use the simulated card through a pcscd, as their own users do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.emulator import private_pcscd
from support.limits import HUNG_S
from support.paths import with_support

TWIN = [
    *(sys.executable, "-m", "harness", "twin", "openpgp", "--state", "twin", "--speed", "max"),
    *("--vpcd", f"127.0.0.1:{private_pcscd.PORT}"),
]
SCDAEMON = Path("/usr/lib/gnupg/scdaemon")
PINENTRY = """#!/bin/sh
# Answers as a user does who knows both PINs of a new card.
pin=123456
echo OK
while read -r line; do
    case $line in
        SETDESC*Admin*) pin=12345678; echo OK ;;
        SETDESC*) pin=123456; echo OK ;;
        GETPIN*) echo "D $pin"; echo OK ;;
        BYE*) echo OK; exit 0 ;;
        *) echo OK ;;
    esac
done
"""


def lacks() -> str | None:
    """What this machine lacks, in words."""
    for program in ("gpg", "gpg-connect-agent", "gpgconf", "ssh-add", "ssh-keygen"):
        if shutil.which(program) is None:
            return f"no {program} here: Debian's gnupg and openssh-client"
    if not SCDAEMON.exists():
        return "no scdaemon here: Debian's scdaemon"
    return private_pcscd.missing()


@pytest.mark.long
@pytest.mark.skipif(lacks() is not None, reason=str(lacks()))
def test_gnupg_and_openssh_use_it_as_a_genuine_one(tmp_path):
    """Generate on the card, sign, decrypt, log in; reset; move keys of the host to the card, and use them."""
    namespace = private_pcscd.namespace()
    assert namespace is not None
    done = subprocess.run(
        [*namespace, sys.executable, private_pcscd.__file__, tmp_path, sys.executable, __file__],
        cwd=tmp_path,
        env=with_support(),
        capture_output=True,
        text=True,
        timeout=HUNG_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def ceremony() -> None:
    """What the test above runs beside its daemon."""
    twin = subprocess.Popen(TWIN, stdout=subprocess.PIPE, text=True)
    assert twin.stdout is not None
    assert twin.stdout.readline() == "ready\n"
    wait_for_the_card()
    gnupg_home(Path("home").absolute())
    try:
        shown = gpg("--card-status")
        for line in (
            r"Version \.+: 3\.4",
            r"Key attributes \.+: rsa2048 rsa2048 rsa2048",
            r"PIN retry counter : 3 0 3",
            r"Signature key \.+: \[none\]",
        ):
            assert re.search(line, shown), shown
        keys_made_on_the_card()
        reset()
        pins_derived_by_a_kdf()
        reset()
        keys_moved_to_the_card()
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False)
        twin.terminate()
    assert twin.wait(HUNG_S) == 0


def gnupg_home(home: Path) -> None:
    """A home of our own, with an agent that asks a script for PINs."""
    home.mkdir(mode=0o700)
    pinentry = home / "pinentry"
    pinentry.write_text(PINENTRY)
    pinentry.chmod(0o755)
    (home / "gpg-agent.conf").write_text(f"pinentry-program {pinentry}\nenable-ssh-support\n")
    # Not its own driver for readers: the host's readers are not ours.
    (home / "scdaemon.conf").write_text(f"disable-ccid\ndebug cardio\nlog-file {home / 'scdaemon.log'}\n")
    os.environ["GNUPGHOME"] = str(home)
    agent = subprocess.run(
        ["gpgconf", "--list-dirs", "agent-ssh-socket"], capture_output=True, text=True, check=True
    )
    os.environ["SSH_AUTH_SOCK"] = agent.stdout.strip()


def written() -> list[str]:
    """The commands that change a card, as GnuPG has sent them: instruction, P1 and P2 as hex digits."""
    log = (Path(os.environ["GNUPGHOME"]) / "scdaemon.log").read_text(errors="replace")
    sent = re.findall(r"send apdu: c=\w\w i=(\w\w) p1=(\w\w) p2=(\w\w)", log)
    return [
        "".join(one)
        for one in sent
        if one[0] in ("24", "2C", "44", "47", "DA", "DB", "E6") and one[1] != "81"
    ]


def since(before: list[str]) -> str:
    """What was written after that, without repetitions of one command: its blocks."""
    found = written()[len(before) :]
    return " ".join(one for at, one in enumerate(found) if at == 0 or one != found[at - 1])


def pins_derived_by_a_kdf() -> None:
    """The object is written last: alone by 2.2, and after the PINs, as openpgp.set_kdf cuts it, by later ones."""
    before = written()
    edit("--card-edit", "admin", "kdf-setup", "quit")
    old = " 2.2." in gpg("--version").partition("\n")[0]
    assert since(before) == ("DA00F9" if old else "240083 2C0281 DA00D3 DA00F9")
    assert "KDF setting ......: on" in gpg("--card-status")


def keys_made_on_the_card() -> None:
    before = written()
    edit(
        "--card-edit",
        # Name, address, and so on, in the order in which gpg asks.
        *("admin", "generate", "n", "0", "y", "Card Owner", "card@example.org", "", "O", "quit"),
    )
    # As openpgp.generate does: the key, its fingerprint, its date.
    for slot in ("478000 DA00C7 DA00CE", "478000 DA00C8 DA00CF", "478000 DA00C9 DA00D0"):
        assert slot in since(before)
    shown = gpg("--card-status")
    assert "[none]" not in shown.replace("General key info..: [none]", "")
    use("card@example.org")
    logs_in()
    assert re.search(r"Signature counter : [1-9]", gpg("--card-status"))


def reset() -> None:
    edit("--card-edit", "admin", "factory-reset", "y", "yes", "quit")
    shown = gpg("--card-status")
    assert "Signature counter : 0" in shown
    assert re.search(r"Encryption key\.+: \[none\]", shown), shown


def keys_moved_to_the_card() -> None:
    who = "moved@example.org"
    for arguments in (
        ("--passphrase", "", "--quick-generate-key", who, "ed25519", "cert,sign", "never"),
        ("--passphrase", "", "--quick-add-key", "FPR", "cv25519", "encr", "never"),
        ("--passphrase", "", "--quick-add-key", "FPR", "ed25519", "auth", "never"),
    ):
        fingerprint = primary(who) if "FPR" in arguments else ""
        gpg("--pinentry-mode", "loopback", *(one.replace("FPR", fingerprint) for one in arguments))
    before = written()
    edit(
        *("--edit-key", who),
        *("keytocard", "y", "1"),
        *("key 1", "keytocard", "2", "key 1"),
        *("key 2", "keytocard", "3"),
        "save",
    )
    # As openpgp.import does: attributes where the curve differs, the key, its fingerprint, its date.
    for slot in ("DA00C1 DB3FFF DA00C7 DA00CE", "DA00C2 DB3FFF DA00C8 DA00CF", "DA00C3 DB3FFF DA00C9 DA00D0"):
        assert slot in since(before)
    shown = gpg("--card-status")
    assert re.search(r"Key attributes \.+: ed25519 cv25519 ed25519", shown), shown
    assert primary(who) in shown.replace(" ", "")
    use(who)
    logs_in()


def use(who: str) -> None:
    """Sign and verify, encrypt and decrypt."""
    Path("text").write_text("hello")
    gpg("--local-user", who, "--output", "signature", "--detach-sign", "text")
    assert "Good signature" in gpg("--verify", "signature", "text")
    gpg("--trust-model", "always", "--recipient", who, "--output", "secret", "--encrypt", "text")
    assert gpg("--decrypt", "secret").endswith("hello")
    Path("signature").unlink()
    Path("secret").unlink()


def logs_in() -> None:
    """Sign with OpenSSH by way of gpg-agent, and verify with OpenSSH alone."""
    listed = subprocess.run(["ssh-add", "-L"], capture_output=True, text=True, check=True).stdout
    lines = [line for line in listed.splitlines() if "cardno:" in line]
    assert len(lines) == 1, listed
    public = lines[0].split(" cardno:")[0]
    Path("key.pub").write_text(public + "\n")
    Path("allowed").write_text(f"owner {public}\n")
    Path("text.sig").unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-Y", "sign", "-f", "key.pub", "-n", "file", "text"], check=True)
    subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "owner", "-n", "file", "-s", "text.sig"],
        input=Path("text").read_bytes(),
        check=True,
    )


def primary(who: str) -> str:
    """The fingerprint of the primary key."""
    found = re.search(r"^fpr:+([0-9A-F]{40}):", gpg("--with-colons", "--list-keys", who), re.MULTILINE)
    assert found
    return found[1]


def edit(*words: str) -> None:
    """Run a dialogue of gpg, with one answer a line."""
    options = [word for word in words[:2] if word.startswith("--") or "@" in word]
    answers = "".join(f"{word}\n" for word in words[len(options) :])
    gpg("--command-fd", "0", "--status-fd", "2", "--no-tty", *options, said=answers)


def gpg(*arguments: str, said: str = "") -> str:
    """Run gpg; return what it wrote."""
    done = subprocess.run(
        ["gpg", "--no-tty", "--yes", *arguments],
        input=said,
        capture_output=True,
        text=True,
        timeout=HUNG_S,
        check=False,
    )
    written = done.stderr + done.stdout
    assert done.returncode == 0, f"gpg {' '.join(arguments)}\n{written}"
    return written


def wait_for_the_card() -> None:
    """Wait until the daemon has seen the card, as long as a reader may take."""
    from smartcard.CardRequest import CardRequest
    from smartcard.CardType import AnyCardType

    CardRequest(timeout=30, cardType=AnyCardType()).waitforcard().connection.disconnect()


if __name__ == "__main__":
    ceremony()
