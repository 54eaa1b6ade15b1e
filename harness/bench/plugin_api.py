"""The hooks by which plugins offer keys, drivers, suites and more.

Any distribution may offer a plugin module under the entry-point group `keyharness`. The module implements some of
these hooks with `@hookimpl`. Keyharness's own plugins do it in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pydantic import BaseModel

    from harness.base.clock import Clock
    from harness.bench.ceremony import CeremonyRules
    from harness.bench.firmware_updates import FirmwareUpdates
    from harness.bench.operator_update import OperatorUpdate
    from harness.host.host import Host
    from harness.host.scan import Found
    from harness.model.key import Key
    from harness.model.rig import Rig
    from harness.model.rig_parts import PowerSwitch, Touch
    from harness.model.transport import TransportKind
    from harness.model.update_file import UpdateSupport
    from harness.twin.model import TwinModel

GROUP = "keyharness"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True)
class Actuator:
    """A power or touch driver with its settings from a bench.

    :ivar port: the USB port of its rig; None if the rig has none.
    """

    driver: PowerDriver | TouchDriver
    options: Any
    port: str | None = None

    @property
    def channel(self) -> str:
        return self.driver.channel(self.options).replace("{port}", self.port or "unknown")


@dataclass(frozen=True)
class RigRequest:
    """What a driver makes a rig from.

    :ivar options: an instance of the driver's own options model.
    :ivar power: what switches the power, for a driver that is `actuated`; None if the bench names nothing.
    :ivar touch: what touches the key; None likewise.
    :ivar twin: how to simulate the key; None if no plugin offers a twin of it.
    :ivar identity: of the key, as the bench has it ("uuid:...", "serial:..."); a rig may look for the key by it.
    """

    name: str
    key: Key
    expendable: bool
    seed: int
    options: Any
    power: Actuator | None = None
    touch: Actuator | None = None
    twin: TwinModel | None = None
    identity: str | None = None


@dataclass(frozen=True)
class Driver:
    """A way to power and reach a key.

    :param options: pydantic model of the settings of such a rig, apart from those that every rig has.
    :param make: makes the rig; raises CallerError for settings that do not fit, RigError for a rig that does not
        answer.
    :param actuated: its rigs have the tables `[rig.power]` and `[rig.touch]`.
    :param simulated: its rigs are twins: each starts from the firmware version that `[rig.twin] version` names, and
        one bench may have any number of them.
    :param enrol: returns the settings for reaching a device that was found; None if the driver cannot reach it.
    :param serve: makes the rig that `keyharness serve` offers: its key is reached by other programs
        (`Rig.reached_by`), and Keyharness only switches and touches it. None if what `make` makes will do.
    """

    name: str
    title: str
    options: type[BaseModel]
    make: Callable[[RigRequest], Rig]
    enrol: Callable[[Found], Mapping[str, Any] | None] | None = None
    actuated: bool = False
    simulated: bool = False
    serve: Callable[[RigRequest], Rig] | None = None


@dataclass(frozen=True)
class ActuatorRequest:
    """What a power or touch driver makes its part of a rig from.

    :ivar rig: the rig's name, for messages.
    :ivar options: an instance of the driver's own options model.
    :ivar port: the USB port of the key, as sysfs names it ("1-1.4.1"); None if the rig has none.
    """

    rig: str
    options: Any
    port: str | None
    host: Host
    clock: Clock


@dataclass(frozen=True)
class PowerDriver:
    """A way to switch a key's power.

    :param options: pydantic model of `[rig.power]`, without `driver`.
    :param make: raises CallerError for settings that do not fit, RigError for a board that does not answer.
    :param channel: names the channel that no second rig may use, always alike ("lcus /dev/ttyUSB0 channel 1");
        `{port}` in it stands for the rig's own USB port.
    :param boards: (idVendor, idProduct) -> name of each device that the driver opens itself: users need a udev rule.
    """

    name: str
    title: str
    options: type[BaseModel]
    make: Callable[[ActuatorRequest], PowerSwitch]
    channel: Callable[[Any], str]
    boards: Mapping[tuple[int, int], str] = field(default_factory=dict)


@dataclass(frozen=True)
class TouchDriver:
    """A way to touch a key; like PowerDriver, for `[rig.touch]`."""

    name: str
    title: str
    options: type[BaseModel]
    make: Callable[[ActuatorRequest], Touch]
    channel: Callable[[Any], str]


@dataclass(frozen=True)
class Suite:
    """A folder of pytest files that ask something of a key.

    :param application: the application that its tests ask; a key without it is not asked, and the case is "not
        offered". A file or a test says another one with `@pytest.mark.needs_application("admin")`, and none with
        `needs_application()`. "" is none.
    """

    name: str
    title: str
    path: Path
    application: str = ""


class Specs:
    """The hooks that a plugin may implement."""

    @hookspec
    def keyharness_keys(self) -> Sequence[Key]:
        """Models of keys."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_twins(self) -> Mapping[str, TwinModel]:
        """Simulated keys, each by the name of its key."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_updates(self) -> Mapping[str, UpdateSupport]:
        """What is known of the updates of keys, each by the name of its key."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_update_rules(self) -> Mapping[str, FirmwareUpdates]:
        """What the downgrade suite asks of keys whose firmware can be updated, each by the name of its key."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_ceremonies(self) -> Mapping[str, CeremonyRules[Any]]:
        """Steps of ceremonies with several simulated keys, each by the name of its key."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_operator_updates(self) -> Mapping[str, OperatorUpdate]:
        """Updates that an operator does in a service of the maker, each by the name of its key."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_drivers(self) -> Sequence[Driver]:
        """Drivers for rigs."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_power(self) -> Sequence[PowerDriver]:
        """Ways to switch power."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_touch(self) -> Sequence[TouchDriver]:
        """Ways to touch a key."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_benches(self) -> Sequence[Path]:
        """Folders with bench files (`*.toml`), which `--bench` finds by their names."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_field(self) -> Sequence[Path]:
        """Files with formats of logs and signatures of failures (docs/field.md)."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_scenarios(self) -> Sequence[Path]:
        """Folders with scenario files (`*.toml`), which `run --scenario` finds by their names (docs/field.md)."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_transports(self) -> Sequence[TransportKind[Any]]:
        """Ways to talk to a key."""
        raise AssertionError("a specification is not called")

    @hookspec
    def keyharness_suites(self) -> Sequence[Suite]:
        """Folders of tests."""
        raise AssertionError("a specification is not called")
