"""What happens to a card in daily use: a client that gives up, two programs at once, a daemon that is started again.

Real clients, through a pcscd of this process's own. What counts is what the card says afterwards.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.base.errors import RigError
from harness.bench.plugin_api import RigRequest
from harness.bench.registry import discover
from harness_cards.curves import BY_NAME
from harness_rigs.emulator.private_pcscd import DAEMON
from harness_rigs.emulator.rig import EmulatorOptions, EmulatorRig
from harness_schsm import cvc
from harness_schsm.client import EC_SHA256, KEY, SO, ScHsm
from harness_schsm.items import verifies
from support import counting_twin, opensc
from support.emulator.emulated import kill_the_daemon
from support.hsm import NAME
from support.limits import HUNG_S
from support.opensc import TOOLS, Tools
from support.paths import with_support

if opensc.missing() is None:
    from smartcard import scard
    from smartcard.System import readers

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(opensc.missing() is not None, reason=str(opensc.missing())),
]
PIN, NEW_PIN, SO_PIN = "648219", "271828", "3537363231383830"
INITIALIZE = "8050"
TEXT = b"signed afterwards"


class Card:
    """A card of the home state of these tests: initialised, with the EC key 1.

    :ivar control: what the twin is told.
    """

    def __init__(self, folder: Path):
        self.control = folder / "control"
        self.control.mkdir()
        for name in ("held", "go"):
            os.mkfifo(self.control / name)
        (self.control / "cut").write_text("0")
        command = [
            *(sys.executable, counting_twin.__file__, str(self.control), NAME),
            *("--state", "{state}", "--speed", "max", "--vpcd", "127.0.0.1:{port}"),
        ]
        environ = {"PYTHONPATH": with_support()["PYTHONPATH"]}
        options = EmulatorOptions(command=command, env=environ, transport="pcsc", ready_s=300, answer_s=300)
        self.rig = EmulatorRig(RigRequest("life-1", discover().keys[NAME], True, 1, options))
        client = self.boot()
        self.tool = Tools(folder, DAEMON.environ)
        client.initialize(SO_PIN, PIN, shares=0)
        client.verify(PIN)
        self.key = cvc.decode_authenticated(client.generate_ec(1, BY_NAME["secp256r1"])).request.key()
        self.rig.power.off()
        self.start = self.rig.vault.snapshot()

    def boot(self, *, hold: str = "") -> ScHsm:
        self.rig.power.off()
        (self.control / "hold").write_text(hold)
        if not hold:
            (self.control / "hold").unlink()
        self.rig.power.on()
        self.rig.wait_until_up()
        return ScHsm(self.rig)

    def restored(self, *, hold: str = "") -> ScHsm:
        self.rig.power.off()
        self.rig.vault.restore(self.start)
        return self.boot(hold=hold)

    def signs(self, client: ScHsm) -> bool:
        return verifies(self.key, client.sign(1, EC_SHA256, TEXT), TEXT)

    @contextmanager
    def initializing(self) -> Iterator[subprocess.Popen[str]]:
        """Let sc-hsm-tool initialise the card; entered while the card has the command and has done nothing yet."""
        words = ("--initialize", "--so-pin", SO_PIN, "--pin", NEW_PIN)
        held = select.poll()
        reading = os.open(self.control / "held", os.O_RDONLY | os.O_NONBLOCK)
        held.register(reading, select.POLLIN)
        with subprocess.Popen(
            [str(TOOLS / "sc-hsm-tool"), *words],
            env=self.tool.environ,
            cwd=self.tool.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as client:
            has_it = held.poll(HUNG_S * 1000)
            os.close(reading)
            try:
                assert has_it, "sc-hsm-tool has sent no INITIALIZE"
                yield client
            finally:
                client.kill()

    def given_up(self) -> None:
        """Kill sc-hsm-tool in that state."""
        with self.initializing():
            pass

    def suspended(self, client: subprocess.Popen[str], *, powered: bool) -> None:
        """Suspend the host and resume it: nothing runs in between. :param powered: does the card keep its power?"""
        assert DAEMON._process is not None
        running = [client.send_signal, DAEMON._process.signal, self.rig.emulated.process.signal]
        for send in running:
            send(signal.SIGSTOP)
        if not powered:
            self.rig.emulated.kill()
        for send in reversed(running):
            send(signal.SIGCONT)

    def go_on(self) -> None:
        (self.control / "go").open("w").close()


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    made = Card(tmp_path_factory.mktemp("life"))
    try:
        yield made
    finally:
        made.rig.close()


def test_an_initialize_that_outlasts_its_client_is_done_all_the_same(card):
    """To its owner it has failed; the card finishes it, and says so when it is asked."""
    card.restored(hold=INITIALIZE)
    card.given_up()
    card.go_on()
    # The reader is free for the next program when the card has answered.
    assert "User PIN tries left : 3" in card.tool("sc-hsm-tool")
    client = card.boot()
    client.verify(NEW_PIN)
    assert client.objects() == [KEY]
    assert client.state(SO) == 0x63CF


def test_an_initialize_that_outlasts_its_client_and_then_loses_its_power_has_changed_nothing(card):
    card.restored(hold=INITIALIZE)
    card.given_up()
    client = card.boot()
    assert client.state(SO) == 0x63CF
    client.verify(PIN)
    assert card.signs(client)


def test_a_host_that_is_suspended_in_mid_initialize_and_leaves_the_card_its_power_completes_it(card):
    card.restored(hold=INITIALIZE)
    with card.initializing() as tool:
        card.suspended(tool, powered=True)
        card.go_on()
        said = tool.communicate(timeout=HUNG_S)[0]
    assert "failed" not in said
    client = card.boot()
    client.verify(NEW_PIN)
    assert client.objects() == [KEY]
    assert client.state(SO) == 0x63CF


def test_a_host_that_is_suspended_in_mid_initialize_without_power_for_the_card_has_changed_nothing(card):
    """The tool says so when the host resumes, and no try is lost."""
    card.restored(hold=INITIALIZE)
    with card.initializing() as tool:
        card.suspended(tool, powered=False)
        said = tool.communicate(timeout=HUNG_S)[0]
    assert "failed" in said
    client = card.boot()
    assert client.state(SO) == 0x63CF
    client.verify(PIN)
    assert card.signs(client)


def test_a_tool_of_another_process_drops_the_login_and_costs_no_try(card):
    client = card.restored()
    client.verify(PIN)
    assert card.signs(client)
    assert "User PIN tries left : 3" in card.tool("sc-hsm-tool")
    assert client.exchange(0x68, 1, EC_SHA256, TEXT, cla=0x80, le=65536) == (b"", 0x6982)
    client.verify(PIN)
    assert card.signs(client)


def test_two_processes_at_once_lose_no_key_and_no_try(card):
    """Each selects the applet and logs in. One may log the other out; what either says to have made is there."""
    card.restored()
    started = []
    for number in (16, 17):
        pair = ("--keypairgen", "--key-type", "EC:prime256v1", "--id", str(number))
        words = [TOOLS / "pkcs11-tool", "--module", opensc.module(), "--login", "--pin", PIN, *pair]
        started.append(
            subprocess.Popen(
                list(map(str, words)),
                env=card.tool.environ,
                cwd=card.tool.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    said = [process.communicate(timeout=HUNG_S)[0] for process in started]
    client = card.boot()
    assert client.state() in (0x63C2, 0x63C3), said
    assert client.state(SO) == 0x63CF
    client.verify(PIN)
    assert card.signs(client), "the key of before"
    made = sum("Key pair generated" in one for one in said)
    assert sum(fid >> 8 == KEY >> 8 for fid in client.objects()) >= 2 + made, said


def test_a_card_that_another_program_resets_is_the_rigs_fault(card):
    client = card.restored()
    other = next(one for one in readers() if str(one) == card.rig.options.reader).createConnection()
    other.connect(disposition=scard.SCARD_RESET_CARD)
    other.disconnect()
    other.release()
    with pytest.raises(RigError, match="another program has reset the card") as error:
        client.verify(PIN)
    assert card.rig.options.reader in error.value.what
    card.boot().verify(PIN)


def test_a_daemon_that_is_started_again_ends_the_login_and_loses_nothing(card):
    client = card.restored()
    client.verify(PIN)
    kill_the_daemon()
    with pytest.raises(RigError, match="pcsc"):
        client.sign(1, EC_SHA256, TEXT)
    card.rig.emulated.kill()
    with pytest.raises(RigError, match="pcscd"):
        card.rig.power.off()
    client = card.boot()
    assert client.state() == 0x63C3, "nobody is logged in"
    client.verify(PIN)
    assert card.signs(client)
