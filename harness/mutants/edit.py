"""One small change of a source text, and what of a text may be changed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

SEEDED, ASKS = "defects", "has"
"""The names by which a twin's code asks for the defects that are seeded into it (`TwinOptions.defects`): the set of
them, and a method that looks a name up in it.
"""

_NOT_CODE = (
    *(ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.Assert, ast.Pass),
    *(ast.FunctionDef, ast.ClassDef),
)


@dataclass(frozen=True)
class Edit:
    """A change of a source text by one rule.

    :ivar rule: the rule's name. :ivar line: from 1.
    :ivar start: first byte of what is replaced; `end`: the byte after it. Both count in the UTF-8 text.
    """

    rule: str
    line: int
    start: int
    end: int
    before: str
    after: str


class Text:
    """A source text with its syntax tree: places of nodes as bytes of the text.

    :raises SyntaxError: it is no Python.
    """

    def __init__(self, source: str):
        self.source = source
        self.raw = source.encode()
        self.tree = ast.parse(source)
        self._starts = [0]
        for line in self.raw.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        """First byte of a node and the byte after it."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def part(self, start: int, end: int) -> str:
        return self.raw[start:end].decode()

    def edit(self, rule: str, start: int, end: int, after: str) -> Edit:
        line = self.raw.count(b"\n", 0, start) + 1
        return Edit(rule, line, start, end, self.part(start, end), after)

    def changed(self, edit: Edit) -> str:
        """The whole text after the change."""
        return (self.raw[: edit.start] + edit.after.encode() + self.raw[edit.end :]).decode()

    def is_real(self, edit: Edit) -> bool:
        """Whether the changed text is Python and another program."""
        try:
            changed = ast.parse(self.changed(edit))
            compile(changed, "<mutant>", "exec")
        except (SyntaxError, ValueError):
            return False
        return ast.dump(changed) != ast.dump(self.tree)


def asks_for_defects(node: ast.AST) -> bool:
    """Whether the code asks which defects are seeded."""
    return any(
        (isinstance(one, ast.Attribute) and one.attr == SEEDED)
        or (isinstance(one, ast.Name) and one.id == SEEDED)
        or (isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr == ASKS)
        for one in ast.walk(node)
    )


def blocks(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """Every block of statements inside a function, without what belongs to seeded defects."""
    for node in ast.walk(tree):
        # A function inside a function is met by its own block.
        if isinstance(node, ast.FunctionDef):
            yield from _blocks_in(node.body)


def _blocks_in(block: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
    yield block
    for statement in block:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            continue
        if isinstance(statement, ast.If):
            if not asks_for_defects(statement.test):
                yield from _blocks_in(statement.body)
            if statement.orelse:
                yield from _blocks_in(statement.orelse)
            continue
        for name in ("body", "orelse", "finalbody"):
            if inner := getattr(statement, name, None):
                yield from _blocks_in(inner)
        for handler in getattr(statement, "handlers", []):
            yield from _blocks_in(handler.body)


def may_change(statement: ast.stmt) -> bool:
    """Whether a statement's own expressions are code of the key: no import, no docstring, no seeded defect."""
    if isinstance(statement, _NOT_CODE):
        return False
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return False
    return not any(asks_for_defects(one) for one in own_expressions(statement))


def own_expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement, without those of the statements in it and without annotations."""
    for name, value in ast.iter_fields(statement):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, ast.expr):
                yield one
            elif isinstance(one, ast.withitem):
                yield one.context_expr


def nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """Every node of a statement's own expressions."""
    for expression in own_expressions(statement):
        yield from ast.walk(expression)
