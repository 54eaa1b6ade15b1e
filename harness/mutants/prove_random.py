"""`keyharness prove --random N`: change the twin's code in N places, one at a time, and count what is caught.

What is done stands in a journal, so that the same command goes on after a kill. The journal belongs to one state of the
code: after a change of the harness or of the twin everything is tried again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from harness.base.atomic_file import append_durably, read_lines
from harness.base.json_document import json_document
from harness.evidence.ledger import now, state_dir
from harness.evidence.mutation_score import MutationScore, keep_score
from harness.mutants.choice import choose
from harness.mutants.results import Result, score_of, show, show_sum
from harness.mutants.trials import Trials
from harness.run.wanted import default_seed

LEAST = 30
"""Mutants that count, from which a score is kept for reports: the interval of fewer is too wide to say anything."""


def prove_random(
    given: str | None,
    seed: int | None,
    count: int,
    processes: int | None,
    limit_s: float,
    as_json: bool,
    out: TextIO,
) -> int:
    """Try `count` mutants of a key's twin; return 0 when all are tried, whatever was caught.

    :param given: name of the key; None means that of the default bench.
    :param processes: number of trials at the same time; None: as many as this process has processors.
    :param limit_s: processor time of one trial.
    :raises CallerError: no such key, or a key without a twin that says where its code is.
    """
    with tempfile.TemporaryDirectory(prefix="keyharness-mutants-") as name:
        folder = Path(name)
        trials = Trials(folder, processes or len(os.sched_getaffinity(0)), limit_s)
        code = trials.load(given)
        root = default_seed() if seed is None else seed
        mutants = choose(list(code.modules.values()), root, count)
        journal = state_dir() / "mutants" / f"{code.key}-{root}-{limit_s:.0f}s-{code.digest}.jsonl"
        done = {row["number"]: Result(**row) for row in read_lines(journal)}
        if not as_json:
            out.write(f"{code.title} · seed {root} · {len(mutants)} mutants, {limit_s:.0f} s each\n\n")
            for mutant in mutants:
                if mutant.number in done:
                    show(done[mutant.number], out)
        left = [mutant for mutant in mutants if mutant.number not in done]
        for result in trials.results(code, root, left) if left else ():
            append_durably(journal, result.row)
            done[result.number] = result
            if not as_json:
                show(result, out)
        results = [done[mutant.number] for mutant in mutants]
        score = score_of(results, code.key, code.digest, root, now())
        if score.counted >= LEAST:
            keep_score(score)
        _tell(results, score, as_json, out)
    return 0


def _tell(results: Sequence[Result], score: MutationScore, as_json: bool, out: TextIO) -> None:
    if as_json:
        out.write(json_document("prove", mutants=[one.row for one in results], score=score.__dict__))
    else:
        show_sum(results, score, out)
