"""What an abnormal cut of a live key leaves: taken right after the cut, kept as files, looked at again later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from harness.base.errors import CallerError
from harness.campaign.judging import CutJudge, with_deaths
from harness.campaign.kept_memory import decoded, encoded
from harness.campaign.live_observer import LiveObserver
from harness.campaign.observe import NO_ANSWER, Seen, observe
from harness.evidence.abnormal import STATE
from harness.model.judge import Breach
from harness.model.key import client_logs
from harness.model.memory import Memory
from harness.model.rig import Rig
from harness.model.row import Row

KNOWN = "known.json"
"""What the host knew, beside a kept state."""


@dataclass(frozen=True)
class Remains:
    """What was there right after a cut; looking at the key changes it.

    :ivar state: of the rig's vault; None without one.
    :ivar words: file name -> content: the last output, the last messages, what the clients' libraries logged.
    """

    state: object
    words: Mapping[str, bytes]

    @classmethod
    def of(cls, rig: Rig) -> Remains:
        """Take them; the key is off."""
        state = rig.vault.snapshot() if rig.vault is not None else None
        words = {**rig.last_words(), **client_logs(rig.key)}
        return cls(state, {**words, "transport.log": rig.tap.messages.encode()})

    def files(self, observer: LiveObserver, promise: Memory, seen: Seen, *, exact: bool) -> dict[str, bytes]:
        """Return what is kept of the cut: path -> content.

        :param promise, exact: as the key was observed with.
        """
        vault, prepared = observer.rig.vault, observer.prepared
        state = vault.to_files(self.state) if vault is not None else {}
        known = {
            "memory": observer.runner.memory,
            "promise": promise,
            "before": prepared.before,
            "items": [item.name for item in prepared.items],
            "exact": exact,
        }
        return {
            **{f"{STATE}{name}": content for name, content in state.items()},
            **{f"answer-{item}.bin": answer for item, answer in seen.answers.items()},
            **self.words,
            KNOWN: json.dumps(encoded(known)).encode(),
        }


def look_again(
    observer: LiveObserver, row: Row, files: Mapping[str, bytes], secrets: Mapping[str, str]
) -> tuple[Row, list[Breach]]:
    """Observe and judge a state that a run has kept; the key is off afterwards.

    :param row: the evidence of its cut. :param files: of its folder, by their paths.
    :param secrets: the PINs of this rig -> what stands for them in the kept files.
    :raises CallerError: the key on this rig keeps its state, and no other can be put into it.
    :raises KeyError, ValueError, TypeError: the files are not whole.
    """
    rig, vault = observer.rig, observer.rig.vault
    if vault is None:
        raise CallerError(
            f'rig "{rig.name}": no kept state can be looked at',
            found="a key whose state only the key can change",
            expected="a twin or an emulator",
            mend="read the logs beside the row; `keyharness replay ID` makes the cut again",
        )
    text = files[KNOWN].decode()
    for secret, shown in secrets.items():
        text = text.replace(shown, secret)
    known = decoded(json.loads(text))
    if not isinstance(known, dict):
        raise ValueError(f"{KNOWN} holds no table")
    vault.restore(vault.from_files({name.removeprefix(STATE): body for name, body in files.items()}))
    items = tuple(item for item in observer.prepared.items if item.name in known["items"])
    memory, promise = known["memory"], known["promise"]
    rig.take_deaths()
    seen = observe(rig, items, memory, promise, exact=known["exact"])
    rig.power.off()
    unanswered = [name for name, value in seen.values.items() if value == NO_ANSWER]
    answered = tuple(item for item in items if item.name not in unanswered)
    judge = CutJudge(observer.operation, answered, known["before"], memory, promise)
    # Whether a guess was free depends on when it was cut; that stays as the row says it.
    verdict = judge.verdict(seen, None, acknowledged=bool(row["acknowledged"]), since_request_us=None)
    deaths = rig.take_deaths()
    verdict = with_deaths(verdict, deaths, unanswered)
    changed = {name: list(pair) for name, pair in verdict.changed.items()}
    again = {"outcome": verdict.outcome.value, "world": verdict.world, "changed": changed}
    return {**row, **again, "death": "; ".join(deaths) or None}, list(verdict.breaches)
