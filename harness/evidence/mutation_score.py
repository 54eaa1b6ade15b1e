"""The newest score of `keyharness prove --random` for each key, as JSON in this user's state folder.

The report of a run shows the score of its keys if the same version of Keyharness made it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from harness.base.atomic_file import read_json, write_durably
from harness.base.shape import misfit, shape_of
from harness.evidence.ledger import state_dir

FILE = "mutation-scores.json"


@dataclass(frozen=True)
class MutationScore:
    """How many mutants of a key's twin the harness caught.

    :ivar code: digest of the code of Keyharness and its plugins. :ivar made: when, in UTC.
    :ivar caught: of `counted`, which are those that differ from the sound twin.
    :ivar equivalent: mutants that do nothing else than the sound twin, as far as traces tell.
    :ivar not_reached: mutants whose code nothing executes that the harness does.
    :ivar low: with `high` the interval of 95 % (Clopper and Pearson) for all mutants of the rules.
    """

    key: str
    version: str
    code: str
    made: str
    seed: int
    caught: int
    counted: int
    equivalent: int
    not_reached: int
    low: float
    high: float

    @property
    def text(self) -> str:
        """One sentence, for reports."""
        share = self.caught / self.counted if self.counted else 0.0
        return (
            f"{self.caught} of {self.counted} mutants of the twin caught ({share:.0%}, "
            f"95 % interval {self.low:.0%} to {self.high:.0%}; seed {self.seed})"
        )


def scores_file() -> Path:
    return state_dir() / FILE


def keep_score(score: MutationScore) -> None:
    """Keep a score in place of the older one of its key.

    :raises RigError: it cannot be written.
    """
    write_durably(scores_file(), {**(read_json(scores_file()) or {}), score.key: asdict(score)})


def newest_score(key: str, version: str) -> MutationScore | None:
    """Return the score of a key; None if there is none of this version, or none that can be read."""
    scores = read_json(scores_file()) or {}
    if key not in scores or misfit(scores[key], shape_of(MutationScore)) is not None:
        return None
    kept = scores[key]
    if kept["version"] != version:
        return None
    return MutationScore(**{one.name: kept[one.name] for one in fields(MutationScore)})
