"""The core and the rigs know no client library of a key: a card is tested without FIDO2 being imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from support.paths import ROOT

CLIENTS = {"fido2", "nitrokey"}


def imported(file: Path) -> Iterator[str]:
    """The packages that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_no_file_of_core_or_rigs_imports_a_keys_client_library():
    files = [*(ROOT / "harness").rglob("*.py"), *(ROOT / "rigs" / "harness_rigs").rglob("*.py")]
    assert len(files) > 100
    found = {str(file.relative_to(ROOT)) for file in files if CLIENTS & set(imported(file))}
    assert not found


def test_a_card_does_not_import_fido2():
    files = [ROOT / "docs" / "small_card.py", *(ROOT / "plugins" / "harness_transports").glob("card.py")]
    assert all("fido2" not in set(imported(file)) for file in files)
