"""Replay a scenario: choose its rigs, try it, and say how often it shows and since which version it does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from harness.base.atomic_file import replace_file
from harness.base.errors import CallerError, one_of
from harness.bench.bench import LoadedBench, load_bench, parse_bench
from harness.bench.registry import Plugins, discover
from harness.bench.toml_file import bench_text
from harness.evidence.rundir import RunDir, new_run_name
from harness.field.scenario import UNKNOWN
from harness.field.scenario_file import SHOWN, Replay, Scenario, read_scenario
from harness.run.head import run_head
from harness.run.scenario import Progress, ScenarioPlayer, Tried, disturbed, first_gone
from harness.run.scenario_answers import Held, hold
from harness.run.session import Session
from harness.run.wanted import Wanted

TOLD, CONTROL = "as-told", "control"
"""Names of the rigs that a scenario makes: the firmware of the failure, and one that must not show it."""
INSTANTS_SHOWN = 5


@dataclass(frozen=True)
class Asked:
    """The options of `keyharness run --scenario`.

    :ivar bench: None replays on twins. :ivar trials: cuts at random instants into each operation, None is the usual.
    :ivar containers: versions of these are tried, too, as the twin models them.
    """

    file: Path
    bench: Path | None = None
    rigs: tuple[str, ...] = ()
    seed: int | None = None
    trials: int | None = None
    walk: int | None = None
    containers: Path | None = None
    reports: Path = Path("reports")


@dataclass
class Played:
    """What a replay has shown.

    :ivar told: on the rigs that the failure is expected on. :ivar control: on the one that must not show it.
    :ivar versions: version -> whether a model of it shows it; empty if nobody asked.
    :ivar gone: the first version whose model does not show it; None if there is none, or nobody asked.
    """

    scenario: Scenario
    run: Path
    told: list[Tried] = field(default_factory=list)
    control: list[Tried] = field(default_factory=list)
    versions: dict[str, bool] = field(default_factory=dict)
    gone: str | None = None

    held: list[Held] = field(default_factory=list)
    run_code: int = 0
    """Answers that were asked of suites, and the exit code of that run."""

    @property
    def reproduced(self) -> bool:
        return any(one.reproduced for one in self.told)

    @property
    def tested(self) -> bool:
        return any(one.trials or one.walked for one in self.told)

    @property
    def code(self) -> int:
        """Exit code: 1 it shows, 0 it does not, 3 the control shows it too, 5 nothing was cut.

        Of answers: that of their run; 5 if one of them could not be asked.
        """
        if self.scenario.answer:
            return self.run_code or (0 if all(one.holds for one in self.held) else 5)
        if not self.tested:
            return 5
        if any(one.reproduced for one in self.control):
            return 3
        return 1 if self.reproduced else 0

    def table(self) -> dict[str, Any]:
        """Return it as a JSON-able table."""
        return {
            "id": self.scenario.scenario.id,
            "title": self.scenario.scenario.title,
            "run": str(self.run),
            "reproduced": self.reproduced,
            "tried": [one.table() for one in self.told],
            "control": [one.table() for one in self.control],
            "answers": [one.table() for one in self.held],
            "versions": self.versions,
            "not_shown_from": self.gone,
            "versions_are": "model" if self.versions else None,
        }


def find_scenario(path: Path, plugins: Plugins) -> tuple[Path, Scenario]:
    """Read the scenario that `--scenario` names: a file, or one of a plugin by its name.

    :raises CallerError: there is none, or it does not fit.
    """
    known = plugins.scenario_files()
    file = path if path.exists() else known.get(path.name.removesuffix(".toml"), path)
    if not file.exists():
        raise CallerError(
            f"--scenario {path}",
            found="no such file",
            expected=f"a scenario file, or one of {one_of(path.name, list(known))}",
            mend=SHOWN,
        )
    return file, read_scenario(file)


def play(
    asked: Asked, progress: Progress | None = None, shown: Sequence[str] = ("-q",), *, hidden: bool = False
) -> Played:
    """Replay a scenario.

    :param shown, hidden: of a run of suites, as of `Launch.run`.
    :raises CallerError: it does not fit, or names what is not there.
    :raises KeyharnessError: a rig or a key fails before anything is cut.
    """
    plugins = discover()
    file, scenario = find_scenario(asked.file, plugins)
    replay = scenario.replay
    if scenario.answer:
        return _ask(asked, file, scenario, plugins, shown, hidden)
    if replay is None:
        raise CallerError(
            f"scenario {file}",
            found="neither [replay] nor [[answer]]",
            expected="what was under way and what the owner missed, or what somebody was told",
            mend=f"add it: {SHOWN}",
        )
    key = plugins.key(replay.key, f"scenario {file} · replay.key")
    for name in replay.operations:
        if name not in key.operations:
            raise CallerError(
                f"scenario {file} · replay.operations",
                found=name,
                expected=one_of(name, list(key.operations)),
                mend="`keyharness list` shows the operations of each key",
            )
    versions = _versions(asked.containers, replay, plugins) if asked.containers is not None else []
    run = RunDir(asked.reports.absolute() / new_run_name())
    bench, told = _bench(asked, file, scenario, versions, plugins, run.path)
    session = Session(
        Wanted(bench.file, (), tuple(replay.operations), asked.seed), plugins, "scenario", bench=bench
    )
    try:
        run.start({**run_head(session), "scenario": scenario.scenario.id})
        (run.path / "scenario.toml").write_bytes(file.read_bytes())
        player = ScenarioPlayer(
            session, scenario, run, trials=asked.trials, walk=asked.walk, progress=progress
        )
        played = Played(scenario, run.path)
        for name in told:
            played.told += player.play(name)
        if CONTROL in bench.rigs and asked.bench is None:
            played.control = player.play(CONTROL)
        if versions:
            played.gone, order = first_gone(
                versions, lambda version: any(one.reproduced for one in _noted(player, version, played))
            )
            played.versions = {version: played.versions[version] for version in sorted(order, key=_numbers)}
        run.merge_again()
        document = json.dumps(played.table() | {"run": run.name}, indent=1, sort_keys=True)
        (run.path / "scenario.json").write_text(document + "\n", encoding="utf-8")
        run.finish(complete=True, interrupted=False, duration_s=run.worked_s)
    finally:
        session.close()
    return played


def _ask(
    asked: Asked, file: Path, scenario: Scenario, plugins: Plugins, shown: Sequence[str], hidden: bool
) -> Played:
    """Ask the answers of a scenario: of the twin of its key, unless a bench is named."""
    if asked.containers is not None or asked.trials is not None or asked.walk is not None:
        raise CallerError(
            f"scenario {file}",
            found="options for cuts: --firmware, --trials or --cuts",
            expected="none of them: its answers are cases of suites, and nothing is cut",
        )
    bench = asked.bench
    if bench is None and scenario.scenario.key:
        about = scenario.scenario
        plugins.key(about.key, f"scenario {file} · scenario.key")
        text = bench_text(
            "scenario",
            [_twin(TOLD, about.key, _told(scenario))],
            f"Made by `keyharness run --scenario {file.name}`.",
        )
        bench = asked.reports.absolute() / "benches" / f"scenario-{about.id}.toml"
        parse_bench(text, str(bench), bench, plugins)
        replace_file(bench, text)
    held, run, code = hold(scenario, bench, asked.rigs, asked.seed, asked.reports, shown, hidden=hidden)
    return Played(scenario, run, held=held, run_code=code)


def _noted(player: ScenarioPlayer, version: str, played: Played) -> Sequence[Tried]:
    found = player.play(_rig_of(version))
    played.versions[version] = any(one.reproduced for one in found)
    return found


def _rig_of(version: str) -> str:
    return f"v{version}".lower().replace("+", "-")


def _numbers(version: str) -> tuple[tuple[int, ...], bool, str]:
    """By what versions are in order: a test version comes before the version that it is a test of."""
    core = version.partition("-")[0].partition("+")[0]
    return tuple(int(part) if part.isdigit() else 0 for part in core.split(".")), core == version, version


def _versions(where: Path, replay: Replay, plugins: Plugins) -> list[str]:
    """The versions of the containers in a folder, in order."""
    from harness.commands.update_matrix import describe

    files = sorted(where.glob("*.zip")) if where.is_dir() else [where]
    found = describe(files, replay.key, 0)
    for row in found:
        if row["fault"]:
            raise CallerError(str(row["fault"]))
    versions = sorted({str(row["version"]).removeprefix("v") for row in found}, key=_numbers)
    if len(versions) < 2:
        raise CallerError(
            f"--firmware {where}",
            found=", ".join(versions) or "no *.zip",
            expected="containers of two versions or more, to find the one from which on it is gone",
        )
    return versions


def _bench(
    asked: Asked, file: Path, scenario: Scenario, versions: Sequence[str], plugins: Plugins, run: Path
) -> tuple[LoadedBench, list[str]]:
    """The bench of a replay, and the rigs on which the failure is tried."""
    replay = scenario.replay
    assert replay is not None, "checked before"
    if asked.bench is not None:
        bench = load_bench(asked.bench, plugins)
        if versions:
            raise CallerError(
                "--firmware with --bench",
                found=bench.shown,
                expected="twins: a real key cannot go back to an earlier version",
                mend="leave one of the two out; update a real key, and replay the scenario again",
            )
        fitting = [name for name in bench.rigs if bench.key_name(name) == replay.key]
        chosen = [name for name in fitting if not asked.rigs or name in asked.rigs]
        for name in asked.rigs:
            if name not in fitting:
                raise CallerError(
                    f"--rig {name}",
                    found=name,
                    expected=f'a rig of {bench.shown} with the key "{replay.key}": {one_of(name, fitting)}',
                )
        if not chosen:
            raise CallerError(
                f"bench {bench.shown}",
                found="no rig with such a key",
                expected=f'a rig with the key "{replay.key}" of scenario {file}',
            )
        return bench, chosen
    rigs = [_twin(TOLD, replay.key, _told(scenario))]
    if replay.control:
        rigs.append(_twin(CONTROL, replay.key, replay.control))
    rigs += [_twin(_rig_of(version), replay.key, version) for version in versions]
    text = bench_text("scenario", rigs, f"Made by `keyharness run --scenario {file.name}`.")
    place = run / "bench.toml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    return parse_bench(text, str(place), place, plugins), [TOLD]


def _told(scenario: Scenario) -> str:
    """The firmware of the failure, without "v"; empty if nobody told it."""
    firmware = scenario.scenario.firmware
    return "" if firmware == UNKNOWN else firmware.removeprefix("v")


def _twin(name: str, key: str, personality: str) -> dict[str, Any]:
    rig: dict[str, Any] = {"name": name, "key": key, "driver": "virtual", "expendable": True}
    return {**rig, "twin": {"personality": personality}} if personality else rig


def show(played: Played, out: TextIO) -> None:
    """Write it for a person."""
    about = played.scenario.scenario
    out.write(f"scenario {about.id}" + (f" · {about.title}" if about.title else "") + "\n")
    if about.reference:
        out.write(f"  {about.reference}\n")
    if played.held:
        for held in played.held:
            word = "holds" if held.holds else "does not hold" if held.against else "not offered"
            out.write(f"  {word:<14}{held.passed} of {held.asked}   {held.says}\n")
            out.writelines(f"      against it: {node}\n" for node in held.against)
        out.write(f"\n  {sum(one.holds for one in played.held)} of {len(played.held)} answers hold\n")
        return
    out.write(f"  after the cut: {disturbed(played.scenario.step)}\n")
    for one in played.told:
        _show(one, out)
    for one in played.control:
        _show(one, out)
    if played.versions:
        out.write("\n  versions, as the model has them; no vendor firmware was executed\n")
        for version, shown in played.versions.items():
            out.write(f"    {version:<14} {'shows it' if shown else 'does not show it'}\n")
        said = f"from v{played.gone} on" if played.gone else "in none of them, or also in the first one"
        out.write(f"    model: not shown {said}\n")
    verdict = {0: "NOT REPRODUCED", 1: "REPRODUCED", 3: "INCONCLUSIVE: the control shows it, too"}
    kinds = ", ".join(sorted({one.evidence for one in played.told}))
    out.write(f"\n  {verdict.get(played.code, 'NOTHING TESTED')}   on {kinds}\n  evidence {played.run}\n")
    if played.code == 0:
        out.write("  What was not seen is not mended: the interval says how rare it may be.\n")


def _show(one: Tried, out: TextIO) -> None:
    out.write(f"\n  {one.rig} · {one.firmware} · {one.evidence} · {one.operation}\n")
    if one.lacking is not None:
        out.write(f"    not offered: {one.lacking}\n")
        return
    if one.walked:
        out.write(f"    {len(one.instants)} of {one.walked:,} modelled cuts show it\n")
    if (interval := one.interval) is not None:
        low, high = interval
        out.write(
            f"    {one.shown} of {one.trials:,} cuts at random instants show it "
            f"(95 %: {low:.2%} to {high:.2%} of instants)\n"
        )
    if one.left_out:
        out.write(f"    {one.left_out} more did not surely go inside the operation\n")
    for instant in one.instants[:INSTANTS_SHOWN]:
        out.write(f"      {instant.label:<12} {instant.where}\n")
    if len(one.instants) > INSTANTS_SHOWN:
        out.write(f"      and {len(one.instants) - INSTANTS_SHOWN} more\n")
    for action, said in one.after.items():
        words = said if isinstance(said, str) else f"{said[0]} of {said[1]} still show it"
        out.write(f"    then {action}: {words}\n")
    if one.instants:
        out.write(f"    keyharness replay {one.instants[0].replay} --bench RUN/bench.toml\n")
