"""A USB hub that switches its ports one by one.

Through sysfs if possible (`<hub>-port<N>/disable`, Linux 6.0 and later: the kernel sees the disconnect at once), else
by CLEAR_FEATURE and SET_FEATURE of PORT_POWER (hubrequests.py). Both halves of a USB 3 hub are switched; otherwise
VBUS stays on.

Through sysfs the kernel takes the device off the bus before it takes the power (disable_store in
drivers/usb/core/port.c): some ms, not always the same, lie between the instant of a cut and the loss of power. With
`way = "both"` the hub is asked first, and then the kernel is told.

Many hubs report that they switch each port and leave VBUS on: only `keyharness calibrate` proves it.
Source: Linux Documentation/ABI/testing/sysfs-bus-usb; USB 2.0, chapter 11; USB 3.2, chapter 10; how halves are
paired and what hubs get wrong: mvp/uhubctl at 2985dfc and its issues.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from harness.api import ActuatorRequest, CallerError, PowerDriver, PowerSwitch, RigError, hub_of
from harness_rigs.power import hubrequests
from harness_rigs.power.board_errors import Unexpected, explain, place_of
from harness_rigs.power.hubport import Half, HubPort, Way
from harness_rigs.power.hubrequests import HubDescriptor
from harness_rigs.power.hubtree import Hub, connect_type, hub, hubs, linked_peer, on_port, same_tail
from harness_rigs.power.switch import ChannelSwitch, SwitchOptions
from harness_rigs.power.usbdevice import opened, usb_node

LOOK = "`keyharness list --hubs` shows hubs and what is on each port"


class HubOptions(SwitchOptions):
    """Settings of `[rig.power]` with a hub; by default hub and port follow from the rig's port."""

    hub: str | None = None
    """As sysfs names it: "1-1.4", or "usb1" for a root hub."""
    port: int | None = Field(default=None, ge=1)
    way: Way = "auto"
    """`auto`: sysfs if it is there and permitted, else a request; `both`: a request, then sysfs."""


@dataclass(frozen=True)
class _Asked:
    """A request whose hub has been found."""

    request: ActuatorRequest
    hub: Hub
    number: int

    @property
    def place(self) -> str:
        return place_of(self.request)

    def refuse(self, found: str, expected: str, mend: str = LOOK) -> CallerError:
        return CallerError(f"{self.place}.port", found=found, expected=expected, mend=mend)


def _make(request: ActuatorRequest) -> PowerSwitch:
    options: HubOptions = request.options
    asked = _find(request)
    described = _ask(asked, asked.hub, lambda usb: hubrequests.descriptor(usb, asked.hub.superspeed))
    _refuse_unfit(asked, described)
    first, *others = _halves(asked)
    _refuse_other_devices(asked, [first, *others])
    return ChannelSwitch(
        request, HubPort(request, [first, *others], options.way), off_time_s=options.off_time_s
    )


def _find(request: ActuatorRequest) -> _Asked:
    options: HubOptions = request.options
    place = place_of(request)
    name, number = hub_of(request.port) if request.port else (None, None)
    if options.hub is not None and options.hub != name:
        name, number = options.hub, None
    number = options.port or number
    if name is None or number is None:
        raise CallerError(
            f"{place}.{'port' if name else 'hub'}",
            found="nothing",
            expected="a hub and a port of it, or a rig with a `port` from which they follow",
            mend=LOOK,
        )
    found = hub(request.host, name)
    if found is None:
        there = ", ".join(f"{one.name} ({one.ports} ports)" for one in hubs(request.host))
        raise CallerError(
            f"{place}.hub", found=name, expected=f"a hub that is there: {there or 'none is'}", mend=LOOK
        )
    return _Asked(request, found, number)


def _refuse_unfit(asked: _Asked, described: HubDescriptor) -> None:
    """Refuse a port that the hub does not have, that it cannot switch, or that has a built-in device."""
    shown = f"hub {asked.hub.name} ({asked.hub.ids})"
    if asked.number > described.ports:
        raise asked.refuse(
            str(asked.number), f"a port of hub {asked.hub.name}, which has 1-{described.ports}"
        )
    if described.switching != hubrequests.EACH:
        how = "all of its ports at once" if described.switching == hubrequests.GANGED else "no port's power"
        raise CallerError(
            f"{asked.place}.hub",
            found=f"{shown} switches {how}",
            expected="a hub that switches each port by itself",
            mend="use a relay, or a hub that does; docs/rigs-power.md lists some",
        )
    kind = connect_type(asked.hub, asked.number)
    if asked.number in described.fixed or kind in ("hardwired", "not used"):
        what = "has no socket" if kind == "not used" else "has a built-in device"
        raise asked.refuse(f"port {asked.number} of {shown} {what}", "a port with a socket")


def _halves(asked: _Asked) -> list[Half]:
    """The port on each half; first the half that the key is on."""
    mine = Half(asked.hub, asked.number)
    peer = linked_peer(asked.request.host, asked.hub, asked.number)
    other = Half(*peer) if peer else _paired(asked)
    if other is None:
        return [mine]
    port = asked.request.port
    mine_first = mine.name == port if port in (mine.name, other.name) else not mine.hub.superspeed
    return [mine, other] if mine_first else [other, mine]


def _paired(asked: _Asked) -> Half | None:
    """The other half by its container id, for kernels that link no ports."""
    others = [
        one
        for one in hubs(asked.request.host)
        if one.superspeed != asked.hub.superspeed and one.ports == asked.hub.ports
    ]
    if not others or (container := _ask(asked, asked.hub, hubrequests.container_id)) is None:
        return None
    fitting = [one for one in others if _ask(asked, one, hubrequests.container_id) == container]
    # Some makers give all of their hubs the same id.
    near = [one for one in fitting if same_tail(one, asked.hub)] if len(fitting) > 1 else fitting
    if len(fitting) > 1 and len(near) != 1:
        raise CallerError(
            f"{asked.place}.hub",
            found=f"{', '.join(one.name for one in fitting)} could each be the other half of {asked.hub.name}",
            expected="one: both halves of a hub have to be switched",
            mend="unplug all but one of them, or plug them into other ports",
        )
    return Half(near[0], asked.number) if near else None


def _refuse_other_devices(asked: _Asked, halves: list[Half]) -> None:
    """Refuse a port with anything on it but the rig's own key."""
    port = asked.request.port
    names = [half.name for half in halves]
    for half in halves:
        device = on_port(asked.request.host, half.hub, half.number)
        if device is None or (half.name == port and not device.is_hub):
            continue
        if device.is_hub or half is not halves[0] or port is not None:
            what = "another hub: " if device.is_hub else ""
            raise asked.refuse(
                f"{what}{device.shown()} at {half.name}",
                f"the key's own port, {port}" if port else "a port with nothing but the key",
            )
    if port is not None and port not in names:
        raise asked.refuse(
            f"{' and '.join(names)}, with nothing there", f"the port that the rig's key is on, {port}"
        )


def _ask(asked: _Asked, one: Hub, what: Any) -> Any:
    """Ask a hub, with errors that say what to do."""
    try:
        with opened(asked.request.host, one.device, f"{asked.place}: hub {one.name}") as usb:
            return what(usb)
    except Unexpected as error:
        raise RigError(
            f"{asked.place}: hub {one.name} ({one.ids})",
            found=error.found,
            expected=error.expected,
            mend="replug the hub; if it still answers so, use another hub",
        ) from None
    except OSError as error:
        raise explain(error, f"{asked.place}: hub {one.name} ({one.ids})", usb_node(one.device), 0) from None


def _channel(options: HubOptions) -> str:
    if options.port is None:
        return "hub port {port}"
    if options.hub is None:
        return f"hub port {options.port} beside {{port}}"
    bus = options.hub.removeprefix("usb")
    return f"hub port {bus}{'-' if bus != options.hub else '.'}{options.port}"


HUB = PowerDriver("hub", "a USB hub that switches each port", HubOptions, _make, _channel)
