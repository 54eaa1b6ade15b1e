"""What calibration looks at besides the switch: the key, its neighbours, and what the switch is called."""

from __future__ import annotations

from harness.base.errors import KeyharnessError, RigError
from harness.host.host import Host
from harness.host.usb import device_at, devices, hub_of
from harness.model.rig import Rig


class Witnesses:
    """The key on a rig and the other devices of its host.

    :ivar shows: whether the key answers when it is asked for its volatile state.
    """

    def __init__(self, rig: Rig, host: Host):
        self._rig, self._host = rig, host
        self._port: str | None = getattr(rig, "port", None) if rig.evidence_kind == "hardware" else None
        self.shows = any(app.volatile for app in rig.key.applications)

    def ask(self) -> list[str | None]:
        """Ask the key for its volatile state: nothing is written."""
        return [app.volatile(self._rig) for app in self._rig.key.applications if app.volatile]

    def mark(self) -> str | None:
        """Return the volatile state of all the key's applications; None if the key shows none."""
        marks: list[str | None] = []
        if self.shows:
            try:
                marks = self.ask()
            except (KeyharnessError, OSError):
                # Each question to a key that does not answer takes the full time limit: do not ask again.
                self.shows = False
        return "/".join(mark for mark in marks if mark) or None

    def others(self) -> dict[str, tuple[str, object]]:
        """Return the other devices of the host: port -> (description, token of the enumeration)."""
        if self._port is None:
            return {}
        return {
            one.port: (one.shown(), one.token)
            for one in devices(self._host)
            if one.port != self._port and not one.port.startswith(f"{self._port}.")
        }

    def still_there(self, error: RigError | None) -> RigError:
        what = f'rig "{self._rig.name}": the key was still on the bus after its power was switched off'
        if error is not None:
            if "still on the bus" not in error.what:
                return error
            what = error.what
        return RigError(
            what,
            found=self.switch_words(
                "claims per-port power and does not cut it" if self.is_hub else "does not cut its power"
            ),
            expected="that the key goes",
            mend="use a relay or a hub that `keyharness calibrate` accepts; docs/rigs.md lists some",
        )

    @property
    def is_hub(self) -> bool:
        """Whether the key's power is switched by a hub, which the kernel asks."""
        return self._rig.wiring.partition("; power ")[2].startswith("hub")

    def switch_words(self, does: str) -> str:
        """Name the switch and say what it does."""
        power = self._rig.wiring.partition("; power ")[2]
        if self._port is not None and self.is_hub:
            name = hub_of(self._port)[0]
            hub = device_at(self._host, name)
            return f"hub {name}{f' ({hub.ids})' if hub else ''} {does}"
        return f"the switch ({power or self._rig.wiring or 'of this rig'}) {does}"
