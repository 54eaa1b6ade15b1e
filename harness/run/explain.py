"""Explain a dump of a key's flash: which recorded cut leaves exactly or nearly this, and what the key does with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from harness.base.errors import CallerError, one_of
from harness.campaign.common import CampaignTerms
from harness.campaign.judging import fingerprint
from harness.campaign.walk import Campaign
from harness.model.row import replay_id
from harness.run.session import Session
from harness.run.wanted import Wanted
from harness.twin.recorder import recorder

NEAREST = 5
"""So many cuts are named when none leaves exactly the dump."""


@dataclass(frozen=True)
class Match:
    """A cut, and in how many words the dump differs from what it leaves.

    :ivar replay: its replay id.
    """

    cut: str
    at: str
    words: int
    replay: str


@dataclass(frozen=True)
class Explained:
    """What is said of a dump.

    :ivar before: in how many words it differs from the state before the operation; `after` from the one after it.
    :ivar images: number of distinct states that were compared.
    :ivar matches: the cuts that leave exactly the dump; if there are none, those that are nearest.
    :ivar outcome: how the judge calls the state, had the operation not been acknowledged.
    :ivar values: item -> what the key shows when it boots on the dump.
    """

    rig: str
    operation: str
    before: int
    after: int
    images: int
    outcome: str
    matches: list[Match] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    stuck: str | None = None

    @property
    def exact(self) -> bool:
        return bool(self.matches) and self.matches[0].words == 0

    def table(self) -> dict[str, Any]:
        """Return it as a JSON-able table."""
        return {
            **{
                name: getattr(self, name)
                for name in ("rig", "operation", "exact", "images", "before", "after")
            },
            **{name: getattr(self, name) for name in ("outcome", "stuck", "breaches", "values")},
            "matches": [vars(one) for one in self.matches],
        }


def explain(
    image: Path, bench: Path | None, rig_name: str | None, operation: str, seed: int | None
) -> Explained:
    """Compare a dump with the state that each cut into an operation leaves, and boot the key on it.

    :param image: a file, or a folder with the key's files, as the rig's recorder reads it.
    :raises CallerError: the bench has no such rig or operation, nothing records its key, or the dump does not fit it.
    """
    names = () if rig_name is None else (rig_name,)
    session = Session(Wanted(bench, names, (), seed), purpose="explain")
    try:
        if len(session.rig_names) != 1:
            raise CallerError(
                "--rig",
                found=f"{len(session.rig_names)} rigs in {session.bench.shown}",
                expected="one of " + ", ".join(session.rig_names),
                mend="say whose flash the dump is of",
            )
        return _explain(session, image, operation)
    finally:
        session.close()


def _explain(session: Session, image: Path, name: str) -> Explained:
    rig = session.rig(session.rig_names[0])
    inside = recorder(rig)
    if inside is None:
        raise CallerError(
            f'rig "{rig.name}"',
            found="a rig on which nothing records what the key writes",
            expected="a simulated key, or an emulator with [rig.flash]",
            mend="take another rig of the bench",
        )
    if name not in rig.key.operations:
        raise CallerError(
            "--operation",
            found=name,
            expected=one_of(name, list(rig.key.operations)),
            mend="name one of these",
        )
    campaign = Campaign(rig, rig.key.operations[name], session.homes.home(rig.name), CampaignTerms())
    trace = campaign.prepare().trace
    dump = inside.read_dump(image, trace.base)
    words = {}
    cuts = {}
    for cut, state in trace.images(trace.all_cuts(inside.torn_phases)):
        digest = state.digest()
        if digest not in words:
            words[digest] = inside.distance(dump, state)
        cuts[cut.label] = (cut, digest)
    least = sorted(set(words.values()))[: 1 if 0 in words.values() else NEAREST]
    nearest = sorted(
        (found for found in cuts.values() if words[found[1]] in least), key=lambda found: words[found[1]]
    )
    verdict, seen = campaign.look_at(dump)
    check = fingerprint(rig)
    matches = [
        Match(
            cut.label,
            campaign.where(cut),
            words[digest],
            replay_id(rig.name, name, rig.seed, cut.label, check),
        )
        for cut, digest in nearest[: None if least == [0] else NEAREST]
    ]
    return Explained(
        rig.name,
        name,
        inside.distance(dump, trace.base),
        inside.distance(dump, trace.final),
        len(words),
        verdict.outcome.value,
        matches,
        [one.text for one in verdict.breaches],
        {item: str(value) for item, value in sorted(seen.values.items())},
        seen.stuck,
    )


def show(found: Explained, out: TextIO, bench: Path | None = None) -> None:
    """Print what is said of a dump.

    :param bench: named in the command that replays the nearest cut.
    """
    out.write(f"{found.rig} · {found.operation} · {found.images:,} distinct states compared\n\n")
    if found.before == 0:
        out.write("  The dump is the state before the operation.\n")
    if found.after == 0:
        out.write("  The dump is the state after the operation.\n")
    if found.exact:
        out.write(f"  Exactly this is left by {len(found.matches)} cuts:\n")
    else:
        out.write("  No cut leaves exactly this. The nearest:\n")
    for one in found.matches:
        differs = "" if found.exact else f"   {one.words:,} words differ"
        out.write(f"    {one.cut:<14} {one.at}{differs}\n")
    if found.matches:
        named = f" --bench {bench}" if bench else ""
        out.write(f"\n  keyharness replay {found.matches[0].replay}{named}\n")
    out.write(f"\n  Booted on it: {found.stuck or found.outcome}\n")
    for item, value in found.values.items():
        out.write(f"    {item:<30} {value}\n")
    for text in found.breaches:
        out.write(f"  {text}\n")
