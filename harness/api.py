"""What plugins may import from the core: one face, and nothing else.

A plugin that imports from here goes on working when modules of the core move. A name is loaded when it is first used,
so importing this module costs nothing. docs/api.md says what each name is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

_MODULES = {
    # Errors and blame, clocks, seeds, small files.
    "CallerError": "harness.base.errors",
    "Clock": "harness.base.clock",
    "HarnessFault": "harness.base.errors",
    "HostLate": "harness.base.errors",
    "KeyFault": "harness.base.errors",
    "KeyharnessError": "harness.base.errors",
    "MalformedAnswer": "harness.base.errors",
    "Busy": "harness.base.errors",
    "PowerCameBack": "harness.base.errors",
    "MonotonicClock": "harness.base.clock",
    "NoRoom": "harness.base.errors",
    "Refused": "harness.base.errors",
    "RigError": "harness.base.errors",
    "Stream": "harness.base.seeds",
    "unit": "harness.base.seeds",
    "child": "harness.base.seeds",
    "file_name": "harness.base.file_name",
    "expected_words": "harness.base.wording",
    "one_of": "harness.base.errors",
    "read_json": "harness.base.atomic_file",
    "read_limited": "harness.base.limited_file",
    "write_durably": "harness.base.atomic_file",
    # The words: keys, items, worlds, rigs, transports.
    "ANY": "harness.model.outcome",
    "Application": "harness.model.key",
    "BusIdentity": "harness.model.transport",
    "Cost": "harness.model.operation",
    "CutAction": "harness.model.cut_action",
    "CutInstant": "harness.model.instant",
    "EvidenceKind": "harness.model.rig",
    "Face": "harness.model.key",
    "FirmwareFile": "harness.model.update_file",
    "Handle": "harness.model.transport",
    "Ioctl": "harness.model.cut_action",
    "Item": "harness.model.operation",
    "Judgement": "harness.model.judge",
    "Key": "harness.model.key",
    "KeyGone": "harness.model.rig",
    "Kill": "harness.model.cut_action",
    "Law": "harness.model.outcome",
    "LiveCutter": "harness.model.rig_parts",
    "Look": "harness.model.memory",
    "MadeFirmware": "harness.model.update_file",
    "Memory": "harness.model.memory",
    "NamedHome": "harness.model.operation",
    "NextAction": "harness.model.operation",
    "Observation": "harness.model.outcome",
    "Operation": "harness.model.operation",
    "Outcome": "harness.model.outcome",
    "PairedWrite": "harness.model.operation",
    "PinGuard": "harness.model.rig_parts",
    "PinOffer": "harness.model.pin_offer",
    "PinReference": "harness.model.pin",
    "PowerSwitch": "harness.model.rig_parts",
    "Presence": "harness.model.rig_parts",
    "Reachable": "harness.model.transport",
    "Rig": "harness.model.rig",
    "RigInfo": "harness.model.rig_parts",
    "Severity": "harness.model.outcome",
    "Signer": "harness.model.update_file",
    "SwitchDelay": "harness.model.power_loss",
    "Mark": "harness.model.tap",
    "Tap": "harness.model.tap",
    "Touch": "harness.model.rig_parts",
    "TransportKind": "harness.model.transport",
    "Transports": "harness.model.transport",
    "UpdateSupport": "harness.model.update_file",
    "Value": "harness.model.outcome",
    "Vault": "harness.model.rig_parts",
    "World": "harness.model.operation",
    "Write": "harness.model.cut_action",
    "arrange_nothing": "harness.model.operation",
    "holds_nothing": "harness.model.key",
    "judge": "harness.model.judge",
    "new": "harness.model.operation",
    "old": "harness.model.operation",
    "pin_try": "harness.model.rig",
    "wrong_endpoint": "harness.model.transport",
    "wrong_pin": "harness.model.pin_offer",
    # The seam to Linux.
    "Cutter": "harness.host.cutter",
    "Found": "harness.host.scan",
    "HUB_CLASS": "harness.host.usb",
    "Host": "harness.host.host",
    "InUse": "harness.host.locks",
    "KernelLog": "harness.host.kernel_log",
    "Lock": "harness.host.locks",
    "PORT": "harness.host.usb",
    "UsbDevice": "harness.host.usb",
    "device_at": "harness.host.usb",
    "devices": "harness.host.usb",
    "here": "harness.host.host",
    "host_lock_dir": "harness.host.locks",
    "hub_of": "harness.host.usb",
    "new_file": "harness.host.scratch",
    "new_folder": "harness.host.scratch",
    "open_lock_file": "harness.host.locks",
    "port_folder": "harness.host.usb",
    "runtime_dir": "harness.host.locks",
    "wait_until": "harness.host.uevents",
    # What a simulated key stands on.
    "age": "harness.twin.aging",
    "AwaitTouch": "harness.twin.handlers",
    "Board": "harness.twin.board",
    "BoardState": "harness.twin.image",
    "Cancelled": "harness.twin.handlers",
    "CardDialog": "harness.twin.card_dialog",
    "CardFirmware": "harness.twin.card_firmware",
    "Command": "harness.twin.card_firmware",
    "Cut": "harness.twin.trace",
    "Damaged": "harness.twin.records",
    "Defect": "harness.twin.model",
    "Dfu": "harness.twin.usb_device.dfu",
    "Flash": "harness.twin.flash",
    "FlashOp": "harness.twin.parts",
    "GD25Q16": "harness.twin.parts",
    "Handler": "harness.twin.handlers",
    "HexTracer": "harness.twin.one_chip",
    "Hid": "harness.twin.usb_device.hid",
    "LAYERS": "harness.twin.flash_layers",
    "Layer": "harness.twin.flash_layers",
    "Leave": "harness.twin.handlers",
    "NRF52840_IFS": "harness.twin.parts",
    "OK": "harness.twin.card_firmware",
    "Offered": "harness.twin.model",
    "OneChipTwin": "harness.twin.one_chip",
    "Panic": "harness.twin.rail",
    "Part": "harness.twin.parts",
    "Plain": "harness.twin.flash_layers",
    "Platform": "harness.twin.platform",
    "PowerLost": "harness.twin.rail",
    "Reply": "harness.twin.handlers",
    "Step": "harness.twin.handlers",
    "Recorder": "harness.twin.recorder",
    "Recording": "harness.twin.trace",
    "Store": "harness.twin.littlefs_store",
    "StoreDamaged": "harness.twin.littlefs_store",
    "StoreFull": "harness.twin.littlefs_store",
    "Touched": "harness.twin.handlers",
    "Trace": "harness.twin.trace",
    "TwinModel": "harness.twin.model",
    "modules_in": "harness.twin.model",
    "TwinOptions": "harness.twin.model",
    "TwinRig": "harness.twin.rig",
    "cbor": "harness.twin",
    "cut_at": "harness.twin.trace",
    "differing_words": "harness.twin.image_files",
    "glass_box": "harness.twin.glass_box",
    "images": "harness.twin.trace",
    "layer_called": "harness.twin.flash_layers",
    "parsed_command": "harness.twin.card_firmware",
    "records": "harness.twin",
    "require_glass_box": "harness.twin.glass_box",
    "torn": "harness.twin.trace",
    "touch": "harness.twin.handlers",
    # What is written down.
    "now": "harness.evidence.ledger",
    "state_dir": "harness.evidence.ledger",
    # What keeps a key from harm.
    "candidates": "harness.safety.pins",
    "pin_for": "harness.safety.pins",
    # What a plugin hands in.
    "ACCEPTED": "harness.bench.firmware_updates",
    "ActuatorRequest": "harness.bench.plugin_api",
    "Advice": "harness.bench.ceremony",
    "CeremonyRules": "harness.bench.ceremony",
    "DamagedContainer": "harness.bench.firmware_updates",
    "Data": "harness.bench.firmware_updates",
    "Doing": "harness.bench.ceremony",
    "Driver": "harness.bench.plugin_api",
    "FirmwareUpdates": "harness.bench.firmware_updates",
    "NEVER_STARTS": "harness.bench.firmware_updates",
    "OperatorUpdate": "harness.bench.operator_update",
    "PowerDriver": "harness.bench.plugin_api",
    "Progress": "harness.bench.firmware_updates",
    "REFUSED": "harness.bench.firmware_updates",
    "RigRequest": "harness.bench.plugin_api",
    "SlowBoot": "harness.bench.firmware_updates",
    "Suite": "harness.bench.plugin_api",
    "TAKEN": "harness.bench.firmware_updates",
    "TouchDriver": "harness.bench.plugin_api",
    "UNCHANGED": "harness.bench.firmware_updates",
    "UpdateContainer": "harness.bench.firmware_updates",
    "UpdateRefused": "harness.bench.firmware_updates",
    "UpdaterKilled": "harness.bench.firmware_updates",
    "VersionPair": "harness.bench.firmware_updates",
    "discover": "harness.bench.registry",
    "hookimpl": "harness.bench.plugin_api",
    # Campaigns, for suites.
    "Home": "harness.campaign.home",
    "Seen": "harness.campaign.observe",
    "drifts": "harness.campaign.paired_writes",
    "go_home": "harness.campaign.home",
    "interrupt": "harness.campaign.interruption",
    "observe": "harness.campaign.observe",
    "restart_breaches": "harness.campaign.home",
    "seeded": "harness.campaign.home",
    # The pytest plugin, for suites.
    "NOT_OFFERED": "harness.pytest_plugin.cases",
    "deviates": "harness.pytest_plugin.deviations",
    "session_of": "harness.pytest_plugin.options",
}
"""Name -> the module of the core that defines it, or the package of a module that is offered whole."""


def __dir__() -> list[str]:
    return sorted(_MODULES)


if TYPE_CHECKING:
    from harness.base.atomic_file import read_json as read_json, write_durably as write_durably
    from harness.base.clock import Clock as Clock, MonotonicClock as MonotonicClock
    from harness.base.errors import (
        CallerError as CallerError,
        HarnessFault as HarnessFault,
        HostLate as HostLate,
        KeyFault as KeyFault,
        KeyharnessError as KeyharnessError,
        Busy as Busy,
        PowerCameBack as PowerCameBack,
        MalformedAnswer as MalformedAnswer,
        NoRoom as NoRoom,
        Refused as Refused,
        RigError as RigError,
        one_of as one_of,
    )
    from harness.base.wording import expected_words as expected_words
    from harness.base.file_name import file_name as file_name
    from harness.base.limited_file import read_limited as read_limited
    from harness.base.seeds import Stream as Stream, child as child, unit as unit
    from harness.bench.ceremony import Advice as Advice, CeremonyRules as CeremonyRules, Doing as Doing
    from harness.bench.firmware_updates import (
        ACCEPTED as ACCEPTED,
        DamagedContainer as DamagedContainer,
        Data as Data,
        FirmwareUpdates as FirmwareUpdates,
        NEVER_STARTS as NEVER_STARTS,
        Progress as Progress,
        REFUSED as REFUSED,
        SlowBoot as SlowBoot,
        TAKEN as TAKEN,
        UNCHANGED as UNCHANGED,
        UpdateContainer as UpdateContainer,
        UpdateRefused as UpdateRefused,
        UpdaterKilled as UpdaterKilled,
        VersionPair as VersionPair,
    )
    from harness.bench.operator_update import OperatorUpdate as OperatorUpdate
    from harness.bench.plugin_api import (
        ActuatorRequest as ActuatorRequest,
        Driver as Driver,
        PowerDriver as PowerDriver,
        RigRequest as RigRequest,
        Suite as Suite,
        TouchDriver as TouchDriver,
        hookimpl as hookimpl,
    )
    from harness.bench.registry import discover as discover
    from harness.campaign.home import (
        Home as Home,
        go_home as go_home,
        restart_breaches as restart_breaches,
        seeded as seeded,
    )
    from harness.campaign.interruption import interrupt as interrupt
    from harness.campaign.observe import Seen as Seen, observe as observe
    from harness.campaign.paired_writes import drifts as drifts
    from harness.evidence.ledger import now as now, state_dir as state_dir
    from harness.host.cutter import Cutter as Cutter
    from harness.host.host import Host as Host, here as here
    from harness.host.kernel_log import KernelLog as KernelLog
    from harness.host.locks import (
        InUse as InUse,
        Lock as Lock,
        host_lock_dir as host_lock_dir,
        open_lock_file as open_lock_file,
        runtime_dir as runtime_dir,
    )
    from harness.host.scratch import new_file as new_file, new_folder as new_folder
    from harness.host.scan import Found as Found
    from harness.host.uevents import wait_until as wait_until
    from harness.host.usb import (
        HUB_CLASS as HUB_CLASS,
        PORT as PORT,
        UsbDevice as UsbDevice,
        device_at as device_at,
        devices as devices,
        hub_of as hub_of,
        port_folder as port_folder,
    )
    from harness.model.cut_action import CutAction as CutAction, Ioctl as Ioctl, Kill as Kill, Write as Write
    from harness.model.instant import CutInstant as CutInstant
    from harness.model.judge import Judgement as Judgement, judge as judge
    from harness.model.key import (
        Application as Application,
        Face as Face,
        Key as Key,
        holds_nothing as holds_nothing,
    )
    from harness.model.memory import Look as Look, Memory as Memory
    from harness.model.operation import (
        Cost as Cost,
        Item as Item,
        NamedHome as NamedHome,
        NextAction as NextAction,
        Operation as Operation,
        PairedWrite as PairedWrite,
        World as World,
        arrange_nothing as arrange_nothing,
        new as new,
        old as old,
    )
    from harness.model.outcome import (
        ANY as ANY,
        Law as Law,
        Observation as Observation,
        Outcome as Outcome,
        Severity as Severity,
        Value as Value,
    )
    from harness.model.pin import PinReference as PinReference
    from harness.model.pin_offer import PinOffer as PinOffer, wrong_pin as wrong_pin
    from harness.model.power_loss import SwitchDelay as SwitchDelay
    from harness.model.rig import (
        EvidenceKind as EvidenceKind,
        KeyGone as KeyGone,
        Rig as Rig,
        pin_try as pin_try,
    )
    from harness.model.rig_parts import (
        LiveCutter as LiveCutter,
        PinGuard as PinGuard,
        PowerSwitch as PowerSwitch,
        Presence as Presence,
        RigInfo as RigInfo,
        Touch as Touch,
        Vault as Vault,
    )
    from harness.model.tap import Mark as Mark, Tap as Tap
    from harness.model.transport import (
        BusIdentity as BusIdentity,
        Handle as Handle,
        Reachable as Reachable,
        TransportKind as TransportKind,
        Transports as Transports,
        wrong_endpoint as wrong_endpoint,
    )
    from harness.model.update_file import (
        FirmwareFile as FirmwareFile,
        MadeFirmware as MadeFirmware,
        Signer as Signer,
        UpdateSupport as UpdateSupport,
    )
    from harness.pytest_plugin.cases import NOT_OFFERED as NOT_OFFERED
    from harness.pytest_plugin.deviations import deviates as deviates
    from harness.pytest_plugin.options import session_of as session_of
    from harness.safety.pins import candidates as candidates, pin_for as pin_for
    from harness.twin import cbor as cbor, records as records
    from harness.twin.aging import age as age
    from harness.twin.board import Board as Board
    from harness.twin.card_dialog import CardDialog as CardDialog
    from harness.twin.card_firmware import (
        CardFirmware as CardFirmware,
        Command as Command,
        OK as OK,
        parsed_command as parsed_command,
    )
    from harness.twin.flash import Flash as Flash
    from harness.twin.flash_layers import (
        LAYERS as LAYERS,
        Layer as Layer,
        Plain as Plain,
        layer_called as layer_called,
    )
    from harness.twin.glass_box import glass_box as glass_box, require_glass_box as require_glass_box
    from harness.twin.handlers import (
        AwaitTouch as AwaitTouch,
        Cancelled as Cancelled,
        Handler as Handler,
        Leave as Leave,
        Reply as Reply,
        Step as Step,
        Touched as Touched,
        touch as touch,
    )
    from harness.twin.image import BoardState as BoardState
    from harness.twin.image_files import differing_words as differing_words
    from harness.twin.littlefs_store import (
        Store as Store,
        StoreDamaged as StoreDamaged,
        StoreFull as StoreFull,
    )
    from harness.twin.model import (
        Defect as Defect,
        Offered as Offered,
        TwinModel as TwinModel,
        modules_in as modules_in,
        TwinOptions as TwinOptions,
    )
    from harness.twin.one_chip import HexTracer as HexTracer, OneChipTwin as OneChipTwin
    from harness.twin.parts import (
        FlashOp as FlashOp,
        GD25Q16 as GD25Q16,
        NRF52840_IFS as NRF52840_IFS,
        Part as Part,
    )
    from harness.twin.platform import Platform as Platform
    from harness.twin.rail import Panic as Panic, PowerLost as PowerLost
    from harness.twin.records import Damaged as Damaged
    from harness.twin.recorder import Recorder as Recorder
    from harness.twin.rig import TwinRig as TwinRig
    from harness.twin.trace import (
        Cut as Cut,
        Recording as Recording,
        Trace as Trace,
        cut_at as cut_at,
        images as images,
        torn as torn,
    )
    from harness.twin.usb_device.dfu import Dfu as Dfu
    from harness.twin.usb_device.hid import Hid as Hid
else:

    def __getattr__(name: str) -> object:
        """Load a name of the core (PEP 562)."""
        home = _MODULES.get(name)
        if home is None:
            raise AttributeError(
                f"module {__name__!r} has no attribute {name!r}: docs/api.md lists what it offers"
            )
        package = import_module(home)
        # A module that is offered whole is no attribute of its package before somebody has imported it.
        value = getattr(package, name) if hasattr(package, name) else import_module(f"{home}.{name}")
        globals()[name] = value
        return value
