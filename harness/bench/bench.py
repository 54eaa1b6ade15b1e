"""A bench: the rigs of one host, as a TOML file says."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.base.errors import CallerError, RigError, one_of
from harness.base.limited_file import read_limited_text
from harness.base.visible import visible
from harness.bench.calibration import rested
from harness.bench.deviations import AcceptedDeviation, check_deviations
from harness.bench.misfit import misfit
from harness.bench.plugin_api import Actuator, RigRequest
from harness.bench.registry import Plugins
from harness.model.operation import FRESH
from harness.model.rig import Rig
from harness.safety.budget import Grants
from harness.safety.pins import refuse_pins_in

NAME = r"^[a-z0-9][a-z0-9._-]*$"
DEFAULT_BENCH = "virtual.toml"
"""The bench file that is used when none is named: the first plugin's that has one of this name."""
_OWN = (
    *("name", "key", "driver", "expendable", "firmware", "operations", "identity", "bootloader", "on_stuck"),
    *("budget", "hub", "supply", "homes", "home_cuts", "cuts", "second_cuts", "extra", "suites"),
)


class RigEntry(BaseModel):
    """The entry of one rig. Settings that are not named here belong to its driver."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(pattern=NAME)
    key: str
    driver: str
    expendable: bool = False
    identity: str | None = None
    """The identity of the rig's key, as `keyharness enroll` found it; a real key is not written to without it."""
    bootloader: str | None = Field(default=None, pattern=r"^serial:\S+$")
    """The serial number that this key shows in its bootloader, as `keyharness enroll` found it: "serial:..."."""
    on_stuck: Literal["recover", "preserve"] = "recover"
    """What `keyharness recover` does with a dead key: "preserve" leaves it as it is, for examination."""
    budget: Grants = Grants()
    hub: str | None = Field(default=None, min_length=1)
    """Any name of the hub that the rig hangs on; rigs of one hub fail together."""
    supply: str | None = Field(default=None, min_length=1)
    """The same of its power supply."""
    firmware: Path | None = None
    """The update container to install; relative to the folder of the bench file."""
    operations: list[str] | None = None
    """The operations that are cut on this rig; all operations of the key if None."""
    homes: list[str] | None = Field(default=None, min_length=1)
    """The homes from which they are cut; None: every cut from the fresh one, and a few from each of the others."""
    home_cuts: int | None = Field(default=None, ge=1)
    """Evenly spread cuts into each operation from each home after the first of `homes`; None: every cut."""
    cuts: int | None = Field(default=None, ge=1)
    """Evenly spread cuts into each operation, where no budget says otherwise; None: every cut. For a simulated key."""
    second_cuts: bool = True
    """Whether boots after a cut are cut as well, where no budget limits a simulated key's run."""
    extra: bool = False
    """Whether the rig takes part only in runs that name it, or that name no rig, operation, home and budget."""
    suites: list[str] | None = Field(default=None, min_length=1)
    """The suites that are run on this rig, or files of them: "conformance/test_config.py"; all if None."""


class Bench(BaseModel):
    """A bench file."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="bench", pattern=NAME)
    rig: list[RigEntry] = Field(min_length=1)
    deviation: list[AcceptedDeviation] = []
    """What is known of the keys and accepted: it does not fail a run."""


@dataclass(frozen=True)
class _Checked:
    """A rig's entry, checked, with its drivers' options."""

    entry: RigEntry
    options: Any
    power: Actuator | None = None
    touch: Actuator | None = None


class LoadedBench:
    """A checked bench; rigs are made on demand.

    :ivar shown: what messages call the file.
    :ivar file: the file that it was read from.
    """

    def __init__(self, bench: Bench, shown: str, plugins: Plugins, file: Path | None = None):
        # It gets into messages, evidence and reports: a file's name may hold what nobody can print.
        self.bench, self.shown, self.plugins = bench, visible(shown), plugins
        self.file = file or Path(shown)
        names = [entry.name for entry in bench.rig]
        for name in names:
            if names.count(name) > 1:
                raise CallerError(
                    f'{shown}: rig "{name}"',
                    found=f"{names.count(name)} rigs of that name",
                    expected="a name for each rig",
                    mend="rename one",
                )
        self._requests = {entry.name: self._check(entry) for entry in bench.rig}
        self._refuse_shared_channels()
        check_deviations(bench.deviation, shown, names)

    @property
    def deviations(self) -> list[AcceptedDeviation]:
        """What is known of the keys and accepted."""
        return self.bench.deviation

    @property
    def rigs(self) -> list[str]:
        return list(self._requests)

    def _refuse_shared_channels(self) -> None:
        """Several rigs may share a board, but not one channel of it, and not a USB port."""
        users: dict[str, str] = {}
        for name, checked in self._requests.items():
            if (port := self.usb_port(name)) is not None:
                place, user = f"USB port {port}", f'rig "{name}"'
                if place in users:
                    raise CallerError(
                        f"{self.shown}: {user} · port",
                        found=f"{port}, where {users[place]} is",
                        expected="a port of its own",
                        mend="name the port that its key hangs on; `keyharness list --hubs` shows them",
                    )
                users[place] = user
            for kind in ("power", "touch"):
                actuator: Actuator | None = getattr(checked, kind)
                if actuator is None:
                    continue
                user = f'rig "{name}" · {kind}'
                if actuator.channel in users:
                    raise CallerError(
                        f"{self.shown}: {user}",
                        found=f"{actuator.channel}, which {users[actuator.channel]} has",
                        expected="a channel of its own",
                        mend="give one of them another channel",
                    )
                users[actuator.channel] = user

    def _check(self, entry: RigEntry) -> _Checked:
        where = f'{self.shown}: rig "{entry.name}"'
        self.plugins.key(entry.key, f"{where} · key")
        driver = self.plugins.driver(entry.driver, f"{where} · driver")
        offered = list(self.plugins.keys[entry.key].operations)
        for name in entry.operations or ():
            if name not in offered:
                raise CallerError(
                    f"{where} · operations", found=f'"{name}"', expected=one_of(name, sorted(offered))
                )
        homes = [FRESH, *self.plugins.keys[entry.key].homes]
        for name in entry.homes or ():
            if name not in homes:
                raise CallerError(f"{where} · homes", found=f'"{name}"', expected=one_of(name, homes))
        for name in entry.suites or ():
            self._check_suite(name, f"{where} · suites")
        settings = {name: value for name, value in entry if name not in _OWN}
        actuators = {}
        if driver.actuated:
            for kind in ("power", "touch"):
                actuators[kind] = self._actuator(kind, settings.pop(kind, None), f"{where} · {kind}")
        try:
            options = driver.options.model_validate(settings)
        except ValidationError as error:
            raise misfit(error, where, driver.options) from None
        port = getattr(options, "port", None)
        placed = {kind: replace(one, port=port) for kind, one in actuators.items() if one is not None}
        return _Checked(entry, options, **placed)

    def _check_suite(self, name: str, where: str) -> None:
        suite, _, file = name.partition("/")
        known = sorted(path.name for path in self.plugins.suite(suite).path.glob("test_*.py"))
        if file and file not in known:
            raise CallerError(where, found=f'"{name}"', expected=f"a file of {suite}: {one_of(file, known)}")

    def _actuator(self, kind: Literal["power", "touch"], table: Any, where: str) -> Actuator | None:
        if table is None:
            return None
        if not isinstance(table, dict) or not isinstance(table.get("driver"), str):
            raise CallerError(
                where,
                found=repr(table),
                expected=f"a table with the name of a {kind} driver",
                mend=f'e.g. [rig.{kind}] driver = "{min(getattr(self.plugins, kind), default="...")}"',
            )
        driver = self.plugins.actuator(kind, table["driver"], f"{where}.driver")
        settings = {name: value for name, value in table.items() if name != "driver"}
        try:
            return Actuator(driver, driver.options.model_validate(settings))
        except ValidationError as error:
            raise misfit(error, where, driver.options, inside=True) from None

    def key_name(self, rig: str) -> str:
        return self._requests[rig].entry.key

    def settings(self, rig: str) -> RigEntry:
        """Return the entry of a rig."""
        return self._requests[rig].entry

    def operations(self, rig: str) -> list[str]:
        """Return the operations that are cut on a rig, in the order of the key."""
        entry = self._requests[rig].entry
        offered = list(self.plugins.keys[entry.key].operations)
        return [name for name in offered if entry.operations is None or name in entry.operations]

    def runs(self, rig: str, file: Path) -> bool:
        """Return whether a file of a suite is run on a rig."""
        wanted = self._requests[rig].entry.suites
        suite = file.parent.name
        return wanted is None or suite in wanted or f"{suite}/{file.name}" in wanted

    def asks(self, rig: str, suite: str) -> bool:
        """Return whether a rig runs a suite, or a file of it."""
        wanted = self._requests[rig].entry.suites
        return wanted is None or any(name.partition("/")[0] == suite for name in wanted)

    def is_expendable(self, rig: str) -> bool:
        return self._requests[rig].entry.expendable

    def is_actuated(self, name: str) -> bool:
        """Return whether a rig has tables for power and touch."""
        return self.plugins.drivers[self._requests[name].entry.driver].actuated

    def usb_port(self, name: str) -> str | None:
        """Return the USB port of a rig's key, as sysfs names it; None for a rig without one."""
        checked = self._requests[name]
        port = getattr(checked.options, "port", None)
        return str(port) if self.is_actuated(name) and port is not None else None

    def actuator(self, name: str, kind: Literal["power", "touch"]) -> Actuator | None:
        """Return what switches a rig's power, or touches its key; None if the bench names nothing."""
        checked = self._requests[name]
        return checked.power if kind == "power" else checked.touch

    def wiring(self, name: str) -> str:
        """Describe how a rig is powered and reached; the text changes only if the bench changes."""
        checked = self._requests[name]
        port = getattr(checked.options, "port", None)
        words = [checked.entry.driver + (f" {port}" if port else "")]
        if checked.power is not None:
            words.append(f"power {checked.power.driver.name}, {checked.power.channel}")
        return "; ".join(words)

    def make(
        self,
        name: str,
        seed: int,
        *,
        rest_s: float | None = None,
        served: bool = False,
        called: str | None = None,
    ) -> Rig:
        """Make a rig.

        :param called: another name for it: a second simulated key with the same settings.
        :param rest_s: shortest time in seconds that the key stays without power, for measuring it; None means the
            bench's, the calibrated or the driver's own.
        :param served: other programs will use the key, and this one only switches and touches it.
        :raises CallerError: no such rig, or settings that do not fit the key.
        :raises RigError: the rig does not answer.
        """
        if name not in self._requests:
            raise CallerError(
                f'rig "{name}"',
                found=name,
                expected=f"a rig of {self.shown}: {one_of(name, self.rigs)}",
                mend=f"name one of these, or add it to {self.shown}",
            )
        checked = self._requests[name]
        entry = checked.entry
        driver = self.plugins.drivers[entry.driver]
        key = self.plugins.keys[entry.key]
        wiring = self.wiring(name)
        options, power = rested(checked.options, checked.power, wiring, rest_s)
        request = RigRequest(
            called or name,
            key,
            entry.expendable,
            seed,
            options,
            power,
            checked.touch,
            self.plugins.twins.get(key.name),
            entry.identity,
        )
        try:
            rig = (driver.serve if served and driver.serve else driver.make)(request)
        except (CallerError, RigError) as error:
            error.what = f"{self.shown}: {error.what}"
            raise
        rig.wiring = wiring
        shared = {"hub": entry.hub, "supply": entry.supply}
        rig.domains += tuple(f"{kind} {named}" for kind, named in shared.items() if named is not None)
        if entry.firmware is not None:
            rig.firmware_file = self._firmware(name, self.file.parent / entry.firmware)
        return rig

    def _firmware(self, rig: str, path: Path) -> Path:
        if not path.is_file():
            raise CallerError(
                f'{self.shown}: rig "{rig}" · firmware',
                found=f"no file {path}",
                expected="an update container",
            )
        return path


def find_bench(path: Path | None, plugins: Plugins) -> Path:
    """Return the file that `--bench` names: that path, or else a plugin's bench file of that name.

    :param path: None means the default bench.
    :raises CallerError: no bench is named, and no plugin has the default one.
    """
    if path is None:
        default = plugins.bench_file(DEFAULT_BENCH)
        if default is None:
            raise CallerError(
                "bench",
                found=f"no plugin that has {DEFAULT_BENCH}",
                expected="a bench",
                mend="name one with --bench",
            )
        return default
    # Path.exists() raises for a name that is too long; reading the file says so in words.
    return path if os.path.exists(path) else plugins.bench_file(path.name) or path


def key_name(given: str | None, plugins: Plugins) -> str:
    """Return the name of a key; that of the default bench's first rig if none is given.

    :raises CallerError: none is given, and there is no default bench.
    """
    return given or load_bench(None, plugins).bench.rig[0].key


def load_bench(path: Path | None, plugins: Plugins) -> LoadedBench:
    """Read and check the bench file that `--bench` names; None means the default bench.

    :raises CallerError: there is none, it is unreadable, not TOML, or not a bench.
    """
    file = find_bench(path, plugins)
    shown = str(path) if path else file.name
    text = read_limited_text(file, "a bench file", what=f"bench {shown}", mend="docs/rigs.md shows one")
    return parse_bench(text, shown, file, plugins)


def parse_bench(text: str, shown: str, file: Path, plugins: Plugins) -> LoadedBench:
    """Check the text of a bench file.

    :param shown: what messages call the file.
    :param file: where the text stands, or will stand; paths in it are relative to its folder.
    :raises CallerError: the text is not TOML, or not a bench.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CallerError(
            f"bench {shown}", found=str(error), expected="TOML", mend="mend that line"
        ) from None
    except RecursionError:
        raise CallerError(
            f"bench {shown}",
            found="lists or tables inside each other, hundreds deep",
            expected="a bench",
            mend="docs/rigs.md shows benches",
        ) from None
    refuse_pins_in(raw, shown)
    try:
        bench = Bench.model_validate(raw)
    except ValidationError as error:
        raise misfit(error, shown, Bench, raw) from None
    return LoadedBench(bench, shown, plugins, file)
