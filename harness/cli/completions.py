"""What a shell completes of a bench: names of its rigs and operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from harness.bench.bench import LoadedBench


def rig_names(context: typer.Context, incomplete: str) -> list[str]:
    """The rigs of the bench that was typed, or else is set, that begin so; none where it cannot be read."""
    return _beginning(context, incomplete, lambda bench: bench.rigs)


def operation_names(context: typer.Context, incomplete: str) -> list[str]:
    """The same of the operations that are cut on its rigs."""
    return _beginning(
        context, incomplete, lambda bench: [name for rig in bench.rigs for name in bench.operations(rig)]
    )


def _beginning(
    context: typer.Context, incomplete: str, names: Callable[[LoadedBench], list[str]]
) -> list[str]:
    # Every command loads this module; a bench needs all plugins.
    from harness.base.errors import KeyharnessError
    from harness.bench.bench import load_bench
    from harness.bench.registry import discover
    from harness.cli import settings

    try:
        typed = context.params.get("bench")
        found = settings.setting(settings.BENCH) if typed is None else None
        bench = load_bench(found.path if found else typed, discover())
    except KeyharnessError:
        # An error between two keys would only disturb what is being typed; the command says it.
        return []
    return [name for name in dict.fromkeys(names(bench)) if name.startswith(incomplete)]
