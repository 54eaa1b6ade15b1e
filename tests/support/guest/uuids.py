"""Ask the Nitrokeys on ports of this host for their UUIDs; runs in the guest.

    module support.guest.uuids PORT ...

Writes "PORT UUID" for each.
"""

from __future__ import annotations

import sys

from support.guest.glitch_client import opened

UUID_COMMAND = 0x62
"""A command of CTAPHID that only the vendor's keys have."""


def main(*ports: str) -> None:
    for port in ports:
        key = opened(port).device
        print(port, key.call(UUID_COMMAND).hex())
        key.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
