"""The settings of a rig with a real key on a USB port."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from harness.api import PORT
from harness_rigs.usb.probe_vault import ProbeOptions


class UsbOptions(BaseModel):
    """The settings of the driver `usb` in a bench entry, besides the tables `power` and `touch`."""

    model_config = ConfigDict(extra="forbid")

    port: str = Field(pattern=rf"^{PORT.pattern}$")
    """The port that the key is on, as sysfs names it: "1-1.4.1"."""
    serial: str | None = None
    """The serial number that it shows on USB, for a key that has one."""
    uuid: str | None = None
    """The UUID that the key reports; for two keys of one model that show no serial."""
    off_s: float = Field(default=1.0, ge=0, le=60)
    """Shortest time without power, so that its charge is gone."""
    gone_s: float = Field(default=2.0, gt=0, le=60)
    """Limit for leaving the bus after its power went."""
    up_s: float = Field(default=10.0, gt=0, le=600)
    """Limit for coming up after its power came."""
    answer_s: float = Field(default=30.0, gt=0, le=600)
    """Limit for an answer or a keepalive; a reset waits for a touch for up to 30 s."""
    flash: ProbeOptions | None = None
    """Commands that copy the flash of a key on a debug probe."""
    reader: str | None = None
    """A part of the name of its card reader, if pcscd does not tell on which port a reader is."""
