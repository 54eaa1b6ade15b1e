"""`keyharness rigs`: the present state of a bench's rigs: health, holder, quarantine."""

from __future__ import annotations

from typing import Any, TextIO

from harness.base.errors import KeyharnessError
from harness.host.locks import Lock
from harness.model.rig import Rig
from harness.run.session import Session
from harness.safety import quarantine
from harness.safety.claim import port_of
from harness.safety.power_journal import PowerLog


def state_of(session: Session, name: str) -> dict[str, Any]:
    """Return the state of one rig as a JSON-able row. An absent rig is a row like the others.

    If a killed process left the rig's power switched, and nobody uses the rig, the power is put back.
    """
    entry = session.bench.settings(name)
    row = {"rig": name, "key": entry.key, "driver": entry.driver, "expendable": entry.expendable}
    row |= {"identity": entry.identity, "holder": None, "quarantine": None, "fault": None}
    try:
        rig = session.rig(name)
    except KeyharnessError as error:
        usb = session.bench.usb_port(name)
        row |= {"evidence_kind": None, "port": None, "health": "not there", "fault": str(error)}
        return row if usb is None else {**row, **_kept_of(f"port usb:{usb}")}
    port = port_of(rig)
    kept = _kept_of(port)
    held, holder = kept["quarantine"], kept["holder"]
    restored = _restored(rig, port) if port and holder is None else False
    if held:
        health = "quarantined"
    elif holder:
        health = "in use"
    else:
        health = "power put back" if restored else "free"
    return {
        **row,
        **kept,
        "evidence_kind": rig.evidence_kind,
        "health": health,
    }


def _kept_of(port: str | None) -> dict[str, Any]:
    """What outlives a run: who uses the port, and whether it is in quarantine."""
    held = quarantine.quarantined(port) if port else None
    holder = Lock(port).holder() if port else None
    return {
        "port": port,
        "holder": {"pid": holder.pid, "since": holder.since, "purpose": holder.purpose} if holder else None,
        "quarantine": {"since": held.since, "why": held.why} if held else None,
    }


def _restored(rig: Rig, port: str) -> bool:
    log = PowerLog(port)
    if rig.evidence_kind != "hardware" or not log.left_behind:
        return False
    with Lock(port) as lock:
        lock.take("put the power back")
        log.take(rig)
        log.give_back(rig)
    return True


def show(bench: str, rows: list[dict[str, Any]], out: TextIO) -> None:
    """Write the rows for a person."""
    out.write(f"bench {bench}\n")
    for row in rows:
        may = "expendable" if row["expendable"] else "not expendable"
        out.write(f"  {row['rig']:<20} {row['health']:<14} {row['key']} · {row['driver']} · {may}\n")
        if row["identity"]:
            out.write(f"    key         {row['identity']}\n")
        if row["holder"]:
            who = row["holder"]
            out.write(f"    holder      process {who['pid']} since {who['since']}: {who['purpose']}\n")
        if row["fault"]:
            out.write("    " + row["fault"].replace("\n", "\n    ") + "\n")
        if row["quarantine"]:
            why = row["quarantine"]["why"].replace("\n", "\n                ")
            out.write(f"    quarantine  since {row['quarantine']['since']}: {why}\n")
