"""What a reset leaves of the files of before, seen inside a twin.

A key that changes hands was reset by its owner. Keys and credentials that are on its flash then can be read out of the
chip, although nobody can use them any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import Item, Law, Look, Memory, Rig, Severity, Value, glass_box
from harness_fido2.twin import attestation, largeblobs, persistent_state

KEPT = (attestation.KEY_PATH, attestation.CERTIFICATE_PATH)
"""What the factory put there stays."""
ALL, NONE = "all there", "all gone"


@dataclass
class FilesOfBefore:
    """Digests of the files that a reset has to remove; none where nobody can see them."""

    digests: frozenset[str] = frozenset()


def note(rig: Rig, memory: Memory) -> None:
    """Note the files of before a reset. The state is written anew by each login, so it is left out."""
    glass = glass_box(rig)
    found = glass.files() if glass else {}
    left_out = (*KEPT, persistent_state.STATE_PATH)
    memory.part("files of before", FilesOfBefore).digests = frozenset(
        digest
        for path, digest in found.items()
        if ("fido/" in path or path.endswith(largeblobs.PATH)) and not path.endswith(left_out)
    )


def values(before: Memory, value: str) -> dict[str, Value]:
    """The value in a world of a reset; nothing where it cannot be seen."""
    return {FILES_OF_BEFORE.name: value} if before.part("files of before", FilesOfBefore).digests else {}


def _look(look: Look) -> Value:
    glass, had = glass_box(look.rig), look.memory.part("files of before", FilesOfBefore).digests
    if glass is None or not had:
        return "not told"
    left = len(had & set(glass.files().values()))
    return ALL if left == len(had) else NONE if not left else f"{left} of {len(had)} are left"


FILES_OF_BEFORE = Item(
    "fido2.files_of_before",
    Law.ATOMIC,
    _look,
    "the keys and credentials of before, on the flash",
    Severity.S2,
    owner_changes=True,
)
