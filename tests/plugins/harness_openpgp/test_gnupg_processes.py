"""GnuPG's own processes: gone when a keyring is closed, and nothing waits for a dialogue that was broken off."""

from __future__ import annotations

import os
import select
import threading

import pytest

from harness_openpgp import gnupg
from harness_openpgp.gnupg import Gnupg

pytestmark = pytest.mark.skipif(gnupg.missing() is not None, reason=str(gnupg.missing()))
ASKS = "#!/bin/sh\necho '[GNUPG:] GET_LINE keyedit.prompt'\nexec cat > /dev/null\n"
"""A gpg that asks for a command, and ends with its input."""


@pytest.fixture
def owner(tmp_path_factory):
    made = Gnupg(tmp_path_factory.mktemp("gpg") / "home", {}, "no reader")
    yield made
    made.close()


def test_a_keyring_is_closed_when_its_agent_has_ended(owner):
    """The next program would ask an agent that is just ending."""
    said = owner.run("gpg-connect-agent", "GETINFO pid", "/bye").stdout
    agent = os.pidfd_open(int(said.split()[1]))
    try:
        owner.close()
        assert select.select([agent], [], [], 0)[0]
    finally:
        os.close(agent)


def test_a_dialogue_that_is_broken_off_leaves_nothing_that_waits(owner):
    program = owner.folder / "gpg"
    program.write_text(ASKS)
    program.chmod(0o755)
    owner.environ["PATH"] = f"{owner.folder}:{owner.environ['PATH']}"

    def interrupted():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        owner.dialogue(commands=interrupted(), answers={})
    # The thread of one that was cancelled may still be about to end.
    timers = [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
    assert all(one.finished.is_set() for one in timers)
