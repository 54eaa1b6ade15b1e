"""Which key is on a rig, whether it is the named one, and whether it holds data that is not ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.base.errors import CallerError, KeyharnessError, RigError
from harness.model.key import CANNOT_TELL, Key
from harness.model.rig import KeyGone, Rig


def _spend_nothing() -> None:
    return None


def identity(rig: Rig, *, marks: bool = True) -> str:
    """Return the identity of a key as the key itself gives it; "model:..." if it gives none. Costs nothing.

    The key must be on.

    :param marks: False to ask no application for a mark, of a key that is not known by one: it may be a stranger's.
    """
    if rig.evidence_kind == "twin":
        return f"twin:{rig.key.name}/{rig.name}"
    said = rig.key.identify(rig)
    for name in ("uuid", "serial"):
        if (told := said.get(name)) and (rig.evidence_kind != "hardware" or _names_one(told)):
            return f"{name}:{told}"
    for application in rig.key.applications if marks else ():
        if application.marker is not None and (found := application.marker(rig)):
            return f"marker:{found}"
    # An emulator is identified by its rig: its files are the key.
    return f"{'emulator' if rig.evidence_kind.startswith('emulator') else 'model'}:{rig.key.name}/{rig.name}"


def _names_one(told: str) -> bool:
    """Return False for nothing but zeros, which some firmware tells where it has no serial number."""
    return bool(told.strip(" 0-"))


def is_model_only(identity: str) -> bool:
    """Return whether an identity names a model and no key: every key of the model that tells no more has it."""
    return identity.startswith("model:")


def prove_identity(
    rig: Rig, expected: str | None, *, was_reset: bool = False, spend: Callable[[], None] = _spend_nothing
) -> str:
    """Check that the key on a rig is the named one; return its identity.

    :param expected: the identity in the bench; a hardware rig must have one.
    :param was_reset: a run was ended in a reset of the key, which removes its mark, and nothing but our own switch has
        interrupted its port since.
    :param spend: called before what may cost the key a write: its mark is asked for, or put back.
    :raises CallerError: it is another key, or the bench names none.
    """
    if expected is not None and expected.startswith("marker:"):
        spend()
    found = identity(rig, marks=expected is None or expected.startswith("marker:"))
    without_mark = expected is not None and _is_without_mark(rig, expected, found)
    if without_mark and was_reset and expected is not None:
        spend()
        put_mark_back(rig, expected)
        found = identity(rig)
    if expected is None and rig.evidence_kind == "hardware":
        raise CallerError(
            f'rig "{rig.name}" · identity',
            found="not set",
            expected=f"the key that this rig is for; {found} is there now",
            mend="`keyharness enroll` writes it, after you have said which key may be written to",
        )
    if expected is not None and is_model_only(expected) and rig.evidence_kind == "hardware":
        raise CallerError(
            f'rig "{rig.name}" · identity',
            found=f"{expected}: every key of this model that tells no serial number has it",
            expected="what only one key has",
            mend="`keyharness enroll` marks an empty key without a serial number; nothing was written to this one",
        )
    if expected is not None and found != expected:
        raise CallerError(
            f'rig "{rig.name}": another key is in it',
            found=f"{found}: {EMPTY}" if without_mark else found,
            expected=expected,
            mend="put the right key in, or enroll this one: nothing was written to it",
        )
    return found


EMPTY = (
    "an empty key without a mark, and no reset by us is known after which nothing else interrupted its port"
)


def _is_without_mark(rig: Rig, expected: str, found: str) -> bool:
    return rig.expendable and expected.startswith("marker:") and found.startswith("model:") and is_blank(rig)


def is_blank(rig: Rig) -> bool:
    """Return whether all applications of a key are empty, as far as they tell without cost."""
    return all(application.blank(rig) for application in rig.key.applications if application.blank)


def same_serial(one: str, other: str) -> bool:
    """Compare two serial numbers: zeros before them and the case of hex digits do not matter.

    Nothing, or nothing but zeros, is no serial number, and the same as none.
    """
    mine, its = (text.strip().lstrip("0").casefold() for text in (one, other))
    return bool(mine) and mine == its


def serials_of(key: Key, said: Mapping[str, str]) -> dict[str, str]:
    """Return the serial numbers that the faces of a key other than the first will show: face -> serial number.

    :param said: what the key told in its first face, as `Key.identify` returns it.
    """
    return {face.name: said[face.serial_is] for face in key.faces[1:] if said.get(face.serial_is)}


def recorded_serials(key: Key, expected: str, bootloader: str | None) -> dict[str, str]:
    """Return the serial numbers of the same faces as a bench records them.

    :param expected: the identity in the bench. Where a face shows the same, it needs no entry of its own.
    :param bootloader: the bench's `bootloader`, "serial:...": it holds for all these faces.
    """
    kind, _, value = expected.partition(":")
    if bootloader is None:
        return serials_of(key, {kind: value})
    return {face.name: bootloader.removeprefix("serial:") for face in key.faces[1:]}


def put_mark_back(rig: Rig, expected: str) -> None:
    """Put back the mark that a reset removed; do nothing if the key has it. The key must be on."""
    kind, _, value = expected.partition(":")
    if kind != "marker":
        return
    for application in rig.key.applications:
        if application.marker is not None and application.mark is not None:
            if application.marker(rig) != value:
                application.mark(rig, value)
            return


def unseen(rig: Rig) -> list[str]:
    """Describe the data that a key may hold without showing them."""
    silent = [
        f"{application.title}: whatever it holds, nothing says whose that is"
        for application in rig.key.applications
        if application.foreign is CANNOT_TELL
    ]
    return silent + [
        f"{application.title}: {text}"
        for application in rig.key.applications
        if application.unseen is not None and (text := application.unseen(rig))
    ]


def refuse_foreign(rig: Rig) -> None:
    """Check that all data on a key are ours.

    The key must be on, and is on afterwards.

    :raises CallerError: the key holds other data, whether it is called expendable or not; says which.
    """
    reasons = foreign(rig)
    if reasons:
        raise CallerError(
            f'rig "{rig.name}": the key holds what is not ours: {"; ".join(reasons)}',
            expected="an empty key, or one with nothing but what Keyharness made",
            mend="take another key; or, if its content is worth nothing, reset it yourself and try again",
        )


def foreign(rig: Rig) -> list[str]:
    """Describe the data on a key that are not ours; empty if there are none."""
    if rig.evidence_kind == "twin":
        return []
    return [
        f"{application.title}: {reason}"
        for application in rig.key.applications
        if application.foreign is not CANNOT_TELL
        for reason in application.foreign(rig)
    ]


def why_gone(rig: Rig, error: Exception) -> str:
    """Say why a key that was up does not answer: how it died, if the rig knows; else what the error says."""
    if isinstance(error, RigError):
        # It was not up: the switch, or the program that is the key, did not start.
        return error.what
    try:
        rig.wait_until_up()
    except KeyGone as gone:
        return gone.what
    except (KeyharnessError, OSError):
        pass
    return error.what if isinstance(error, KeyharnessError) else str(error)


def bring_up(rig: Rig) -> str | None:
    """Switch the key on and wait for it; return why it did not come up, None if it did."""
    try:
        if not rig.power.is_on:
            rig.power.on()
        rig.wait_until_up()
    except KeyGone as gone:
        return gone.what
    return None
