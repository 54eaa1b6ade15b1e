"""One mutant that is caught, one that nobody can tell from the sound twin, and one that no law is about."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.mutants.results import CAUGHT, EQUIVALENT, SURVIVED
from support.limits import HUNG_S

TRY = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from harness.mutants.choice import Mutant
from harness.mutants.edit import Text
from harness.mutants.trials import Trials

def mutants(code, changes):
    module = code.modules["harness_schsm.twin.pins"]
    text = Text(module.source)
    for number, (before, after) in enumerate(changes, 1):
        # The last place: the first one may belong to a seeded defect.
        start = text.raw.rindex(before.encode())
        edit = text.edit("by hand", start, start + len(before), after)
        yield Mutant(number, module.name, module.path, edit)

folder, limit, *changes = json.loads(sys.argv[1])
trials = Trials(Path(folder), 2, limit)
code = trials.load("nitrokey-hsm2")
found = trials.results(code, 1, list(mutants(code, changes)))
print(json.dumps([asdict(one) for one in sorted(found, key=lambda one: one.number)]))
"""


def tried(folder, limit_s, *changes):
    """The results of changes (before, after) of one module, in a process that has loaded no plugin."""
    folder.mkdir()
    words = json.dumps([str(folder), limit_s, *changes])
    done = subprocess.run(
        [sys.executable, "-c", TRY, words], capture_output=True, text=True, timeout=HUNG_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
def test_a_missing_write_is_caught_a_rewriting_is_not_and_what_no_law_is_about_survives(tmp_path):
    (caught,) = tried(tmp_path / "caught", 60, ("    _set_tries(card, reference, before - 1)", "    pass"))
    assert caught["result"] == CAUGHT
    assert "schsm.user_tries" in caught["says"]
    # Their limit is short: what nothing catches takes all of it.
    same, salt = tried(
        tmp_path / "others",
        3,
        ("hashlib.sha256(salt + code)", "hashlib.sha256(code[:0] + salt + code)"),
        ('card.random("salt", 8)', 'card.random("salt", 9)'),
    )
    assert same["result"] == EQUIVALENT
    assert same["says"].startswith("equal traces")
    assert salt["result"] == SURVIVED
    assert "flash operation" in salt["says"]


@pytest.mark.long
def test_what_was_tried_is_not_tried_again(cli, own_state):
    """The second time the journal gives the row, with the processor time of the first."""
    done = cli("prove", "--key", "nitrokey-hsm2", "--random", "1", "--seed", "3", "--limit", "2", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (row,) = document["mutants"]
    assert row["result"] in (CAUGHT, EQUIVALENT, SURVIVED, "not-reached")
    again = cli("prove", "--key", "nitrokey-hsm2", "--random", "1", "--seed", "3", "--limit", "2", "--json")
    assert json.loads(again.stdout)["mutants"] == [row]
