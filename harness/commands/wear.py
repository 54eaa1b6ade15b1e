"""`keyharness wear`: what each operation of a twin writes, beside the baseline of its firmware."""

from __future__ import annotations

from contextlib import suppress
from typing import TextIO

from harness.base.errors import CallerError, KeyFault, one_of
from harness.bench.registry import Plugins, discover
from harness.campaign.home import go_home, missing
from harness.campaign.recording import RecordedOperation
from harness.campaign.uncut_laws import Written, every_page_took, wear_breach, written
from harness.campaign.wear_baseline import as_text, key_of, load
from harness.model.outcome import Severity
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness.twin.trace import twin_trace


def measure(plugins: Plugins, key_name: str, options: TwinOptions, seed: int) -> dict[str, Written]:
    """Run each operation that a twin offers once, uncut: its name and what it wrote.

    Left out: an operation that this firmware fails at, which campaigns report, and one in which a page failed.
    """
    key, twin = plugins.keys[key_name], plugins.twin(key_name)
    rig = TwinRig("wear", key, twin, options, seed, expendable=True)
    home = go_home(rig)
    found = {}
    for name, operation in key.operations.items():
        if missing(rig, home, operation):
            continue
        with suppress(KeyFault):
            trace = twin_trace(RecordedOperation(rig, operation, home).prepare().trace)
            if every_page_took(trace):
                found[name] = written(trace)
    return found


def wear(key_name: str, personalities: tuple[str, ...], seed: int, write: bool, out: TextIO) -> int:
    """Show what the operations of a key's twin write, or write the baseline anew.

    :param personalities: all by default.
    :returns: exit code: 1 if an operation writes far too much.
    :raises CallerError: there is no such key, or it keeps no baseline.
    """
    plugins = discover()
    if key_name not in plugins.twins:
        raise CallerError(f'key "{key_name}"', found=key_name, expected=one_of(key_name, list(plugins.twins)))
    key, twin = plugins.keys[key_name], plugins.twin(key_name)
    if key.wear_baseline is None:
        raise CallerError(
            f'key "{key_name}"', found="no file", expected="a plugin that names one as Key.wear_baseline"
        )
    known, worst = dict(load(key.wear_baseline)), 0
    for personality in personalities or tuple(twin.personalities):
        options = TwinOptions(personality=personality)
        firmware = key_of(twin, options, TwinRig("wear", key, twin, options, seed, expendable=True).firmware)
        found = measure(plugins, key_name, options, seed)
        base = known.get(firmware, {})
        out.write(f"{key.title}, {firmware}\n")
        for name, one in found.items():
            was = base.get(name)
            breach = wear_breach(one, was) if was else None
            worst |= breach is not None and breach.severity is not Severity.S3
            noted = f"{was.erases:>6} {was.bytes_written:>8}" if was else "  not in the file"
            out.write(
                f"  {name:<42} {one.erases:>4} erases {one.bytes_written:>8} bytes   baseline {noted}"
                f"{'   ' + breach.severity if breach else ''}\n"
            )
        known[firmware] = found
    if write:
        key.wear_baseline.write_text(as_text(known), encoding="utf-8")
        out.write(f"wrote {key.wear_baseline}\n")
        return 0
    return int(worst)
