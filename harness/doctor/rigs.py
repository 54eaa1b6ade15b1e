"""Check each rig of the bench: key present, not in use, power not left off, switch calibrated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.base.errors import Blame, KeyharnessError
from harness.base.visible import first_line
from harness.bench.calibration import Calibration, calibration_for, complaint_about
from harness.doctor.context import CheckedHost, CheckResult, Level
from harness.host.locks import Lock
from harness.host.usb import UsbDevice, device_at, devices
from harness.model.rig import Rig
from harness.safety import quarantine
from harness.safety.claim import port_of
from harness.safety.power_journal import PowerLog


def rigs(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check each rig: one line if all is well, else one line for each fault or warning."""
    if checked.bench is None:
        return
    for name in checked.bench.rigs:
        found = list(_rig(checked, name))
        if not any(one.level == "fault" for one in found):
            yield _finding(name, "ok", _well(checked, name))
        yield from found


def keys_without_rig(checked: CheckedHost) -> Iterator[CheckResult]:
    """List keys that are plugged in and in no rig, for a bench with real keys."""
    for one in devices(checked.host) if checked.ports else ():
        known = (one.vendor_id, one.product_id) in checked.key_ids or one.fido is not None
        if known and one.port not in checked.ports:
            text = f"{one.shown()} at {one.port} is in no rig of this bench"
            yield CheckResult("strangers", "ok", text, "`keyharness enroll` adds it")


def _finding(
    rig: str, level: Level, text: str, mend: str | None = None, *, caller: bool = False
) -> CheckResult:
    return CheckResult("rig", level, text, mend, rig, caller)


def _rig(checked: CheckedHost, name: str) -> Iterator[CheckResult]:
    bench = checked.bench
    assert bench is not None
    usb = bench.usb_port(name)
    port = f"port usb:{usb}" if usb is not None else None
    holder = Lock(port).holder() if port else None
    if holder is not None:
        gone = holder.pid and not (Path("/proc") / str(holder.pid)).exists()
        since = f"since {holder.since}: {holder.purpose}"
        if gone:
            text = f"locked by a child of process {holder.pid}, which has ended, {since}"
            yield _finding(name, "fault", text, "end it: `fuser -v` on the lock file names the process")
        else:
            mend = f"wait for it, or end it (kill -INT {holder.pid})"
            yield _finding(name, "fault", f"in use: held by process {holder.pid} {since}", mend)
        return
    made = None
    try:
        # This switches nothing, but finds a board that does not answer.
        made = bench.make(name, 1)
        if lacking := made.lacks():
            raise lacking
        yield from _made(checked, name, made, usb)
    except KeyharnessError as error:
        text = error.what.removeprefix(f"{bench.shown}: ").removeprefix(f'rig "{name}"').lstrip(": ·")
        more = f": {error.found}" if error.found is not None else ""
        wanted = f"; expected {error.expected}" if error.expected is not None else ""
        yield _finding(name, "fault", f"{text}{more}{wanted}", error.mend, caller=error.blame is Blame.CALLER)
    finally:
        if made is not None:
            made.close()


def _made(checked: CheckedHost, name: str, rig: Rig, usb: str | None) -> Iterator[CheckResult]:
    port = port_of(rig)
    if port is not None and (held := quarantine.quarantined(port)):
        why = first_line(held.why)
        mend = f"mend it, then `keyharness quarantine {name} --clear --reason TEXT`"
        yield _finding(name, "fault", f"in quarantine since {held.since}: {why}", mend)
    if rig.evidence_kind == "hardware" and port is not None and PowerLog(port).left_behind:
        yield _finding(
            name,
            "warn",
            "a killed process left its power switched",
            "`keyharness rigs` puts it back",
        )
    if usb is not None:
        yield from _key(checked, name, rig, usb)
    if rig.evidence_kind != "hardware":
        return
    assert checked.bench is not None
    entry = checked.bench.settings(name)
    if entry.expendable and entry.identity is None:
        mend = "`keyharness enroll` finds out which key it is"
        yield _finding(
            name, "fault", "no identity in the bench: it will not be written to", mend, caller=True
        )
    if complaint := complaint_about(name, calibration_for(rig.wiring)):
        yield _finding(
            name, "warn", complaint.removeprefix(f'rig "{name}" '), f"`keyharness calibrate {name}`"
        )


def _key(checked: CheckedHost, name: str, rig: Rig, usb: str) -> Iterator[CheckResult]:
    there = device_at(checked.host, usb)
    if there is None:
        if rig.power.is_on:
            mend = f"plug it in, or `keyharness recover {name}`"
            yield _finding(name, "fault", f"no key at {usb}, and its power is on", mend)
        return
    faces = {(face.vendor_id, face.product_id) for face in rig.key.faces}
    if (there.vendor_id, there.product_id) not in faces and (0, 0) not in faces:
        wanted = " or ".join(f"{vendor:04x}:{product:04x}" for vendor, product in sorted(faces))
        text = f"{there.shown()} is at {usb}; expected a {rig.key.title} ({wanted})"
        yield _finding(name, "fault", text, "put the right key in, or name this one in the bench")
    elif rig.face != "application":
        text = f"the key at {usb} is in its {rig.face}"
        yield _finding(name, "warn", text, f"`keyharness recover {name}`")


def _well(checked: CheckedHost, name: str) -> str:
    bench = checked.bench
    assert bench is not None
    usb = bench.usb_port(name)
    if usb is None:
        return f"{bench.key_name(name)} · {bench.wiring(name)}"
    there = device_at(checked.host, usb)
    found = calibration_for(bench.wiring(name))
    words = [_key_words(bench.settings(name).identity, there, usb)]
    if found is not None and found.fault is None:
        words += _measured(found)
    return ", ".join(words)


def _key_words(identity: str | None, there: UsbDevice | None, usb: str) -> str:
    if there is None:
        return f"no key at {usb}: its power is off"
    if identity is None:
        return f"key {there.shown()} at {usb}"
    kind, _, value = identity.partition(":")
    return f"key {value[:4] + '...' if kind in ('uuid', 'marker') else value} at {usb}"


def _measured(found: Calibration) -> list[str]:
    words = [f"power cuts in {found.cut_ms or 0:.0f} ms +- {found.cut_jitter_ms or 0:.0f} ms"]
    words.append(f"back in {(found.back_ms or 0) / 1000:.2f} s")
    days = int(found.age_days())
    when = {0: "today", 1: "yesterday"}.get(days, f"{days} days ago")
    return [*words, f"calibrated {when}"]
