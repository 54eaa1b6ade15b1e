"""The settings of a port of a Pico rig, shared by its power driver and its touch driver."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator


class PicoPort(BaseModel):
    """What a bench says of a port of a Pico rig, for its power and for its touch."""

    url: str
    """Where it listens: "http://192.168.7.1"; with a path for `keyharness serve`."""
    usb: int = Field(default=1, ge=0)
    """Which of its ports."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        return http_url(url)

    @property
    def shown(self) -> str:
        """Which port, for messages; without what may be secret in the address."""
        return f"pico {shown_url(self.url)} usb{self.usb}"


def http_url(url: str) -> str:
    """An address without the slash at its end.

    :raises ValueError: it is not an http address.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError('expected "http://<host>[:<port>]"')
    return url.rstrip("/")


def shown_url(url: str) -> str:
    """The host and port of an address, without what may be secret."""
    parts = urlsplit(url)
    return f"http://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
