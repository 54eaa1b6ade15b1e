"""An operator's update: another device must be there, words must be typed, and the bench follows the new identity."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from harness.base.errors import CallerError, KeyFault
from harness.bench.registry import discover
from harness.commands.operator_update import DONE, WORDS, update
from harness.evidence.ledger import Ledger
from harness.run.session import Session
from harness.run.wanted import Wanted
from harness.safety.budget import Budget, BudgetExhausted, Grants
from harness.safety.claim import Claims
from harness_cards.curves import BY_NAME
from harness_schsm.client import SO, USER, ScHsm
from harness_schsm.portal import Helper, Portal, Why, seen
from harness_schsm.update_operations import block_so_pin
from support.emulator.emulated import namespaces_permitted
from support.hsm import NAME

PIN, SO_PIN = "648219", "3537363231383830"
TWIN = ["keyharness", "twin", NAME, "--state", "{state}", "--speed", "max", "--vpcd", "127.0.0.1:{port}"]


def bench(*rigs: str) -> str:
    entries = []
    for number, name in enumerate(rigs):
        entries += [
            "[[rig]]",
            f'name = "{name}"  # of the lab',
            *(f'key = "{NAME}"', 'driver = "emulator"', "expendable = true", 'transport = "vpcd"'),
            *("ready_s = 300", "answer_s = 300"),
            f"command = {json.dumps([*TWIN, '--seed', str(number + 1)])}",
            "" if namespaces_permitted() else 'isolation = "none"',
        ]
    return "\n".join(entries)


class Lab:
    """Two devices on a bench file; the second logs in to the portal.

    :ivar asked: what the operator was asked.
    """

    def __init__(self, folder: Path):
        self.file = folder / "lab.toml"
        self.file.write_text(bench("device", "helper"))
        self.session = Session(Wanted(self.file), discover(), purpose="test")
        self.asked: list[str] = []
        self.out = io.StringIO()
        for name in ("device", "helper"):
            rig = self.session.rig(name)
            rig.power.on()
            rig.wait_until_up()
        self.card("helper").initialize(SO_PIN, PIN)

    def card(self, name: str) -> ScHsm:
        return ScHsm(self.session.rig(name))

    def update(self, *, words: str = WORDS, portal: bool = True) -> str:
        """Let an operator do it. :param portal: does the portal do its part?"""

        def ask(question: str) -> str:
            self.asked.append(question)
            if DONE not in question:
                return words
            if portal:
                card = self.card("device")
                major, minor = seen(card).version
                Portal((major, minor + 1)).update(card, Helper.WORKING)
            return DONE

        return update(self.session, "device", "helper", self.out, ask)


@pytest.fixture
def lab(tmp_path):
    made = Lab(tmp_path)
    try:
        yield made
    finally:
        made.session.close()


@pytest.mark.long
def test_the_bench_names_the_new_identity_and_keeps_what_was_written(lab):
    before = lab.file.read_text()
    new = lab.update()
    assert new == f"serial:{lab.session.rig('device').key.identify(lab.session.rig('device'))['serial']}"
    after = lab.file.read_text()
    assert after.count(f'identity = "{new}"') == 1
    assert after.index(new) < after.index('name = "helper"')
    assert [line for line in after.splitlines() if "identity" not in line] == before.splitlines()
    assert new in lab.out.getvalue()
    # Through the portal's words, in order, and nothing else.
    assert [line.split()[0] for line in lab.out.getvalue().splitlines() if line.startswith("  ")] == [
        "1",
        "2",
        "3",
    ]


@pytest.mark.long
def test_what_is_refused_changes_nothing(lab, tmp_path, monkeypatch):
    """One story: each refusal comes before anything is done."""
    before, card = lab.file.read_text(), lab.card("device")
    identity = card.certificates()

    def refusal(kind: type[Exception] = CallerError, **how: object) -> str:
        with pytest.raises(kind) as error:
            lab.update(**how)
        assert lab.card("device").certificates() == identity
        assert lab.file.read_text() == before
        return str(error.value.found)

    assert refusal(words="yes") == "something else"
    assert not any(DONE in question for question in lab.asked)
    # The portal did nothing: the same device came back.
    assert refusal(KeyFault, portal=False) == "its identity is the same"
    # Keys are on it, and its SO-PIN is not blocked.
    card = lab.card("device")
    card.initialize(SO_PIN, PIN)
    card.verify(PIN)
    card.generate_ec(1, BY_NAME["secp256r1"])
    assert refusal() == Why.KEYS.value
    # Blocked: allowed, and forced; of that nothing is granted.
    block_so_pin(lab.session.rig("device"))
    assert lab.card("device").state(SO) == 0x6983
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    budget = Budget(ledger, "serial:1", "hardware", "device", Grants())
    monkeypatch.setattr(Claims, "budget", lambda self, rig: budget)
    refusal(BudgetExhausted)
    # The other device is blocked, and does not log in.
    other = lab.card("helper")
    while other.state(USER) != 0x6983:
        other.exchange(0x20, 0, USER, b"00000000")
    assert refusal() == Why.BLOCKED_HELPER.value


@pytest.mark.parametrize(
    ("rigs", "helper", "said"),
    [
        (("device",), "device", "the bench has no other device of this model"),
        (("device", "helper"), "device", "device"),
        (("device", "helper"), "nobody", "nobody"),
    ],
)
def test_the_last_device_is_never_updated_and_a_device_does_not_help_itself(tmp_path, rigs, helper, said):
    file = tmp_path / "lab.toml"
    file.write_text(bench(*rigs))
    session = Session(Wanted(file), discover(), purpose="test")
    try:
        with pytest.raises(CallerError) as error:
            update(session, "device", helper, io.StringIO(), lambda question: WORDS)
    finally:
        session.close()
    assert error.value.found == said


def test_it_never_runs_unattended(cli):
    (cli.cwd / "lab.toml").write_text(bench("device", "helper"))
    done = cli("operator-update", "device", "--helper", "helper", "--bench", "lab.toml")
    assert done.returncode == 4
    assert "no terminal" in done.stderr
