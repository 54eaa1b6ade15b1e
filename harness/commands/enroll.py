"""`keyharness enroll`: show what is plugged in, ask which key is meant, and add a rig to a bench file.

A key may be written to only after the explicit words have been typed. A key that holds data which is not ours may
not be written to even then. Everything that the bench file has already stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from harness.base.atomic_file import replace_file
from harness.base.errors import CallerError, RigError, one_of
from harness.base.limited_file import read_limited_text
from harness.bench.bench import NAME, parse_bench
from harness.bench.registry import Plugins
from harness.bench.toml_file import rig_names, with_rig
from harness.commands.enroll_switch import AS_OFFERED, SwitchOptions, with_switch
from harness.host.scan import Found
from harness.model.rig import Rig
from harness.run.session import Session
from harness.run.wanted import Wanted
from harness.safety.claim import Claims
from harness.safety.identity import bring_up, foreign, identity, serials_of, unseen
from harness.safety.identity_guard import SameEnumeration

WORDS = "this key may be destroyed"


@dataclass(frozen=True)
class Choice:
    """Something on this host that may be a key.

    :ivar driver: the installed driver that reaches it; None if no driver does.
    :ivar settings: the driver's settings for it.
    :ivar key: the key that it looks like; None if it looks like none.
    """

    found: Found
    driver: str | None
    settings: Mapping[str, Any]
    key: str | None


def choices(found: Sequence[Found], plugins: Plugins) -> list[Choice]:
    """Find, for everything that was found, the first driver that reaches it and the key that it looks like."""
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
    """Write a numbered list of what was found."""
    if not made:
        out.write(
            "found nothing that may be a key: no HID interface of a known kind, no card reader, no emulator\n"
        )
    for number, one in enumerate(made, 1):
        how = f"driver {one.driver}" if one.driver else "no installed driver can switch its power"
        out.write(f"  {number}  {one.found.shown()}\n     {how}; looks like {one.key or 'no known key'}\n")


def pick(made: Sequence[Choice], said: str) -> Choice:
    """Return the choice with a number or at a place.

    :param said: the number or the place, as it was typed.
    :raises CallerError: there is none, or no driver for it.
    """
    places = [one.found.place for one in made]
    for number, one in enumerate(made, 1):
        if said.strip() in (str(number), one.found.place):
            if one.driver is None:
                raise CallerError(
                    f"{one.found.place}",
                    found="no installed driver that can switch its power",
                    expected="a driver that can: Keyharness tests only keys whose power it can cut",
                    mend="`keyharness list` shows the drivers; others come as plugins",
                )
            return one
    raise CallerError("the key to enrol", found=said, expected=f"its number, or {one_of(said, places)}")


def rig_settings(
    name: str, key: str, driver: str, settings: Mapping[str, Any], *, expendable: bool, identity: str | None
) -> dict[str, Any]:
    """Return the settings of a rig as a bench file has them."""
    known: dict[str, Any] = {"name": name, "key": key, "driver": driver, "expendable": expendable}
    if identity is not None:
        known["identity"] = identity
    return {**known, **settings}


def add_to_bench(file: Path, rig: Mapping[str, Any], plugins: Plugins) -> None:
    """Add a rig to a bench file, which is made if it does not exist; its comments stay.

    :raises CallerError: the file is no bench, or would be none afterwards; it is not touched then.
    """
    before = read_limited_text(file, "a bench file") if file.exists() else ""
    if not before:
        name = re.sub(r"[^a-z0-9._-]", "-", file.stem.lower()).lstrip("._-") or "bench"
        before = f'name = "{name}"\n'
    text = _with_rig(file, before, rig)
    parse_bench(text, str(file), file, plugins)
    replace_file(file, text, durable=True)


def _with_rig(file: Path, text: str, rig: Mapping[str, Any]) -> str:
    try:
        return with_rig(text, rig)
    except ValueError as error:
        raise _not_toml(file, error) from None


def _not_toml(file: Path, error: ValueError) -> CallerError:
    return CallerError(f"bench {file}", found=str(error), expected="TOML", mend="mend that line")


@dataclass(frozen=True)
class EnrollOptions:
    """The options of the command for one key; what is None is asked for.

    :ivar words: what was typed to allow writing to the key.
    """

    bench: Path
    pick: str | None = None
    name: str | None = None
    key: str | None = None
    words: str | None = None
    switch: SwitchOptions = AS_OFFERED


def enrol_all(
    requests: Sequence[EnrollOptions],
    found: Sequence[Found],
    plugins: Plugins,
    out: TextIO,
    ask: Callable[[str], str],
) -> list[str]:
    """Enrol one key for each request; after a single one that names no key, ask for further keys.

    :param ask: shows a question to the person at the terminal and returns the answer.
    :returns: the names of their rigs.
    :raises CallerError: as `enrol`; keys that were enrolled before stay so.
    """
    made = choices(found, plugins)
    show(made, out)
    if not made:
        raise CallerError("nothing to enrol", expected="a key that is plugged in, or a running emulator")
    names = [enrol(one, made, plugins, out, ask) for one in requests]
    if len(requests) > 1 or requests[0].pick is not None or requests[0].name is not None:
        return names
    while len(names) < len(made):
        try:
            said = ask("another one? (Enter: no) ").strip()
        except CallerError:
            # Nobody is there to answer: one key was asked for, and it is enrolled.
            break
        if not said:
            break
        names.append(enrol(replace(requests[0], pick=said), made, plugins, out, ask))
    return names


def enrol(
    request: EnrollOptions,
    made: Sequence[Choice],
    plugins: Plugins,
    out: TextIO,
    ask: Callable[[str], str],
) -> str:
    """Enrol one key and return the name of its rig.

    :param made: what there is to choose from.
    :param ask: shows a question to the person at the terminal and returns the answer.
    :raises CallerError: no key was chosen, or the chosen one cannot be enrolled.
    """
    choice = pick(made, request.pick or ask("which one? "))
    name = request.name or ask(f"name of its rig (letters, digits, - . _; {NAME}): ").strip()
    key = request.key or choice.key
    if key is None:
        raise CallerError("--key", found="nothing", expected=one_of("", list(plugins.keys)))
    plugins.key(key, "--key")
    assert choice.driver is not None
    _refuse_taken_name(request.bench, name)
    identity, settings = None, with_switch(choice.driver, choice.settings, request.switch, plugins)
    if choice.found.kind == "process":
        # It is not probed: a second process in the same directory would damage the state of the first one.
        expendable = _typed(request, out, ask)
        out.write(f"  end {choice.found.place} before a run: the run starts the emulator itself\n")
    else:
        plain = rig_settings(name, key, choice.driver, settings, expendable=False, identity=None)
        expendable, identity, told = _examine(request, plain, plugins, out, ask)
        settings |= told
    rig = rig_settings(name, key, choice.driver, settings, expendable=expendable, identity=identity)
    add_to_bench(request.bench, rig, plugins)
    may = "expendable" if expendable else "not expendable: Keyharness will only read it"
    out.write(f'rig "{name}" is in {request.bench}: {may}\n')
    return name


def _typed(request: EnrollOptions, out: TextIO, ask: Callable[[str], str]) -> bool:
    """Return whether the words that allow writing to the key were typed."""
    if request.words is not None:
        return request.words.strip() == WORDS
    out.write(f'Keyharness writes to this key only if you type: "{WORDS}".\n')
    return ask("> ").strip() == WORDS


def _examine(
    request: EnrollOptions, rig: Mapping[str, Any], plugins: Plugins, out: TextIO, ask: Callable[[str], str]
) -> tuple[bool, str, dict[str, str]]:
    """Return whether a key may be written to, its identity, and what the bench has to say of its bootloader."""
    probe = _probe(request, rig, plugins)
    try:
        out.write(f"  its identity is {probe.identity}\n")
        for text in probe.unseen:
            out.write(f"  it may hold data that cannot be seen from here: {text}\n")
        expendable = _typed(request, out, ask)
        if expendable and probe.reasons:
            out.write("  it holds data that is not ours, and will not be written to: ")
            out.write("; ".join(probe.reasons) + "\n")
            expendable = False
        known = probe.mark() if expendable and probe.anonymous else probe.identity
        return expendable, known, probe.bootloader
    finally:
        probe.close()


def _refuse_taken_name(bench: Path, name: str) -> None:
    try:
        taken = bench.exists() and name in rig_names(read_limited_text(bench, "a bench file"))
    except ValueError as error:
        raise _not_toml(bench, error) from None
    if taken:
        raise CallerError(
            f'{bench}: rig "{name}"', found="a rig of that name", expected="another name", mend="--name"
        )


def _probe(request: EnrollOptions, rig: Mapping[str, Any], plugins: Plugins) -> _Probe:
    """Open the key that the settings of a rig describe, on a bench that exists in memory only."""
    text = _with_rig(request.bench, "", rig)
    bench = parse_bench(text, str(request.bench), request.bench, plugins)
    return _Probe(Session(Wanted(request.bench), plugins, purpose="enrol", bench=bench), rig["name"])


class _Probe:
    """A key that is examined before it is enrolled. Only its mark is ever written."""

    def __init__(self, session: Session, name: str):
        self._session = session
        self.rig: Rig = session.rig(name)
        try:
            claims: Claims = session.claims
            claims.take(self.rig, write=False)
            if why := bring_up(self.rig):
                raise RigError(f'rig "{name}": no key', found=why, expected="a key that comes up")
            self.rig.transports.guard = SameEnumeration(self.rig)
            self.identity = identity(self.rig)
            serials = serials_of(self.rig.key, self.rig.key.identify(self.rig))
            shown = next(iter(serials.values()), None)
            self.bootloader = {"bootloader": f"serial:{shown}"} if shown else {}
            self.reasons = foreign(self.rig)
            self.unseen = unseen(self.rig)
            self.anonymous = self.identity.startswith("model:")
            if self.anonymous and not self._empty():
                self.reasons = [
                    *self.reasons,
                    "it has no serial number and is not empty, so it cannot be marked",
                ]
        except BaseException:
            session.close()
            raise

    def _empty(self) -> bool:
        return all(app.blank is None or app.blank(self.rig) for app in self.rig.key.applications)

    def mark(self) -> str:
        """Mark a key without a serial number and return its identity.

        :raises CallerError: none of its applications can hold a mark.
        """
        for application in self.rig.key.applications:
            if application.mark is not None:
                return f"marker:{application.mark(self.rig, None)}"
        raise CallerError(
            f'rig "{self.rig.name}"',
            found="a key without a serial number that cannot be marked",
            expected="a key that can be told from others of its model",
        )

    def close(self) -> None:
        self._session.close()
