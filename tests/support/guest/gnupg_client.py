"""Make keys on the OpenPGP card in a reader with GnuPG, and use them; runs in the guest.

    module support.guest.gnupg_client READER

Writes a line for each thing that a person would do.
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from harness_openpgp.gnupg import Gnupg

HOME = Path(pwd.getpwuid(os.getuid()).pw_dir, "gnupg")
"""Short, because the sockets of the agent lie in it."""


def main(reader: str) -> None:
    owner = Gnupg(HOME, {}, reader)
    try:
        print(owner("--card-status"), flush=True)
        owner.generate_on_card("Card Owner")
        who = "card.owner@example.org"
        print("signs", owner.signs(who, b"hello"), flush=True)
        print("decrypts", owner.decrypted(owner.encrypt(who, b"hello")) == b"hello", flush=True)
        print("offers to ssh", len(owner.ssh_keys()), flush=True)
    finally:
        owner.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
