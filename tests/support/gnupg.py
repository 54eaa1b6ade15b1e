"""What a machine must have for GnuPG with a card in a private reader."""

from __future__ import annotations

from harness_openpgp import gnupg
from harness_rigs.emulator import private_pcscd


def missing() -> str | None:
    """What this machine lacks, in words."""
    lacks = private_pcscd.missing()
    return gnupg.missing() or (str(lacks.found) if lacks is not None else None)
