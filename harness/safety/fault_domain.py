"""Tell a hub's or a supply's fault from a key's: rigs of one fault domain that lose their keys together.

Each process notes in the runtime folder, which all processes of a host share, when the key on a rig left otherwise than
by the rig's own switch: one file for each rig and domain, with the last few instants. Before a key counts as stuck, or
as one that left by itself, the notes of the other rigs of its domains are read.

Instants are those of CLOCK_MONOTONIC, which is one for all processes of a host until it boots again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from harness.base.atomic_file import read_json, replace_file
from harness.base.clock import Clock
from harness.base.file_name import file_name
from harness.host.locks import runtime_dir
from harness.model.outcome import Observation

WITHIN_US = 200_000
"""Losses of several rigs that are no further apart have one cause: a hub reports a change of a port every 256 ms at the
latest (bInterval 12 of a high-speed hub), and a supply that fails takes all of its ports at once."""
KEPT = 16
"""Number of losses that are kept of each rig."""


class FaultDomains:
    """The fault domains of one rig, as `harness.model.rig.LossWatch`.

    :param port: what names the rig on this host: its lock.
    :param domains: what it shares with other rigs: "hub usb:1-1.4", "supply psu-1".
    :param boot: the host's boot: notes of another one count for nothing.
    :param folder: where the notes are; by default the folder of the host's locks.
    :param hub: asks in which enumeration the rig's hub is.
    :param note: writes down why a power cycle of the key was not controlled, and what the key showed after it.
    """

    def __init__(
        self,
        port: str,
        domains: Sequence[str],
        clock: Clock,
        boot: str,
        folder: Path | None = None,
        hub: Callable[[], Hashable] = lambda: None,
        note: Callable[[str, Observation], None] = lambda why, seen: None,
    ):
        self._port, self._domains, self._clock, self._boot = port, tuple(domains), clock, boot
        self._folder = folder if folder is not None else runtime_dir()
        self._lost: list[int] = []
        self._hub, self._known_hub = hub, hub()
        self._note = note

    def begin(self) -> None:
        self._known_hub = self._hub()

    def uncontrolled(self, why: str, seen: Observation) -> None:
        self._note(why, seen)

    def lost(self, at_us: int) -> None:
        self._lost = [*self._lost, at_us][-KEPT:]
        row = {"port": self._port, "boot": self._boot, "lost_us": self._lost}
        for domain in self._domains:
            path = self._folder / file_name(f"lost {domain} {self._port}", ".json", keep="start")
            # A note is a help, no duty: what another user has left there cannot be replaced.
            with suppress(OSError):
                replace_file(path, json.dumps({**row, "domain": domain}), 0o644)

    def explained(self, since_us: int, *, stuck: bool) -> str | None:
        own = [at_us for at_us in self._lost if at_us >= since_us]
        if not (own or stuck):
            return None
        if self._hub() != self._known_hub:
            return "the hub of its port restarted: the hub has left the bus meanwhile, or enumerated anew"
        if not self._domains:
            return None
        if own and (left_us := own[-1] + WITHIN_US - self._clock.now_us) > 0:
            # What the others have lost in this time is not noted yet.
            self._clock.wait_us(left_us)
        for domain, port, others in self._notes():
            for at_us in others:
                near = min((abs(at_us - mine) for mine in own), default=None)
                if near is not None and near <= WITHIN_US:
                    return f"{domain} failed: {port} lost its key within {near / 1000:.0f} ms, too"
                if stuck and at_us >= since_us:
                    return f"{domain} failed: {port} lost its key meanwhile, too"
        return None

    def _notes(self) -> Iterator[tuple[str, str, list[int]]]:
        """(domain, port, instants) of the other rigs of these domains."""
        for path in sorted(self._folder.glob("lost*.json")):
            with suppress(OSError):
                row = read_json(path)
                if (
                    row is not None
                    and row.get("domain") in self._domains
                    and row.get("boot") == self._boot
                    and row.get("port") != self._port
                ):
                    yield row["domain"], row["port"], row["lost_us"]
