"""Check the folders that a run writes to besides its report: locks, the ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator

from harness.base.errors import KeyharnessError
from harness.doctor.context import CheckedHost, CheckResult, fault
from harness.evidence.ledger import ledger_url, state_dir
from harness.host.locks import runtime_dir


def folders(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check that this user may write to them."""
    try:
        runtime_dir()
    except KeyharnessError as error:
        yield fault("folders", f"{error.what}: {error.found}", error.mend or "name one in KEYHARNESS_RUNTIME")
    folder = state_dir()
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        yield fault(
            "folders",
            f"{folder} is not writable by you: a run could not record what it does to keys",
            "name another folder in XDG_STATE_HOME",
        )
    url = ledger_url()
    if url.startswith("sqlite:///"):
        file = url.removeprefix("sqlite:///")
        if os.path.exists(file) and not os.access(file, os.W_OK):
            yield fault(
                "folders", f"the ledger {file} is not writable by you", "see its owner: `ls -l` on it"
            )
