"""`keyharness operator-update`: lead an operator through an update in the maker's service, and note the new identity.

Keyharness never does such an update itself. It checks that the service allows the update and that another working
device can log in. It asks a person to type a few words and waits for the update. Then it reads the device and writes
the new identity into the bench file: without that, the device would be refused as another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from harness.base.atomic_file import replace_file
from harness.base.errors import CallerError, KeyFault, RigError, one_of
from harness.base.limited_file import read_limited_text
from harness.bench.operator_update import OperatorUpdate
from harness.bench.toml_file import with_identity
from harness.model.rig import Rig
from harness.run.session import Session
from harness.safety.identity import bring_up, identity, is_model_only

WORDS = "this device becomes another one"
DONE = "done"


def update(session: Session, name: str, helper: str, out: TextIO, ask: Callable[[str], str]) -> str:
    """Lead through the update of the device on a rig; returns its new identity, which the bench then has.

    :param helper: the rig of the device that logs in to the service.
    :param ask: a question to the person -> the answer.
    :raises CallerError: it is not allowed, or the words were not typed: nothing has changed.
    :raises BudgetExhausted: it would be a forced one, and the bench grants none.
    :raises KeyFault: the device came back, and is not updated; the bench stays as it is.
    """
    rules = _rules(session, name)
    _require_another(session, name, helper)
    rig, other = session.rig(name), session.rig(helper)
    if not rig.expendable:
        raise CallerError(
            f'rig "{name}"', found="expendable = false", expected="a device that may be written to"
        )
    for one, write in ((rig, True), (other, False)):
        session.claims.take(one, write=write)
        _up(one)
    session.claims.require_named(other)
    before, helps = identity(rig), identity(other)
    if before == helps:
        raise _no_helper(helper, "the same device")
    if why := rules.refused(rig, other):
        raise CallerError(f'rig "{name}": update by its maker', found=why, expected="what the maker allows")
    forced = rules.forced(rig)
    out.write(f"device {before} on rig {name}; {helps} on rig {helper} logs in\n")
    if forced:
        out.write("This update is a forced one. The maker allows few of them, and none comes back.\n")
    out.write(f'Its keys, its PINs and its identity will be gone. Go on only if you type: "{WORDS}".\n')
    if ask("> ").strip() != WORDS:
        raise CallerError(
            "the words", found="something else", expected=f'"{WORDS}"', mend="nothing has changed"
        )
    budget = session.claims.budget(name)
    if forced and budget is not None:
        budget.reserve({"forced_updates": 1}, "an update by an operator")
    for number, step in enumerate(rules.steps, 1):
        out.write(f"  {number}  {step}\n")
    while ask(f'When the service says that it has finished, type "{DONE}": ').strip() != DONE:
        pass
    return _came_back(session, rules, rig, (before, helps), out)


def _rules(session: Session, name: str) -> OperatorUpdate:
    if name not in session.bench.rigs:
        raise CallerError("RIG", found=name, expected=one_of(name, session.bench.rigs))
    key = session.bench.key_name(name)
    known = session.plugins.operator_updates
    if key not in known:
        raise CallerError(
            f'rig "{name}"', found=f"{key}: no update by an operator", expected=one_of(key, list(known))
        )
    return known[key]


def _require_another(session: Session, name: str, helper: str) -> None:
    """:raises CallerError: the helper is no other rig of the bench with a device of the same model."""
    same = session.bench.key_name(name)
    others = [one for one in session.bench.rigs if one != name and session.bench.key_name(one) == same]
    if not others:
        raise _no_helper(helper, "the bench has no other device of this model")
    if helper not in others:
        raise CallerError("--helper", found=helper, expected=one_of(helper, others))


def _no_helper(helper: str, why: str) -> CallerError:
    return CallerError(
        f"--helper {helper}",
        found=why,
        expected="another device that works: without one nobody logs in, and the last one is never updated",
        mend="`keyharness enroll` adds another device to the bench",
    )


def _up(rig: Rig) -> None:
    if why := bring_up(rig):
        raise RigError(f'rig "{rig.name}": no key', found=why, expected="a device that comes up")


def _came_back(session: Session, rules: OperatorUpdate, rig: Rig, known: tuple[str, str], out: TextIO) -> str:
    # Until it is in the bench, the guard would refuse the device that this one has become.
    rig.transports.guard = None
    rig.power.off()
    _up(rig)
    found, file = identity(rig), session.bench.file
    unfinished = "its identity is the same" if found == known[0] else rules.unfinished(rig)
    if unfinished or found == known[1] or is_model_only(found):
        raise KeyFault(
            f'rig "{rig.name}": the device is not updated',
            found=unfinished or f"{found}: another device, or none that tells its serial number",
            expected="a new identity, and the state in which its maker ships it",
            mend="look in the service whether it has finished; the bench still has the old identity",
        )
    text = read_limited_text(file, "a bench file")
    replace_file(file, with_identity(text, rig.name, found), durable=True)
    out.write(
        f'rig "{rig.name}" is {found} now, in {file}: register the device anew where it was registered\n'
    )
    return found
