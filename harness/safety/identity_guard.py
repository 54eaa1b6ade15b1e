"""Prove in each enumeration anew that the key on a rig is the named one, before a client reaches it.

Every command of every client goes through a handle that `Transports.open` gives out, and no handle outlives the
enumeration in which it was opened. So this is the one place through which every power-up and every reboot passes.

The proof reads; only that of a key without a serial number, which is known by its mark, may cost a write. What a key
writes in its own boot, before anything can be asked of it, cannot be prevented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from harness.base.errors import Busy, KeyFault, KeyharnessError, RigError
from harness.model.rig import KeyGone, Rig
from harness.model.rig_parts import Presence
from harness.model.tap import Tap
from harness.model.transport import Reachable, Transports
from harness.safety.identity import identity, is_blank, is_model_only, put_mark_back, same_serial

Handle = TypeVar("Handle")

TRIES = 3
"""Number of enumerations in which an opening is tried before the key counts as gone."""


class AnotherKey(RigError):
    """Another key than the named one is on a rig, or its identity cannot be proved any more. Nothing was written."""


class ProofJournal(Protocol):
    """Keeps on disk in which enumeration a key told its identity, and that it has no mark since a reset of ours."""

    def note_proved(self, identity: str, presence: Presence | None) -> None:
        """The key told this identity in that enumeration."""

    def was_proved(self, identity: str) -> bool:
        """Return whether it told this identity in the enumeration that it is in now."""

    def reset_begun(self) -> None:
        """A reset is about to be sent."""

    def note_enumeration(self) -> None:
        """The key is known to be the one that was reset, in the enumeration that it is in."""

    def reset_finished(self) -> None:
        """The key has its mark."""


class Guard:
    """The identity of the key on one rig, as `harness.model.transport.IdentityGuard`.

    After a mismatch each opening raises the same error: what a client library makes of the first one does not matter.

    :param expected: the identity that was proved when the rig was claimed.
    :param serials: name of a face other than the first -> the serial number that it shows, recorded at enrolment.
    :param spend: called before a proof or a mark that may cost the key a write.
    :param stop: called with the error when the rig is stopped.
    :param journal: None on a rig without one.
    """

    def __init__(
        self,
        rig: Rig,
        expected: str,
        serials: Mapping[str, str],
        spend: Callable[[], None],
        stop: Callable[[AnotherKey], None],
        journal: ProofJournal | None = None,
    ):
        self._journal, self._resets = journal, journal if expected.startswith("marker:") else None
        self._rig, self._expected, self._serials = rig, expected, serials
        self._spend, self._stop = spend, stop
        self._is_asking = False
        self._stopped: AnotherKey | None = None
        self._proved: Presence | None = None
        self._interruptions: int | None = None
        """What the rig had counted when the key was last known by its own identity."""
        self._is_reset = self._is_blank = False

    # What `Transports` and campaigns call.

    def opened(self, connect: Callable[[Reachable], Handle]) -> Handle:
        if self._stopped is not None:
            raise self._stopped
        if self._is_asking:
            return connect(_Asked(self._rig))
        for _ in range(TRIES):
            self._prove()
            handle = connect(self._rig)
            # It may have been replaced between the proof and the opening; then the proof is of another one.
            if self._rig.presence == self._proved:
                return handle
        raise KeyGone(f'rig "{self._rig.name}": the key enumerated anew each time that it was opened')

    def expect_reset(self) -> None:
        self._is_reset = True
        if self._resets is not None:
            self._resets.reset_begun()

    def looked_at(self) -> None:
        rig = self._rig
        if self._stopped is not None or not self._is_blank or not rig.power.is_on:
            return
        try:
            # It is asked for its mark, and then marked.
            self._spend()
            self._spend()
            put_mark_back(rig, self._expected)
        except Exception as error:
            # A key that leaves or refuses after a cut has been judged already; the next home state is marked, too.
            if not isinstance(error, OSError) and rig.key.fault(error) is None:
                raise
            return
        self._is_blank, self._proved = False, None

    # The proof.

    def _prove(self) -> None:
        rig = self._rig
        rig.wait_until_up()
        presence = rig.presence
        if presence is not None and presence == self._proved:
            return
        self._is_asking = True
        try:
            if rig.face == rig.key.faces[0].name:
                self._ask_key(presence)
            else:
                self._read_serial()
        except AnotherKey as error:
            # The rig's other handles are of other keys: none is given out any more.
            self._stopped = error
            self._stop(error)
            raise
        finally:
            self._is_asking = False
        self._proved = presence

    def _ask_key(self, presence: Presence | None) -> None:
        interruptions = presence.interruptions if presence is not None else None
        is_marked = self._expected.startswith("marker:")
        if is_marked:
            self._spend()
        try:
            # A key that is known by its serial number is asked for no more: it may be a stranger's.
            found = identity(self._rig, marks=is_marked)
            if found == self._expected:
                self._is_reset = self._is_blank = False
                self._interruptions = interruptions
                if self._resets is not None:
                    self._resets.reset_finished()
                if self._journal is not None:
                    self._journal.note_proved(found, presence)
                return
            blank = is_marked and is_model_only(found) and is_blank(self._rig)
        except Exception as error:
            fault = self._rig.key.fault(error)
            if isinstance(error, KeyharnessError | OSError) and not _says_nothing(fault):
                raise
            if fault is None:
                raise
            if isinstance(fault, Busy):
                if self._journal is not None and self._journal.was_proved(self._expected):
                    return
                raise self._busy() from error
            raise self._another(f"the key did not tell its identity: {fault.what}") from error
        if not blank:
            raise self._another(found)
        if not self._is_reset:
            raise self._another("an empty key without a mark, though nothing has reset the key")
        if interruptions is None or interruptions != self._interruptions:
            raise self._another("an empty key without a mark, after something else had interrupted its port")
        self._is_blank = True
        if self._resets is not None:
            self._resets.note_enumeration()

    def _read_serial(self) -> None:
        face, shown = self._rig.face, self._rig.transports.identity().serial
        wanted = self._serials.get(face)
        if wanted is None:
            raise AnotherKey(
                f'rig "{self._rig.name}": the key is in its {face}, and nothing says which key that is',
                found=f"serial {shown}" if shown else "no serial number",
                expected=f"the {face}'s serial number in the bench, as `keyharness enroll` writes it",
                mend=f'bootloader = "serial:..." in the bench, or enroll the key again; nothing was written in its '
                f"{face}",
            )
        if shown is None or not same_serial(shown, wanted):
            raise self._another(
                f"a {face} with serial {shown}" if shown else f"a {face} without a serial", wanted
            )

    def _busy(self) -> RigError:
        return RigError(
            f'rig "{self._rig.name}": the key cannot be asked who it is',
            found="busy with a request of another program",
            expected=self._expected,
            mend="end that request first",
        )

    def _another(self, found: str, expected: str | None = None) -> AnotherKey:
        return AnotherKey(
            f'rig "{self._rig.name}": another key is in it than when it was claimed',
            found=found,
            expected=f"serial {expected} of {self._expected}" if expected else self._expected,
            mend="nothing was written to this one and nothing is judged by it: put the right key in, then "
            f"`keyharness quarantine {self._rig.name} --clear --reason TEXT`",
        )


class SameEnumeration:
    """Reach a key only in the enumeration in which it was examined, as `harness.model.transport.IdentityGuard`.

    For a key that cannot be known again because it has no mark yet; it must be up.
    """

    def __init__(self, rig: Rig):
        self._rig, self._examined = rig, rig.presence

    def opened(self, connect: Callable[[Reachable], Handle]) -> Handle:
        handle = connect(self._rig)
        if self._rig.presence != self._examined:
            raise AnotherKey(
                f'rig "{self._rig.name}": its key has left the port since it was examined',
                found="a key that came later",
                expected="the key that was shown: it cannot be told from another one yet",
                mend="leave it where it is, and enroll it again; nothing was written",
            )
        return handle

    def expect_reset(self) -> None: ...

    def looked_at(self) -> None: ...


def _says_nothing(fault: KeyFault | None) -> bool:
    """Return whether a key that answers has not told its identity; a key that does not answer is only gone."""
    return fault is not None and not isinstance(fault, KeyGone)


class _Asked:
    """A rig while its key is asked who it is: no mark of the operation is made by these commands."""

    def __init__(self, rig: Rig):
        self.name = rig.name
        self.tap = Tap(rig.clock)
        self.transports: Transports = rig.transports
