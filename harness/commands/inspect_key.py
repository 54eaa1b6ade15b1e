"""`keyharness inspect`: read a key without changing anything on it, whether it is expendable or not."""

from __future__ import annotations

from typing import Any, TextIO

from harness.base.errors import RigError
from harness.model.rig import Rig
from harness.safety.claim import Claims
from harness.safety.identity import bring_up, identity
from harness.safety.uncontrolled import free_items


def inspect(rig: Rig, claims: Claims) -> dict[str, Any]:
    """Return the identity of a key and every item whose observation costs nothing, as a JSON-able table.

    :raises RigError: no key comes up, or the rig is in use.
    """
    claims.take(rig, write=False)
    if why := bring_up(rig):
        raise RigError(f'rig "{rig.name}": no key', found=why, expected="a key that comes up")
    items = free_items(rig)
    info = rig.info()
    return {
        "rig": rig.name,
        "key": rig.key.name,
        "title": rig.key.title,
        "identity": identity(rig),
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
