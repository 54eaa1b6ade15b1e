"""What a process finds out about the code of a key's twin, for others that must not load it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from harness.base.errors import CallerError, HarnessFault
from harness.bench.bench import key_name
from harness.bench.plugin_api import GROUP
from harness.bench.registry import discover
from harness.mutants.choice import Module
from harness.mutants.trial import Tell
from harness.twin.model import HasCode

_READ = (".py", ".toml", ".json")
"""Kinds of files of a package that decide what its code does."""


def tell_catalogue(given: str | None, tell: Tell) -> None:
    """Tell of the key's twin: `key`, `title`, `modules` [[name, file]], `digest` of all code, `loaded` modules.

    :param given: name of the key; None means that of the default bench. Tells `usage` if it has no code to change.
    """
    plugins = discover()
    try:
        name = key_name(given, plugins)
        model = plugins.twin(name)
        if not isinstance(model, HasCode):
            raise CallerError(
                f'key "{name}"',
                found="a twin that does not say where its code is",
                expected="a model with `code()`",
                mend="docs/plugins.md says how a twin offers it",
            )
    except CallerError as error:
        tell(usage=[error.what, error.found, error.expected, error.mend])
        return
    tops = sorted({entry.value.partition(".")[0] for entry in entry_points(group=GROUP)})
    modules = [[one, _file(one)] for one in model.code()]
    tell(
        key=name,
        title=plugins.keys[name].title,
        modules=modules,
        digest=_digest(["harness", *tops]),
        # What the key's code needs from other packages.
        loaded=[one for one in sys.modules if one.partition(".")[0] not in tops],
    )


def modules_from(told: Iterable[tuple[str, str]]) -> list[Module]:
    """Read the texts of the modules that `tell_catalogue` told."""
    files = [(name, Path(file)) for name, file in told]
    tops = {name: len(name.split(".")) for name, _ in files}
    return [
        Module(name, "/".join(file.parts[-tops[name] :]), file.read_text(encoding="utf-8"))
        for name, file in files
    ]


def _file(module: str) -> str:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise HarnessFault(f"the module {module} of a twin", found="no file", expected="a file")
    return spec.origin


def _digest(packages: Iterable[str]) -> str:
    """Over the files of these packages: another digest, other results."""
    whole = hashlib.sha256()
    for package in packages:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for file in sorted(Path(folder).rglob("*")):
                if file.suffix in _READ:
                    whole.update(f"{package}/{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return whole.hexdigest()[:16]
