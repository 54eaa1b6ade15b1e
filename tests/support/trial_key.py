"""A key that answers in another way than our twin, and the cases of the conformance suite asked of it, in this process.

The twin is the one with every feature. A `Change` stands in front of its CTAP2 application: it may answer a request
itself, change it, or change the response. So a test can show that a case lets a legal key pass and fails a wrong one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import pytest
from fido2 import cbor
from fido2.ctap import CtapError

from harness.api import TwinOptions, TwinRig
from harness.bench.registry import discover
from harness.campaign.home import seeded
from harness.pytest_plugin.deviations import deviations_noted
from harness_fido2.twin.authenticator import Authenticator as Application
from harness_suites.conformance.states import States

KEY = "nitrokey3-mini"
Change = Callable[[bytes, bytes], bytes | None]
"""(request, response) -> the response in place of the twin's; None: the twin's."""


def changed_members(command: int, edit: Callable[[dict[int, Any], dict[int, Any]], None]) -> Change:
    """Edit the members of each good response to a command; `edit` gets those of the request, too."""

    def change(request: bytes, response: bytes) -> bytes | None:
        if request[0] != command or response[:1] != b"\0":
            return None
        asked = cbor.decode(request[1:]) if len(request) > 1 else {}
        members = cbor.decode(response[1:]) if len(response) > 1 else {}
        edit(asked, members)
        return b"\0" + cbor.encode(members)

    return change


def other_code(was: int, now: int, *commands: int) -> Change:
    """Refuse with another code; `now` 0 is success without members. No command named means all."""

    def change(request: bytes, response: bytes) -> bytes | None:
        asked = not commands or request[0] in commands
        return bytes((now,)) if asked and response == bytes((was,)) else None

    return change


def info(edit: Callable[[dict[int, Any]], None]) -> Change:
    """Edit the members of getInfo."""
    return changed_members(4, lambda _, members: edit(members))


def options(**values: bool | None) -> Change:
    """Set options of getInfo; None takes one away."""

    def edit(members: dict[int, Any]) -> None:
        kept = {**members[4], **values}
        members[4] = {name: value for name, value in kept.items() if value is not None}

    return info(edit)


def versions(*names: str) -> Change:
    """Say other versions in getInfo."""
    return info(lambda members: members.__setitem__(1, list(names)))


class TrialKey:
    """A twin behind changes."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *changes: Change,
        personality: str = "reference-all",
        before: Callable[[bytes], bytes | None] = lambda request: None,
        rewrite: Callable[[bytes], bytes] = lambda request: request,
        u2f: Change = lambda request, response: None,
        touch: tuple[bool, bool] = (True, True),
    ):
        """:param before: (request) -> a response in place of the twin's, which then never sees the request.
        :param rewrite: (request) -> the request that the twin sees.
        :param u2f: a change of responses to U2F messages.
        :param touch: can this rig touch its key, and can it withhold a touch?
        """
        cbor_of, message_of = Application.cbor, Application.message

        def cbor_changed(self: Application, request: bytes) -> Generator[Any, Any, bytes]:
            response = before(request)
            if response is None:
                response = yield from cbor_of(self, rewrite(request))
            for change in changes:
                response = change(request, response) or response
            return response

        def message_changed(self: Application, request: bytes) -> Generator[Any, Any, bytes]:
            response = yield from message_of(self, request)
            return u2f(request, response) or response

        monkeypatch.setattr(Application, "cbor", cbor_changed)
        monkeypatch.setattr(Application, "message", message_changed)
        plugins = discover()
        key, model = plugins.keys[KEY], plugins.twins[KEY]
        self.rig = TwinRig("trial", key, model, TwinOptions(personality=personality), 1, expendable=True)
        for name, value in zip(("can_touch", "can_withhold"), touch):
            monkeypatch.setattr(type(self.rig.touch), name, value)
        self._states = States(lambda _, state, make: make(self.rig))

    def asked(self, case: str, **parameters: Any) -> str:
        """Ask one case: "test_file::test_function", with its parameters.

        :returns: passed, failed, deviation or not offered.
        """
        file, _, name = case.partition("::")
        module = import_module(f"harness_suites.conformance.{file}")
        function = getattr(module, name)
        said: dict[str, Any] = {}
        for mark in getattr(function, "pytestmark", []):
            if mark.name == "case":
                said = dict(mark.kwargs)
        self.said = ""
        with ExitStack() as stack, deviations_noted() as noted:
            try:
                stack.enter_context(seeded(self.rig, "trial", name))
                self._call(function, module, said, parameters, stack)
            except pytest.skip.Exception as reason:
                self.said = str(reason)
                return "not offered"
            except (AssertionError, CtapError) as error:
                self.said = str(error)
                return "deviation" if said.get("level") == "SHOULD" else "failed"
        self.said = "; ".join(noted)
        return "deviation" if noted else "passed"

    def _call(
        self, function: Any, module: Any, said: dict[str, Any], parameters: dict[str, Any], stack: ExitStack
    ) -> Any:
        """Call a case or a fixture with the fixtures that it names."""
        names = inspect.signature(function).parameters
        return function(**{name: self._value(name, module, said, parameters, stack) for name in names})

    def _value(
        self, name: str, module: Any, said: dict[str, Any], parameters: dict[str, Any], stack: ExitStack
    ) -> Any:
        if name in parameters:
            return parameters[name]
        if name == "rig":
            return self.rig
        if name in ("blank", "with_pin"):
            return parameters.setdefault(name, self._states.bring(self.rig, name, said))
        fixture = getattr(module, name)._get_wrapped_function()
        made = self._call(fixture, module, said, parameters, stack)
        if inspect.isgenerator(made):
            value = next(made)
            stack.callback(lambda: next(made, None))
            made = value
        return parameters.setdefault(name, made)
