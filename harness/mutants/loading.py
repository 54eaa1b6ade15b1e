"""Load a mutated module in place of the one of the checkout, in a process that has not loaded it yet.

No file is changed: an import hook compiles the changed text. A call before the changed statement notes that it was
reached, in memory that forked processes share.
"""

from __future__ import annotations

import ast
import mmap
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from harness.base.errors import HarnessFault

_NOTE = "_keyharness_reached"


class Reached:
    """Whether a statement was executed, in this process or in one that was forked from it."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    def __call__(self) -> None:
        self._shared[0] = 1

    def __bool__(self) -> bool:
        return self._shared[0] == 1


class _Loader(SourceFileLoader):
    """Loads one module from a text instead of its file."""

    def __init__(self, name: str, path: str, source: str, line: int, reached: Callable[[], None]):
        super().__init__(name, path)
        self._text, self._line, self._reached = source, line, reached

    def get_code(self, fullname: str) -> CodeType:
        # Nothing is read from the cache of compiled files, and nothing is written to it.
        return compile(noting(self._text, self._line), self.path, "exec")

    def exec_module(self, module: ModuleType) -> None:
        setattr(module, _NOTE, self._reached)
        super().exec_module(module)


class _Finder(MetaPathFinder):
    def __init__(self, name: str, source: str, line: int, reached: Callable[[], None]):
        self._name, self._source, self._line, self._reached = name, source, line, reached

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return None
        spec.loader = _Loader(fullname, spec.origin, self._source, self._line, self._reached)
        return spec


def load_instead(name: str, source: str, line: int, reached: Callable[[], None]) -> None:
    """From now on an import of a module takes this text.

    :param line: where the text is changed. :param reached: called whenever that statement is executed.
    :raises HarnessFault: the module is loaded already: others hold parts of the sound one.
    """
    if name in sys.modules:
        raise HarnessFault(f"the module {name} is loaded", found="a module", expected="a process without it")
    sys.meta_path.insert(0, _Finder(name, source, line, reached))


def noting(source: str, line: int) -> ast.Module:
    """The syntax tree of a text, with a call of the note before the innermost statement of a line.

    :raises SyntaxError: the text is no Python.
    """
    tree = ast.parse(source)
    block: list[ast.stmt] | None = tree.body
    place: tuple[list[ast.stmt], int] | None = None
    while block is not None:
        at = next((i for i, one in enumerate(block) if _holds(one, line)), None)
        if at is None:
            break
        if not isinstance(block[at], ast.FunctionDef | ast.ClassDef):
            place = block, at
        block = next((inner for inner in _inner(block[at]) if any(_holds(one, line) for one in inner)), None)
    if place is not None:
        note = ast.Expr(ast.Call(ast.Name(_NOTE, ast.Load()), [], []))
        place[0].insert(place[1], ast.copy_location(note, place[0][place[1]]))
    return ast.fix_missing_locations(tree)


def _holds(statement: ast.stmt, line: int) -> bool:
    return statement.lineno <= line <= (statement.end_lineno or statement.lineno)


def _inner(statement: ast.stmt) -> list[list[ast.stmt]]:
    found = [getattr(statement, name, None) for name in ("body", "orelse", "finalbody")]
    handlers = [handler.body for handler in getattr(statement, "handlers", [])]
    return [one for one in [*found, *handlers] if isinstance(one, list)]
