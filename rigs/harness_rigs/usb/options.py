"""What a bench says of a rig with a real key on a USB port."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from harness.host.usb import PORT


class UsbOptions(BaseModel):
    """The `usb` driver's part of a bench entry, besides the tables `power` and `touch`."""

    model_config = ConfigDict(extra="forbid")

    port: str = Field(pattern=rf"^{PORT.pattern}$")
    """The port that the key hangs on, as sysfs names it: "1-1.4.1"."""
    serial: str | None = None
    """The serial number that it shows on USB, for a key that has one."""
    uuid: str | None = None
    """What it says of itself when it is asked; tells two keys of one model apart that show no serial."""
    off_s: float = Field(default=1.0, ge=0, le=60)
    """It stays without power for so long at least, so that its charge is gone."""
    gone_s: float = Field(default=2.0, gt=0, le=60)
    """It has left the bus so long after its power went, at the latest."""
    up_s: float = Field(default=10.0, gt=0, le=600)
    """It is on the bus so long after its power came, at the latest."""
    answer_s: float = Field(default=30.0, gt=0, le=600)
    """It answers a request or sends a keepalive within this; a reset asks for a touch for up to 30 s."""
    reader: str | None = None
    """A part of the name of its card reader, where pcscd does not say on which port a reader is."""
