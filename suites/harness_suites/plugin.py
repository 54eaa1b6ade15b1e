"""What this package offers to Keyharness."""

from __future__ import annotations

from pathlib import Path

from harness.api import Suite, hookimpl

HERE = Path(__file__).parent


@hookimpl
def keyharness_suites() -> list[Suite]:
    return [
        Suite(
            "conformance",
            "does it speak as the specification says?",
            HERE / "conformance",
            application="fido2",
        ),
        Suite(
            "downgrade",
            "does it take only firmware that it may take?",
            HERE / "downgrade",
            application="update",
        ),
        Suite(
            "schsm",
            "does the card answer as the clients of a SmartCard-HSM expect?",
            HERE / "schsm",
            application="schsm",
        ),
        Suite(
            "openpgp",
            "does the card answer as the OpenPGP card specification says?",
            HERE / "openpgp",
            application="openpgp",
        ),
        Suite(
            "pro",
            "does the HID side of a Nitrokey Pro do what its clients expect?",
            HERE / "pro",
            application="pro",
        ),
        Suite(
            "loss",
            "what is left to an owner who has lost an OpenPGP card, and what a restore brings back",
            HERE / "loss",
            application="openpgp",
        ),
        Suite(
            "lifecycle",
            "what can the owner of a SmartCard-HSM do when something is blocked or lost?",
            HERE / "lifecycle",
            application="schsm",
        ),
        Suite("endurance", "does it survive a cut at any instant of a write?", HERE / "endurance"),
    ]


@hookimpl
def keyharness_scenarios() -> list[Path]:
    return [HERE / "scenarios"]
