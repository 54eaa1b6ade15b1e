"""GnuPG and OpenSSH as an owner runs them: a keyring of its own, one reader, and PINs that a script answers.

Needs Debian's gnupg, scdaemon and openssh-client, and a daemon of readers (pcscd) that the environment names.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from harness.api import KeyharnessError

SCDAEMON = Path("/usr/lib/gnupg/scdaemon")
DAEMONS = ("gpg-agent", "scdaemon")
PROGRAMS = ("gpg", "gpg-connect-agent", "gpgconf", "ssh-add", "ssh-keygen")
HUNG_S = 900.0
"""No program of theirs takes so long, on a host that is busy."""
END_LIMIT_S = 120.0
"""Nor does its end."""
PW1, PW3, PASSPHRASE = "123456", "12345678", "of files, 16 characters"
"""What the owner types: PINs of the factory, and the passphrase of files."""
_PINENTRY = """#!/bin/sh
# Answers with the PINs in the files beside it. Who is asked for another card has none, cancels, and writes it down.
pin=$(cat {home}/pw1)
echo OK
while read -r line; do
    case $line in
        SETDESC*Admin*) pin=$(cat {home}/pw3); echo OK ;;
        SETDESC*insert*) said=$line; echo OK ;;
        SETDESC*passphrase*) pin=$(cat {home}/passphrase); said=; echo OK ;;
        SETDESC*) pin=$(cat {home}/pw1); said=; echo OK ;;
        GETPIN*) echo "D $pin"; echo OK ;;
        CONFIRM*)
            if [ -n "$said" ]; then
                echo "$said" >> {home}/asked-for; echo "ERR 83886179 Operation cancelled"
            else
                echo OK
            fi ;;
        BYE*) echo OK; exit 0 ;;
        *) echo OK ;;
    esac
done
"""
KEYS = (
    ("--quick-generate-key", "{who}", "ed25519", "cert,sign", "never"),
    ("--quick-add-key", "{primary}", "cv25519", "encr", "never"),
    ("--quick-add-key", "{primary}", "ed25519", "auth", "never"),
)
"""A primary key that signs, and subkeys to encrypt and to log in."""
CURVE_25519 = {"cardedit.genkeys.algo": "2", "keygen.curve": "1"}
"""Answers to `key-attr` that set Ed25519 and X25519."""
_QUESTION = re.compile(r"\[GNUPG:\] GET_(?:LINE|BOOL|HIDDEN) (\S+)")


class GnupgError(KeyharnessError):
    """A program failed, and it was not to fail."""


def missing() -> str | None:
    """What this machine lacks for it, in words."""
    for program in PROGRAMS:
        if shutil.which(program) is None:
            return f"no {program} here: Debian's gnupg and openssh-client"
    return None if SCDAEMON.exists() else "no scdaemon here: Debian's scdaemon"


class Gnupg:
    """A keyring, and the programs that use it in a folder.

    :param home: folder of the keyring, made if it is not there. Sockets are made in it, so its path must be short.
    :param environ: how the programs find their daemon of readers. :param reader: name of the reader of the card.
    :ivar folder: where the programs run, and where they leave files.
    """

    def __init__(self, home: Path, environ: Mapping[str, str], reader: str):
        self.home, self.folder = home, home
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        pinentry = home / "pinentry"
        pinentry.write_text(_PINENTRY.format(home=home))
        pinentry.chmod(0o755)
        (home / "gpg-agent.conf").write_text(f"pinentry-program {pinentry}\nenable-ssh-support\n")
        self.environ = {**os.environ, **environ, "GNUPGHOME": str(home), "LC_ALL": "C"}
        (home / "passphrase").write_text(PASSPHRASE)
        self.set_pins(PW1, PW3)
        self.use_reader(reader)
        self.environ["SSH_AUTH_SOCK"] = self.run("gpgconf", "--list-dirs", "agent-ssh-socket").stdout.strip()

    def set_pins(self, pw1: str, pw3: str) -> None:
        """Set what the owner types from now on."""
        (self.home / "pw1").write_text(pw1)
        (self.home / "pw3").write_text(pw3)

    def use_reader(self, reader: str) -> None:
        """Let scdaemon use another reader from now on."""
        log = self.home / "scdaemon.log"
        # Not its own driver for readers: the host's readers are not ours.
        settings = f"disable-ccid\nreader-port {reader}\ndebug cardio\nlog-file {log}\n"
        (self.home / "scdaemon.conf").write_text(settings)
        self.close()

    def close(self) -> None:
        """End every process of this keyring, as a logout does; the next use starts them again.

        :raises GnupgError: one of them does not end.
        """
        running = self._running()
        # Ending scdaemon alone would leave an agent that still writes to it.
        self.run("gpgconf", "--kill", "all")
        # An agent says that it ends before it does, and who asks it meanwhile asks in vain.
        for name, pidfd in running:
            ended = select.select([pidfd], [], [], END_LIMIT_S)[0]
            os.close(pidfd)
            if not ended:
                raise GnupgError("gpgconf --kill all", found=f"{name} still runs", expected="its end")

    def _running(self) -> list[tuple[str, int]]:
        """The agent and scdaemon of this keyring: name and pidfd of each."""
        found, mine = [], f"GNUPGHOME={self.home}\0".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            # A process may end while it is looked at, and those of others are not shown.
            with suppress(OSError):
                name = (folder / "comm").read_text().strip()
                if name in DAEMONS and mine in (folder / "environ").read_bytes():
                    found.append((name, os.pidfd_open(int(folder.name))))
        return found

    def run(self, *argv: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """Run any program in the folder, with this keyring."""
        return subprocess.run(
            argv,
            input=said,
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=HUNG_S,
            check=False,
        )

    def tried(self, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """Run gpg, which may fail."""
        return self.run("gpg", "--no-tty", "--yes", *arguments, said=said)

    def __call__(self, *arguments: str, said: str = "") -> str:
        """Run gpg; return what it wrote.

        :raises GnupgError: it failed.
        """
        return _wrote(self.tried(*arguments, said=said))

    def dialogue(
        self, *options: str, commands: Sequence[str], answers: Mapping[str, str | Sequence[str]]
    ) -> str:
        """Run a dialogue of gpg; return what it wrote.

        :param commands: what is typed at its prompt, in this order; then its input ends.
        :param answers: name of a question -> what is answered, each time or in turn. A question without an answer ends
            the dialogue, as a user does who gives up.
        """
        argv = ("gpg", "--no-tty", "--yes", "--command-fd", "0", "--status-fd", "1", *options)
        waiting = {name: iter([one] * 9 if isinstance(one, str) else one) for name, one in answers.items()}
        waiting["keyedit.prompt"] = waiting["cardedit.prompt"] = iter(commands)
        wrote: list[str] = []
        with (
            tempfile.TemporaryFile() as said,
            ExitStack() as ending,
            subprocess.Popen(
                argv,
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                errors="replace",
            ) as process,
        ):
            assert process.stdout is not None
            assert process.stdin is not None
            hung = threading.Timer(HUNG_S, process.kill)
            ending.callback(hung.cancel)
            hung.start()
            for line in process.stdout:
                wrote.append(line)
                asked = _QUESTION.match(line)
                if asked and not process.stdin.closed:
                    answer = next(waiting.get(asked[1], iter(())), None)
                    wrote.append(f"> {answer}\n")
                    if answer is None:
                        process.stdin.close()
                    else:
                        with suppress(BrokenPipeError):
                            process.stdin.write(f"{answer}\n")
                            process.stdin.flush()
            process.wait()
            said.seek(0)
            return "".join(wrote) + said.read().decode(errors="replace")

    def move_to_card(self, who: str, *, save: bool = True) -> str:
        """Move the three keys of `make_keys` to their slots, with keytocard; return what gpg wrote."""
        chosen = ("keytocard", "key 1", "keytocard", "key 1", "key 2", "keytocard")
        return self.dialogue(
            *("--edit-key", who),
            commands=(*chosen, "save" if save else "quit"),
            answers={
                "keyedit.keytocard.use_primary": "y",
                "cardedit.genkeys.storekeytype": ("1", "2", "3"),
                "cardedit.genkeys.replace_key": "y",
                "keyedit.save.okay": "n",
                "keyedit.cancel.okay": "y",
            },
        )

    def generate_on_card(self, name: str, *, backup: bool = False, at: str = "") -> str:
        """Let the card make its three keys; return what gpg wrote.

        :param backup: of the key to encrypt. :param at: the time that gpg takes for now: "20260101T000000".
        """
        return self.dialogue(
            *(("--faked-system-time", f"{at}!") if at else ()),
            "--card-edit",
            commands=("admin", "generate", "quit"),
            answers={
                "cardedit.genkeys.backup_enc": "y" if backup else "n",
                "cardedit.genkeys.replace_keys": "y",
                "keygen.valid": "0",
                "keygen.valid.okay": "y",
                "keygen.name": name,
                "keygen.email": f"{name.lower().replace(' ', '.')}@example.org",
                "keygen.comment": "",
                "keygen.userid.cmd": "O",
            },
        )

    def reset_card(self) -> str:
        """Reset the card to its factory state; return what gpg wrote."""
        return self.dialogue(
            "--card-edit",
            commands=("admin", "factory-reset", "quit"),
            answers={"cardedit.factory-reset.proceed": "y", "cardedit.factory-reset.really": "yes"},
        )

    @property
    def asked_for(self) -> str:
        """What the owner was asked to insert so far."""
        asked = self.home / "asked-for"
        return asked.read_text() if asked.exists() else ""

    # Keys

    def make_keys(self, who: str) -> str:
        """Make a primary key and two subkeys on the host, without a passphrase; return the fingerprint."""
        primary = ""
        for words in KEYS:
            filled = (word.format(who=who, primary=primary) for word in words)
            self("--pinentry-mode", "loopback", "--passphrase", "", *filled)
            primary = primary or self.fingerprints(who)[0]
        return primary

    def fingerprints(self, who: str) -> list[str]:
        """The fingerprints of the primary key and of its subkeys."""
        return re.findall(r"^fpr:+([0-9A-F]{40}):", self("--with-colons", "--list-keys", who), re.MULTILINE)

    def secrets(self, who: str) -> list[str]:
        """Where each private key is: `+` here, the serial number of a card for a stub, `#` nowhere."""
        listed = self("--with-colons", "--list-secret-keys", who)
        return [line.split(":")[14] for line in listed.splitlines() if line.startswith(("sec:", "ssb:"))]

    def on_host(self, who: str) -> list[bool]:
        """Is each private key on the host, and not a stub of it? False: it is a stub, or nowhere."""
        files = [self.home / "private-keys-v1.d" / f"{grip}.key" for grip in self.keygrips(who)]
        return [one.exists() and b"shadowed-private-key" not in one.read_bytes() for one in files]

    def learn(self) -> None:
        """Let the agent make stubs for what the card has, also where it has some of another card.

        :raises GnupgError: there is no card.
        """
        done = self.run("gpg-connect-agent", "SCD SERIALNO openpgp", "LEARN --force", "/bye")
        if "ERR" in done.stdout or done.returncode:
            raise GnupgError("LEARN --force", found=done.stdout + done.stderr, expected="OK")

    def keygrips(self, who: str) -> list[str]:
        """The keygrips of the primary key and of its subkeys: names of their files."""
        listed = self("--with-colons", "--with-keygrip", "--list-keys", who)
        return re.findall(r"^grp:+([0-9A-F]{40}):", listed, re.MULTILINE)

    def export(self, who: str) -> str:
        """Export the secret keys of somebody, with stubs where the keys are on a card."""
        return self("--pinentry-mode", "loopback", "--passphrase", "", "--armor", "--export-secret-keys", who)

    def restore(self, backup: str) -> str:
        """Import what was exported."""
        return self("--pinentry-mode", "loopback", "--passphrase", "", "--import", said=backup)

    def imports(self, path: Path) -> bool:
        """Can it import a file?"""
        options = ("--pinentry-mode", "loopback", "--passphrase", PASSPHRASE)
        return self.tried(*options, "--import", str(path)).returncode == 0

    def backup_to_card(self, who: str, path: Path) -> str:
        """Put a backup of `generate` on a card; return what gpg wrote.

        gpg imports no such file into a keyring: it has no user ID.
        """
        return self.dialogue(
            *("--edit-key", who),
            commands=(f"bkuptocard {path}", "save"),
            answers={"cardedit.genkeys.storekeytype": "2", "cardedit.genkeys.replace_key": "y"},
        )

    # Uses

    def signs(self, who: str, text: bytes) -> bool:
        """Does a signature of it verify? False if none could be made."""
        (self.folder / "text").write_bytes(text)
        made = self.tried("--local-user", who, "--output", "text.asc", "--detach-sign", "text")
        return made.returncode == 0 and self.tried("--verify", "text.asc", "text").returncode == 0

    def encrypt(self, who: str, text: bytes) -> Path:
        """Encrypt a file to somebody; needs the public key only."""
        (self.folder / "plain").write_bytes(text)
        made = self.folder / f"encrypted-to-{who}"
        self("--trust-model", "always", "--recipient", who, "--output", str(made), "--encrypt", "plain")
        return made

    def decrypted(self, path: Path) -> bytes | None:
        """The content of an encrypted file; None if it cannot be decrypted."""
        (self.folder / "decrypted").unlink(missing_ok=True)
        done = self.tried("--output", "decrypted", "--decrypt", str(path))
        return (self.folder / "decrypted").read_bytes() if done.returncode == 0 else None

    def ssh_keys(self) -> list[str]:
        """The public keys of cards that gpg-agent offers to OpenSSH, without their comments."""
        listed = self.run("ssh-add", "-L").stdout
        return [line.split(" cardno:")[0] for line in listed.splitlines() if "cardno:" in line]

    def ssh_public(self, who: str) -> str:
        """The SSH public key of somebody's key to authenticate; needs its public part only."""
        return " ".join(self.run("gpg", "--export-ssh-key", who).stdout.split()[:2])

    def offer_to_ssh(self, keygrip: str) -> None:
        """Let gpg-agent offer a key that is on the host to OpenSSH."""
        (self.home / "sshcontrol").write_text(f"{keygrip} 0\n")

    def logs_in(self, public: str) -> bool:
        """Does the private key of an SSH public key sign, as in a login? OpenSSH verifies, without this keyring."""
        folder = self.folder
        (folder / "key.pub").write_text(public + "\n")
        (folder / "allowed").write_text(f"owner {public}\n")
        (folder / "challenge").write_text("challenge")
        (folder / "challenge.sig").unlink(missing_ok=True)
        made = self.run("ssh-keygen", "-Y", "sign", "-f", "key.pub", "-n", "login", "challenge")
        if made.returncode != 0:
            return False
        verify = ("ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "owner", "-n", "login", "-s")
        return self.run(*verify, "challenge.sig", said="challenge").returncode == 0

    # What scdaemon sent

    def written(self) -> list[str]:
        """The commands that change a card, in order: instruction, P1 and P2 as hex digits."""
        log = self.home / "scdaemon.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        sent = re.findall(r"send apdu: c=\w\w i=(\w\w) p1=(\w\w) p2=(\w\w)", text)
        # 47 81 reads a public key.
        return ["".join(one) for one in sent if one[0] in _WRITES and one[:2] != ("47", "81")]

    def written_since(self, before: list[str]) -> str:
        """The same after that, without repetitions of one command, which are its blocks."""
        found = self.written()[len(before) :]
        return " ".join(one for at, one in enumerate(found) if at == 0 or one != found[at - 1])


def serials(where: list[str]) -> list[str]:
    """The serial numbers of cards in what `Gnupg.secrets` tells."""
    return [one for one in where if len(one) == _SERIAL]


_SERIAL = 32
"""Length of an AID (DO 4F) as hex digits."""
_WRITES = ("24", "2C", "44", "47", "DA", "DB", "E6")


def _wrote(done: subprocess.CompletedProcess[str]) -> str:
    words = done.stderr + done.stdout
    if done.returncode:
        raise GnupgError(" ".join(done.args), found=words.strip(), expected="exit code 0")
    # Secret keys and lists are standard output alone.
    return done.stdout if "--with-colons" in done.args or "--armor" in done.args else words
