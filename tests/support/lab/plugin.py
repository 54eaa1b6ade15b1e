"""The laboratory's relay and finger as drivers: `driver = "lab"`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict

from harness.base.errors import RigError
from harness.bench.plugin_api import ActuatorRequest, PowerDriver, TouchDriver, hookimpl
from harness.model.cut_action import CutAction, Write
from harness.model.rig_parts import PowerSwitch, Touch
from support.lab.wire import call


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    port: str | None = None
    """The rig's own port if nothing is said."""
    slow: bool = False
    """Offers no cut action: only this process can switch it."""


class Relay(PowerSwitch):
    """One channel of the laboratory's relay."""

    def __init__(self, request: ActuatorRequest):
        self._root, self._port = request.host.root, request.options.port or request.port
        self._slow = request.options.slow
        self._on = self._ask("is") == "on"
        self._cut_connection = None

    def _ask(self, word: str) -> str:
        try:
            with call(self._root, "relay") as link:
                link.send(f"{word} {self._port}".encode())
                answer = link.recv(64).decode()
        except OSError as error:
            raise RigError("the laboratory's relay", found=error.strerror, expected="an answer") from None
        if answer not in ("ok", "on", "off"):
            raise RigError("the laboratory's relay", found=answer, expected="ok")
        return answer

    @property
    def is_on(self) -> bool:
        return self._on

    def on(self) -> None:
        self._ask("on")
        self._on = True

    def off(self) -> None:
        self._ask("off")
        self._on = False

    def cut_action(self) -> CutAction | None:
        if self._slow:
            return None
        self._cut_connection = call(self._root, "relay")
        return Write(self._cut_connection.fileno(), f"off {self._port}".encode())

    def after_cut(self) -> None:
        self._on = False
        if self._cut_connection is not None:
            self._cut_connection.close()
            self._cut_connection = None


class Finger(Touch):
    """Touches the key when it asks, while entered."""

    def __init__(self, request: ActuatorRequest):
        self._root, self._port = request.host.root, request.options.port or request.port

    @contextmanager
    def pressing(self, *, delay_us: int = 200_000) -> Iterator[None]:
        with call(self._root, "relay") as link:
            link.send(f"touch {self._port} {delay_us}".encode())
            link.recv(64)
            try:
                yield
            finally:
                link.send(f"release {self._port}".encode())
                link.recv(64)


def _channel(options: Options) -> str:
    return f"lab {options.port}"


@hookimpl
def keyharness_power() -> list[PowerDriver]:
    return [PowerDriver("lab", "the laboratory's relay", Options, Relay, _channel)]


@hookimpl
def keyharness_touch() -> list[TouchDriver]:
    return [TouchDriver("lab", "the laboratory's finger", Options, Finger, lambda o: "touch " + _channel(o))]
