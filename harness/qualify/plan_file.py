"""Read a qualification plan: TOML, checked, with one message that says place, found, expected and mend."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from pydantic import ValidationError

from harness.base.errors import CallerError, one_of
from harness.base.limited_file import read_limited_text
from harness.base.wording import in_words, refuse_truth
from harness.bench.bench import LoadedBench, load_bench
from harness.bench.registry import Plugins
from harness.host.provenance import sha256_of
from harness.qualify.fingerprints import check_fingerprint
from harness.qualify.plan import BenchUse, Plan

MEND = "docs/qualify.md shows a plan; `keyharness qualify --schema` shows every field"


def load_plan(path: Path) -> Plan:
    """Read and check a plan by itself; `check_plan` compares it with what is there.

    :raises CallerError: it is unreadable, not TOML, or not a plan.
    """
    shown = f"plan {path}"
    text = read_limited_text(path, "a qualification plan", what=shown, mend=MEND)
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CallerError(shown, found=str(error), expected="TOML", mend="mend that line") from None
    refuse_truth(raw, shown, MEND)
    try:
        plan = Plan.model_validate(raw)
    except ValidationError as error:
        raise _explained(error, shown) from None
    _refuse_twice(shown, "waiver", [one.id for one in plan.waiver])
    _refuse_twice(shown, "operation", [one.name for one in plan.operation])
    _refuse_twice(shown, "requirement", [one.id for one in plan.requirement])
    _refuse_twice(shown, "exclude", [one.run for one in plan.exclude])
    _refuse_twice(shown, "product.sample", [one.identity for one in plan.product.sample])
    _refuse_twice(shown, "firmware.carried", [one.operation for one in plan.firmware.carried])
    _refuse_idle(plan, shown)
    return plan


def check_plan(plan: Plan, path: Path, plugins: Plugins) -> list[tuple[BenchUse, LoadedBench]]:
    """Compare a plan with the plugins, benches and the firmware that it names; return its benches, loaded.

    :raises CallerError: a key, bench, rig, operation or home that is not there, or a container of another digest.
    """
    shown = f"plan {path}"
    plugins.key(plan.product.key, f"{shown} · product.key")
    if (file := container_of(plan, path)) is not None:
        if not file.is_file():
            raise CallerError(
                f"{shown} · firmware.file", found=f"no file {file}", expected="an update container"
            )
        if (found := sha256_of(file)) != plan.firmware.sha256:
            raise CallerError(
                f"{shown} · firmware.sha256",
                found=f"{plan.firmware.sha256}; {file} has {found}",
                expected="the digest of that file",
                mend="name the right file, or begin a plan for the other firmware",
            )
    benches = []
    for at, use in enumerate(plan.bench, 1):
        where = f"{shown} · bench number {at}"
        bench = load_bench(bench_path(use, path), plugins)
        for rig in use.rigs:
            if rig not in bench.rigs:
                raise CallerError(f"{where}.rigs", found=f'"{rig}"', expected=one_of(rig, bench.rigs))
        for rig in use.rigs or bench.rigs:
            if use.rigs and bench.key_name(rig) != plan.product.key:
                raise CallerError(
                    f'{where}: rig "{rig}"',
                    found=f"a {bench.key_name(rig)}",
                    expected=f"a {plan.product.key}, the product of the plan",
                    mend="leave this rig out",
                )
        if not rigs_of(plan, use, bench):
            raise CallerError(f"{where}.file", found="no rig of it", expected=f"a {plan.product.key}")
        _check_kind(use, bench, rigs_of(plan, use, bench), plugins, where)
        for suite in use.suites:
            plugins.suite(suite)
        benches.append((use, bench))
    _check_names(plan, shown, plugins, benches)
    return benches


def _check_kind(
    use: BenchUse, bench: LoadedBench, rigs: Collection[str], plugins: Plugins, where: str
) -> None:
    """Refuse a kind of evidence that a bench cannot give: its row would wait for cuts for ever."""
    for entry in bench.bench.rig:
        simulated = plugins.drivers[entry.driver].simulated
        if entry.name in rigs and simulated != (use.kind == "twin"):
            raise CallerError(
                f"{where}.kind",
                found=f'"{use.kind}", and its rig "{entry.name}" has the driver {entry.driver}',
                expected='"twin"' if simulated else '"emulator", "emulator-torn" or "hardware"',
                mend="name the kind of evidence that the rig gives, or another bench",
            )


def rigs_of(plan: Plan, use: BenchUse, bench: LoadedBench) -> list[str]:
    """Return the rigs of a bench that take part: those named, or all that have the product."""
    return use.rigs or [rig for rig in bench.rigs if bench.key_name(rig) == plan.product.key]


def bench_path(use: BenchUse, path: Path) -> Path:
    """Return a bench's file: beside the plan, else as `--bench` finds it."""
    beside = path.parent / use.file
    return beside if beside.is_file() else Path(use.file)


def container_of(plan: Plan, path: Path) -> Path | None:
    """Return the file of the firmware; None if the plan names none."""
    return path.parent / plan.firmware.file if plan.firmware.file else None


def _check_names(
    plan: Plan, shown: str, plugins: Plugins, benches: list[tuple[BenchUse, LoadedBench]]
) -> None:
    known = sorted(plugins.keys[plan.product.key].operations)
    named = [
        *(("goal.operations", name) for name in plan.goal.operations),
        *(("operation.name", one.name) for one in plan.operation),
        *(("firmware.carried", one.operation) for one in plan.firmware.carried),
        *((f"requirement {one.id}", name) for one in plan.requirement for name in one.operations),
        *((f"waiver {one.id}", one.finding.operation) for one in plan.waiver),
        *((f"fix {one.ticket}", one.finding.operation) for one in plan.fix),
    ]
    for place, name in named:
        if name not in known:
            raise CallerError(
                f"{shown} · {place}",
                found=f'"{name}"',
                expected=one_of(name, known),
                mend="`keyharness list` shows the operations of each key",
            )
    homes = ["fresh", *plugins.keys[plan.product.key].homes]
    for use, _ in benches:
        for home in use.homes:
            _check_home(home, homes, f"{shown} · bench.homes")
    findings = [(f"{shown} · waiver {one.id}", one.finding) for one in plan.waiver]
    findings += [(f"{shown} · fix {one.ticket}", one.finding) for one in plan.fix]
    for place, finding in findings:
        _check_home(finding.home, homes, place)
        check_fingerprint(finding, plugins.keys[plan.product.key], place)


def _check_home(home: str | None, homes: list[str], place: str) -> None:
    if home is not None and home not in homes:
        raise CallerError(
            place,
            found=f'"{home}"',
            expected=one_of(home, homes),
            mend="`keyharness list` shows the homes of each key",
        )


def _refuse_twice(shown: str, table: str, names: list[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise CallerError(
                f'{shown} · {table} "{name}"', found=f"{count} tables of that name", expected="one"
            )


def _refuse_idle(plan: Plan, shown: str) -> None:
    """Refuse what reads as if it asked for something, and asks for nothing."""
    for one in plan.operation:
        if plan.goal.operations and one.name not in plan.goal.operations:
            raise CallerError(
                f'{shown} · operation "{one.name}"',
                found="a goal for an operation that the plan does not ask for",
                expected=one_of(one.name, plan.goal.operations),
                mend="add it to goal.operations, or leave its goal out",
            )
    for carried in plan.firmware.carried:
        if carried.plan == plan.id:
            raise CallerError(
                f"{shown} · firmware.carried {carried.operation}",
                found=f"{carried.plan}, this plan",
                expected="the id of an earlier plan, whose evidence is taken over",
                mend=MEND,
            )


def _explained(error: ValidationError, shown: str) -> CallerError:
    first = error.errors(include_url=False)[0]
    place = "".join(
        f" number {part + 1}" if isinstance(part, int) else f".{part}" for part in first["loc"]
    ).lstrip(".")
    found, expected = in_words(first, Plan)
    mend = f"add it; {MEND}" if first["type"] == "missing" else MEND
    return CallerError(f"{shown} · {place}" if place else shown, found=found, expected=expected, mend=mend)
