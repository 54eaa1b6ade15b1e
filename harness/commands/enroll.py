"""Enrol a key: see what is there, say which one is meant, write the bench entry.

A key may be written to only after the explicit words have been typed; one that holds what is not ours may not
even then. Nothing of a bench file that is there already is changed: the entry is added to its end.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from harness.base.errors import CallerError, RigError, one_of
from harness.bench.bench import NAME, load_bench
from harness.bench.registry import Plugins
from harness.host.scan import Found
from harness.model.rig import Rig
from harness.run.session import Session, Wanted
from harness.safety.claim import Claims
from harness.safety.identity import bring_up, foreign, identity, unseen

WORDS = "this key may be destroyed"


@dataclass(frozen=True)
class Choice:
    """Something that was seen, and how a driver would reach it; None if no driver that is installed can."""

    found: Found
    driver: str | None
    settings: Mapping[str, Any]
    key: str | None


def choices(found: Sequence[Found], plugins: Plugins) -> list[Choice]:
    """What was seen, each with the first driver that knows how to reach it and the key that it looks like."""
    made = []
    for one in found:
        driver, settings = None, {}
        for candidate in plugins.drivers.values():
            if candidate.enrol is not None and (offered := candidate.enrol(one)) is not None:
                driver, settings = candidate.name, dict(offered)
                break
        made.append(Choice(one, driver, settings, _key(one, plugins)))
    return made


def _key(found: Found, plugins: Plugins) -> str | None:
    for key in plugins.keys.values():
        for face in key.faces:
            if (face.vendor_id, face.product_id) == (found.vendor_id, found.product_id):
                return key.name
    fitting = (key.name for key in plugins.keys.values() if key.fits_any and key.fits_any == found.endpoint)
    return next(fitting, None)


def show(made: Sequence[Choice], out: TextIO) -> None:
    """Number what was seen."""
    if not made:
        out.write(
            "nothing that may be a key is seen: no HID interface of a known kind, no card reader, no emulator\n"
        )
    for number, one in enumerate(made, 1):
        how = f"driver {one.driver}" if one.driver else "no installed driver can switch its power"
        out.write(f"  {number}  {one.found.shown()}\n     {how}; looks like {one.key or 'no known key'}\n")


def pick(made: Sequence[Choice], said: str) -> Choice:
    """The one that is meant, by its number or its place.

    :raises CallerError: there is none of that number or place, or no driver for it.
    """
    places = [one.found.place for one in made]
    for number, one in enumerate(made, 1):
        if said.strip() in (str(number), one.found.place):
            if one.driver is None:
                raise CallerError(
                    f"{one.found.place}",
                    found="no installed driver that can switch its power",
                    expected="one that can: a key that cannot be cut is not tested here",
                    mend="`keyharness list` shows the drivers; others come as plugins",
                )
            return one
    raise CallerError("the key to enrol", found=said, expected=f"its number, or {one_of(said, places)}")


def entry_text(
    name: str, key: str, driver: str, settings: Mapping[str, Any], *, expendable: bool, identity: str | None
) -> str:
    """The entry as it is added to a bench file."""
    rows: dict[str, Any] = {"name": name, "key": key, "driver": driver, "expendable": expendable}
    if identity is not None:
        rows["identity"] = identity
    return "\n[[rig]]\n" + "".join(
        f"{field} = {_toml(value)}\n" for field, value in {**rows, **settings}.items()
    )


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
    return json.dumps(value).replace("\x7f", "\\u007f")


def add_to_bench(file: Path, entry: str, plugins: Plugins) -> None:
    """Add an entry to a bench file, which is made if it is not there; checked before the file is touched.

    :raises CallerError: the file is no bench, or would be none afterwards.
    """
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    name = re.sub(r"[^a-z0-9._-]", "-", file.stem.lower()).lstrip("._-") or "bench"
    text = before or f'name = "{name}"\n'
    if not text.endswith("\n"):
        text += "\n"
    beside = file.with_name(f".{file.name}.{os.getpid()}.toml")
    try:
        beside.write_text(text + entry, encoding="utf-8")
        try:
            load_bench(beside, plugins)
        except CallerError as error:
            error.what = error.what.replace(str(beside), str(file))
            raise
        with beside.open("rb") as done:
            os.fsync(done.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


@dataclass(frozen=True)
class Request:
    """What the caller said beforehand; None is asked for.

    :ivar words: what was typed to let the key be written to.
    """

    bench: Path
    pick: str | None = None
    name: str | None = None
    key: str | None = None
    words: str | None = None


def enrol(
    request: Request,
    found: Sequence[Found],
    plugins: Plugins,
    out: TextIO,
    ask: Callable[[str], str],
) -> str:
    """Enrol one key; returns the name of its rig.

    :param ask: asks the person at the terminal.
    :raises CallerError: nothing was chosen, or what was chosen cannot be enrolled.
    """
    made = choices(found, plugins)
    show(made, out)
    if not made:
        raise CallerError("nothing to enrol", expected="a key that is plugged in, or an emulator that runs")
    choice = pick(made, request.pick or ask("which one? "))
    name = request.name or ask(f"name of its rig (letters, digits, - . _; {NAME}): ").strip()
    key = request.key or choice.key
    if key is None:
        raise CallerError("--key", found="nothing", expected=one_of("", list(plugins.keys)))
    plugins.key(key, "--key")
    assert choice.driver is not None
    plain = entry_text(name, key, choice.driver, choice.settings, expendable=False, identity=None)
    _refuse_taken_name(request.bench, name)
    identity: str | None = None
    if choice.found.kind == "process":
        # It runs: a second one in the same directory would spoil what the first one keeps there.
        expendable = _typed(request, out, ask)
        out.write(f"  {choice.found.place} has to end before a run: a run starts it by itself\n")
    else:
        expendable, identity = _looked_at(request, name, plain, plugins, out, ask)
    entry = entry_text(name, key, choice.driver, choice.settings, expendable=expendable, identity=identity)
    add_to_bench(request.bench, entry, plugins)
    may = "expendable" if expendable else "not expendable: it will only be read"
    out.write(f'rig "{name}" is in {request.bench}: {may}\n')
    return name


def _typed(request: Request, out: TextIO, ask: Callable[[str], str]) -> bool:
    """Were the words typed that let a key be written to?"""
    if request.words is not None:
        return request.words.strip() == WORDS
    out.write(f'It is only ever written to if you type: "{WORDS}". Anything else: it is not.\n')
    return ask("> ").strip() == WORDS


def _looked_at(
    request: Request, name: str, entry: str, plugins: Plugins, out: TextIO, ask: Callable[[str], str]
) -> tuple[bool, str]:
    """Whether a key may be written to, and which one it is."""
    probe = _probe(request.bench, name, entry, plugins)
    try:
        out.write(f"  it says that it is {probe.identity}\n")
        for text in probe.unseen:
            out.write(f"  it may hold what nobody can see from here: {text}\n")
        expendable = _typed(request, out, ask)
        if expendable and probe.reasons:
            out.write("  it holds what is not ours, and will not be written to: ")
            out.write("; ".join(probe.reasons) + "\n")
            expendable = False
        return expendable, probe.mark() if expendable and probe.anonymous else probe.identity
    finally:
        probe.close()


def _refuse_taken_name(bench: Path, name: str) -> None:
    names = [rig["name"] for rig in tomllib.loads(bench.read_text()).get("rig", [])] if bench.exists() else []
    if name in names:
        raise CallerError(
            f'{bench}: rig "{name}"', found="a rig of that name", expected="another name", mend="--name"
        )


def _probe(bench: Path, name: str, entry: str, plugins: Plugins) -> _Probe:
    """Look at the key that an entry would mean, through a bench of its own."""
    beside = bench.with_name(f".{bench.name}.probe{os.getpid()}.toml")
    beside.write_text('name = "probe"\n' + entry, encoding="utf-8")
    try:
        return _Probe(Session(Wanted(beside), plugins, purpose="enrol"), name)
    except CallerError as error:
        error.what = error.what.replace(str(beside), str(bench))
        raise
    finally:
        beside.unlink()


class _Probe:
    """A key that is looked at before it is enrolled; read only, but for its mark."""

    def __init__(self, session: Session, name: str):
        self._session = session
        self.rig: Rig = session.rig(name)
        try:
            claims: Claims = session.claims
            claims.take(self.rig, write=False)
            if why := bring_up(self.rig):
                raise RigError(f'rig "{name}": no key', found=why, expected="a key that comes up")
            self.identity = identity(self.rig)
            self.reasons = foreign(self.rig)
            self.unseen = unseen(self.rig)
            self.anonymous = self.identity.startswith("model:")
            if self.anonymous and not self._empty():
                self.reasons = [*self.reasons, "it has no serial, and is not empty: it cannot be marked"]
        except BaseException:
            session.close()
            raise

    def _empty(self) -> bool:
        return all(app.blank is None or app.blank(self.rig) for app in self.rig.key.applications)

    def mark(self) -> str:
        """Mark a key without a serial.

        :raises CallerError: none of its applications can hold a mark.
        """
        for application in self.rig.key.applications:
            if application.mark is not None:
                return f"marker:{application.mark(self.rig, None)}"
        raise CallerError(
            f'rig "{self.rig.name}"',
            found="a key without a serial that cannot be marked",
            expected="a key that can be told from others of its model",
        )

    def close(self) -> None:
        self._session.close()
