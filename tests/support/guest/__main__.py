"""script/lab: a machine with simulated keys on a real Linux USB stack, for a command or a shell."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time

from support.guest import kvm
from support.guest.channel import GuestDied
from support.guest.machine import LIAR_PORT, RELAY_PORT, Machine, PluggedKey
from support.guest.parts import MissingPart, parts

FEW = (PluggedKey(1), PluggedKey(2), PluggedKey(LIAR_PORT))
ALL = (*FEW, PluggedKey(3, "nitrokey-hsm2"), PluggedKey(RELAY_PORT))
NO_GUEST = 3


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/lab", description="Boot a virtual machine with simulated keys on its USB ports."
    )
    parser.add_argument("--full", action="store_true", help="also an HSM, and a key behind a relay board")
    parser.add_argument("--no-kvm", action="store_true", help="emulate, also where KVM works")
    parser.add_argument(
        "command", nargs="*", help="run in the guest, after --; without it: lines from standard input"
    )
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    began = time.monotonic()
    try:
        made_of = parts()
        accelerated = not asked.no_kvm and kvm.works(made_of)
        machine = Machine(made_of, list(ALL if asked.full else FEW), accelerated)
    except (MissingPart, GuestDied) as error:
        sys.stderr.write(f"script/lab: {error}\n")
        return NO_GUEST
    with contextlib.closing(machine):
        how = "KVM" if accelerated else "software emulation"
        sys.stderr.write(
            f"script/lab: up after {time.monotonic() - began:.0f} s ({machine.cpu_s():.0f} s of CPU time), by {how}; "
            f"logs in {machine.folder}\n"
        )
        if asked.command:
            return machine.run(*asked.command, write=_write).code
        return _lines(machine)


def _lines(machine: Machine) -> int:
    """Each line of input is a command of the guest's shell; the end of input, or "exit", ends the guest."""
    code = 0
    interactive = sys.stdin.isatty()
    while True:
        if interactive:
            sys.stderr.write("lab# ")
            sys.stderr.flush()
        line = sys.stdin.readline()
        if not line or line.strip() == "exit":
            return code
        words = line.split()
        plain = words[:1] == ["keyharness"] and not set(line) & set("\"'|&;<>$*?(){}`\\")
        code = machine.run(*(words if plain else ("sh", "-c", line)), write=_write).code if words else code


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GuestDied as error:
        sys.stderr.write(f"script/lab: {error}\n")
        sys.exit(NO_GUEST)
    except KeyboardInterrupt:
        sys.exit(130)
