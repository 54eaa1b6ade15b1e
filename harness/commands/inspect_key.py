"""`keyharness inspect`: read a key without changing anything on it, whether it is expendable or not."""

from __future__ import annotations

from typing import Any, TextIO

from harness.base.errors import KeyFault, RigError, host_error
from harness.model.rig import KeyGone, Rig
from harness.safety.claim import Claims
from harness.safety.identity import bring_up, identity, why_gone
from harness.safety.uncontrolled import free_items

LAST_LINES = 5
"""Lines of its output that are shown of a firmware that died."""


def inspect(rig: Rig, claims: Claims) -> dict[str, Any]:
    """Return the identity of a key and every item whose observation costs nothing, as a JSON-able table.

    :raises RigError: no key comes up, or the rig is in use.
    :raises KeyFault: the key died while it was read.
    """
    claims.take(rig, write=False)
    if why := bring_up(rig):
        raise RigError(f'rig "{rig.name}": no key', found=why, expected="a key that comes up")
    try:
        return _read(rig, claims)
    except (KeyGone, OSError) as error:
        if host_error(error) is not None:
            raise
        raise _died(rig, error) from error


def _died(rig: Rig, error: Exception) -> KeyFault:
    """The key was up, and died or vanished while it was read."""
    why, words = why_gone(rig, error), rig.last_words().get("output.txt", b"")
    rig.power.off()
    # Of a firmware that runs as a process it is known how it ended once it has been reaped.
    deaths = rig.take_deaths()
    said = words.decode("utf-8", "replace").splitlines()[-LAST_LINES:]
    return KeyFault(
        f'rig "{rig.name}": the key died while it was read',
        found="\n".join([*(deaths or [why]), *said]),
        expected="answers to what costs nothing",
        mend=f"`keyharness recover {rig.name}` tries to bring it back",
    )


def _read(rig: Rig, claims: Claims) -> dict[str, Any]:
    presence = rig.presence
    items = free_items(rig)
    info, told = rig.info(), identity(rig)
    claims.note_told(rig, told, presence)
    return {
        "rig": rig.name,
        "key": rig.key.name,
        "title": rig.key.title,
        "identity": told,
        "firmware": info.firmware,
        "transport": info.transport,
        "evidence_kind": rig.evidence_kind,
        "expendable": rig.expendable,
        "items": items,
    }


def show(table: dict[str, Any], out: TextIO) -> None:
    """Write the table for a person."""
    may = "expendable" if table["expendable"] else "not expendable: never written to"
    out.write(f"rig {table['rig']} · {table['title']} · {table['transport']} · {may}\n")
    out.write(f"  {'identity':<30} {table['identity']}\n  {'firmware':<30} {table['firmware']}\n")
    for name, value in table["items"].items():
        out.write(f"  {name:<30} {value}\n")
