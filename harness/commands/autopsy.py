"""`keyharness autopsy`: read what only the first power-up of a returned key tells, once, and write nothing to it.

Some firmware notes what it had to mend in bits that live in the boot that set them. The next power-up finds nothing to
mend, and says that all is well. So everything is made ready before the key has power, and nothing is asked twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from harness.base.errors import CallerError, RigError, host_error
from harness.evidence.abnormal import STATE
from harness.model.outcome import Value
from harness.model.rig import KeyGone, Rig
from harness.safety.claim import Claims
from harness.safety.identity import bring_up, identity, why_gone
from harness.safety.uncontrolled import free_items

LINES_MAX = 200


@dataclass(frozen=True)
class PowerUp:
    """What one power-up showed.

    :ivar why_not: why nothing came up, or why it went while it was read; None if all was read.
    :ivar up_ms: how long it took to come up, on the rig's clock; None if it did not.
    :ivar items: what was read, each once; costs nothing and writes nothing.
    :ivar kernel: the kernel's lines about the port. :ivar deaths: how the key ended by itself, in words.
    """

    why_not: str | None
    up_ms: float | None
    face: str | None = None
    identity: str | None = None
    items: Mapping[str, Value] = field(default_factory=dict)
    kernel: tuple[str, ...] = ()
    deaths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Autopsy:
    """The first power-up, and the second one if it was allowed."""

    rig: str
    key: str
    evidence: str
    first: PowerUp
    second: PowerUp | None = None

    @property
    def differs(self) -> dict[str, tuple[Value, Value]]:
        """Item -> (in the first power-up, in the second): what is gone by now."""
        if self.second is None:
            return {}
        seen, again = self.first.items, self.second.items
        return {
            name: (seen[name], again[name]) for name in seen if name in again and seen[name] != again[name]
        }

    @property
    def code(self) -> int:
        """Exit code: 3 if no key came up, or it went."""
        return 0 if self.first.why_not is None else 3

    def table(self) -> dict[str, Any]:
        """Return it as a JSON-able table."""
        return {
            "rig": self.rig,
            "key": self.key,
            "evidence_kind": self.evidence,
            "first": vars(self.first),
            "second": vars(self.second) if self.second is not None else None,
            "differs": {name: list(pair) for name, pair in self.differs.items()},
        }


def autopsy(
    rig: Rig,
    claims: Claims,
    *,
    state: Path | None = None,
    powered: bool = False,
    second: Callable[[PowerUp], bool] = lambda first: False,
) -> Autopsy:
    """Power a key up and read it once.

    :param state: a kept state (abnormal/NN of a run) that is put into a simulated or emulated key first.
    :param powered: read a key that has power already: its first power-up is over.
    :param second: asked after the first power-up; True powers the key up again.
    :raises CallerError: no state can be put into this key, or the folder holds none.
    :raises RigError: the key has power already, or the rig is in use.
    """
    claims.take(rig, write=False)
    if state is not None:
        _put_in(rig, state)
    if rig.power.is_on and not powered:
        raise RigError(
            f'rig "{rig.name}": the key has power already',
            found="a first power-up that is over, and told nobody",
            expected="no power: what had to be mended is told in the boot that mends it, and in none after it",
            mend="switch the rig off, put the key in, and ask again; --powered reads what is left",
        )
    # What was there before is no part of it; and what reads the log is ready now.
    rig.take_log()
    rig.take_deaths()
    first = _power_up(rig)
    again: PowerUp | None = None
    if second(first):
        rig.power.off()
        rig.take_log()
        again = _power_up(rig)
    return Autopsy(rig.name, rig.key.name, rig.evidence_kind, first, again)


def _put_in(rig: Rig, folder: Path) -> None:
    where = f"--state {folder}"
    vault = rig.vault
    if vault is None:
        raise CallerError(
            where, found="a key whose state only the key can change", expected="a twin or an emulator"
        )
    root = folder / STATE.rstrip("/")
    root = root if root.is_dir() else folder
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
    try:
        vault.restore(vault.from_files(files))
    except (KeyError, ValueError, TypeError) as error:
        raise CallerError(
            where,
            found=f"{type(error).__name__}: {error}",
            expected="a kept state of this kind of key: abnormal/NN of a run",
        ) from None


def _power_up(rig: Rig) -> PowerUp:
    began_us = rig.clock.now_us
    if why := bring_up(rig):
        return PowerUp(why, None, kernel=_lines(rig), deaths=tuple(rig.take_deaths()))
    up_ms = round((rig.clock.now_us - began_us) / 1000, 3)
    face = rig.face
    try:
        # In the order of the key's applications: that whose bits live in this boot is the first one.
        items = free_items(rig)
        known = identity(rig)
    except (KeyGone, OSError) as error:
        if host_error(error) is not None:
            raise
        why = why_gone(rig, error)
        if rig.evidence_kind != "hardware":
            # How a firmware that runs as a process ended is known once it has been reaped. A real key stays as it is.
            rig.power.off()
        return PowerUp(why, up_ms, face, kernel=_lines(rig), deaths=tuple(rig.take_deaths()))
    return PowerUp(None, up_ms, face, known, items, _lines(rig), tuple(rig.take_deaths()))


def _lines(rig: Rig) -> tuple[str, ...]:
    return tuple(rig.take_log()[:LINES_MAX])


def show(found: Autopsy, out: TextIO) -> None:
    """Write it for a person."""
    out.write(f"rig {found.rig} · {found.key} · {found.evidence}\n")
    _show(found.first, "first power-up", out)
    if found.second is None:
        out.write("\nAsked for: a second power-up (--second). It shows what the first one alone tells.\n")
        out.write("Until then leave the key as it is: do not update, reset or initialise it.\n")
        return
    _show(found.second, "second power-up", out)
    out.write("\ntold by the first one alone\n")
    for name, (was, now) in found.differs.items():
        out.write(f"  {name:<30} {was}, then {now}\n")
    if not found.differs:
        out.write("  nothing\n")


def _show(one: PowerUp, what: str, out: TextIO) -> None:
    out.write(
        f"\n{what}" + (f", up after {one.up_ms:g} ms, {one.face}" if one.up_ms is not None else "") + "\n"
    )
    if one.why_not is not None:
        out.write(f"  {'nothing came up' if one.up_ms is None else 'lost'}: {one.why_not}\n")
    if one.identity is not None:
        out.write(f"  {'identity':<30} {one.identity}\n")
    for name, value in one.items.items():
        out.write(f"  {name:<30} {value}\n")
    for line in (*one.deaths, *one.kernel):
        out.write(f"  {line}\n")
