"""`keyharness calibrate`: claim a rig, measure its switch, keep the result and explain it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Any, TextIO

from harness.base.errors import CallerError, RigError
from harness.bench.calibration import Calibration, keep
from harness.evidence.ledger import now
from harness.host.host import here
from harness.model.rig import Rig
from harness.run.measure_switch import Calibrator
from harness.run.session import Session
from harness.run.switch_limits import HostBusyError, NoProofError


def calibrate(session: Session, name: str, cycles: int, out: TextIO) -> Calibration:
    """Measure the switch of a rig; nothing is written to its key, which must be the one that the bench names, if any.

    :param out: where each cycle is told.
    :raises CallerError: the cuts of the rig are computed, or its budget is too small.
    :raises RigError: the rig is in use, another key is on it, or it is not fit for cuts; the last is kept, too.
    """
    # A rig of its own, whose switch does not wait: the rest that the key needs is what is measured here.
    rig = session.bench.make(name, session.seed, rest_s=0.0)
    if rig.evidence_kind == "twin":
        raise CallerError(
            f'rig "{name}"', found="a simulated key", expected="a rig whose power is really switched"
        )
    real = rig.evidence_kind == "hardware"

    def told(done: int, most: int, what: str) -> None:
        out.write(f"  {done:>3}/{most}  {what}\n")
        out.flush()

    named = NamedKey(session, rig)
    try:
        session.claims.take(rig, write=False)
        try:
            found = Calibrator(rig, here(), cycles, told, named.prove).run()
        except RigError as error:
            if real and not named.is_unproved and not isinstance(error, HostBusyError | NoProofError):
                keep(Calibration(name, rig.wiring, now(), fault=str(error)))
            with suppress(RigError):
                # A broken switch may fail here, too: report the first fault.
                session.claims.release()
            raise
        if real:
            keep(found)
        return found
    finally:
        session.claims.release()
        rig.close()


class NamedKey:
    """The key that the bench names for a rig; its owner alone may have it cut.

    :ivar is_unproved: the last proof failed: that says nothing of the switch.
    """

    def __init__(self, session: Session, rig: Rig):
        self._session, self._rig = session, rig
        named = session.bench.settings(rig.name).identity or ""
        self._once = named.startswith("marker:")
        self._is_known = self.is_unproved = False

    def prove(self) -> None:
        """Prove that it is on the rig, in each enumeration; a mark only once, because to ask for it may be a write.

        :raises RigError: another key is on the rig, or it is busy.
        :raises KeyGone: none is there.
        """
        if self._once and self._is_known:
            return
        self.is_unproved = True
        try:
            self._session.claims.prove(self._rig)
        finally:
            # A guarded key is waited for when it is gone; while it is cut, that it is gone is the answer.
            self._rig.transports.guard = None
        self.is_unproved, self._is_known = False, True


def table(found: Calibration) -> dict[str, Any]:
    """Return the result as a JSON-able table."""
    return asdict(found)


def show(found: Calibration, out: TextIO) -> None:
    """Write the result for a person."""
    out.write(f'rig "{found.rig}" · {found.wiring}\n')
    proof = (
        "proved by the key: it boots each time"
        if found.booted
        else "as the bus shows it; the key does not say"
    )
    out.write(f"  power goes    yes, {proof}\n")
    scheduled = "" if found.realtime else ", without real-time scheduling"
    out.write(
        f"  cut to gone   {found.cut_ms:g} ms, +- {found.cut_jitter_ms:g} ms, p99 {found.cut_p99_ms:g} ms; "
        f"the command itself late by {found.late_p99_ms:g} ms (p99), this host by {found.host_late_ms:g} ms"
        f"{scheduled}\n"
    )
    if found.release_ms is None:
        out.write("  power gone    not measured: the key cannot be asked while it is cut\n")
    else:
        least_ms, most_ms = found.release_ms
        out.write(
            f"  power gone    {least_ms:g} to {most_ms:g} ms after the command, by the key's last answer; "
            f"cuts are ordered {found.lead_ms:g} ms earlier\n"
        )
    if found.shortest_off_ms is None:
        out.write("  rest          not measured: the key shows nothing that it loses with its power\n")
    else:
        out.write(
            f"  rest          {found.off_s:g} s, for {found.shortest_off_ms:g} ms always was enough; "
            "used unless the bench says another\n"
        )
    out.write(f"  back          {found.back_ms:g} ms, p99 {found.back_p99_ms:g} ms\n")
    neighbours = ", ".join(found.neighbours) + " went once" if found.neighbours else "stayed"
    out.write(f"  neighbours    {neighbours}\n")
    out.write(f"  spent         {found.cycles} power cycles\n")
    if "; power " not in found.wiring:
        out.write("  not kept      its power is a process of each run's own\n")
