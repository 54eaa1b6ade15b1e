"""Rules that change an expression: a bound, a comparison, a condition, a constant, a field."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence

from harness.mutants.edit import Edit, Text, may_change, nodes

Rule = Callable[[Text, list[ast.stmt]], Iterator[Edit]]
"""Yields the changes of one block of statements; not of the blocks in it."""

_OPPOSITE: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", ">="),
    ast.GtE: (">=", "<"),
    ast.Gt: (">", "<="),
    ast.LtE: ("<=", ">"),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
}
_BOUND: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
}
_UPDATES = ("replace", "_replace", "change", "update")
"""Functions whose keywords are the fields that an update changes."""


def _operator(text: Text, left: ast.expr, right: ast.expr, pattern: str) -> tuple[int, int] | None:
    """The place of an operator between its operands; brackets may stand beside it."""
    start, end = text.span(left)[1], text.span(right)[0]
    found = re.search(pattern.encode(), text.raw[start:end])
    return (start + found.start(), start + found.end()) if found else None


def _comparisons(text: Text, block: list[ast.stmt]) -> Iterator[ast.Compare]:
    for statement in filter(may_change, block):
        yield from (node for node in nodes(statement) if isinstance(node, ast.Compare) and len(node.ops) == 1)


def _swapped_operators(
    rule: str, table: dict[type[ast.cmpop], tuple[str, str]], text: Text, block: list[ast.stmt]
) -> Iterator[Edit]:
    for node in _comparisons(text, block):
        pattern, after = table.get(type(node.ops[0]), ("", ""))
        place = _operator(text, node.left, node.comparators[0], pattern) if pattern else None
        if place is not None:
            yield text.edit(rule, *place, after)


def invert_comparison(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """`a == b` becomes `a != b`, `a < b` becomes `a >= b`."""
    yield from _swapped_operators("invert-comparison", _OPPOSITE, text, block)


def move_bound(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """`a < b` becomes `a <= b`."""
    yield from _swapped_operators("move-bound", _BOUND, text, block)


def off_by_one(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """A number in a comparison, a slice or a sum is one more."""
    for statement in filter(may_change, block):
        for node in nodes(statement):
            for one, value in _numbers(node):
                yield text.edit("off-by-one", *text.span(one), str(value + 1))


def _numbers(node: ast.AST) -> Iterator[tuple[ast.Constant, int]]:
    near: Sequence[ast.expr | None] = ()
    if isinstance(node, ast.Compare):
        near = node.comparators
    elif isinstance(node, ast.Slice):
        near = (node.lower, node.upper)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        near = (node.left, node.right)
    for one in near:
        if isinstance(one, ast.Constant) and type(one.value) is int:
            yield one, one.value


def no_step(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """`a - 1` becomes `a`."""
    for statement in filter(may_change, block):
        for node in nodes(statement):
            if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)):
                continue
            right = node.right
            if not (isinstance(right, ast.Constant) and type(right.value) is int):
                continue
            place = _operator(text, node.left, right, r"[-+]")
            if place is not None:
                yield text.edit("no-step", place[0], text.span(right)[1], "")


def other_logic(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """`a and b` becomes `a or b`."""
    for statement in filter(may_change, block):
        for node in nodes(statement):
            if isinstance(node, ast.BoolOp):
                word, after = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                place = _operator(text, node.values[0], node.values[1], rf"\b{word}\b")
                if place is not None:
                    yield text.edit("other-logic", *place, after)


def drop_not(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """`not a` becomes `a`."""
    for statement in filter(may_change, block):
        for node in nodes(statement):
            if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
                start, end = text.span(node)
                yield text.edit("drop-not", start, end, text.part(start + len("not"), end).strip())


def flip_flag(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """`True` becomes `False`."""
    for statement in filter(may_change, block):
        for node in nodes(statement):
            if isinstance(node, ast.Constant) and type(node.value) is bool:
                yield text.edit("flip-flag", *text.span(node), str(not node.value))


def forget_field(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """An update leaves a field as it was; a record is written without one of its members."""
    for statement in filter(may_change, block):
        for node in nodes(statement):
            if isinstance(node, ast.Call) and _called(node) in _UPDATES:
                spans = sorted([*map(text.span, node.args), *map(text.span, node.keywords)])
                for keyword in node.keywords:
                    if keyword.arg is not None:
                        yield _without(text, spans, text.span(keyword))
            elif isinstance(node, ast.Dict) and len(node.keys) > 1:
                spans = [
                    (text.span(key or value)[0], text.span(value)[1])
                    for key, value in zip(node.keys, node.values)
                ]
                for key, span in zip(node.keys, spans):
                    if isinstance(key, ast.Constant):
                        yield _without(text, spans, span)


def _called(node: ast.Call) -> str:
    """The name of the function that is called, without what it belongs to."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _without(text: Text, spans: Sequence[tuple[int, int]], one: tuple[int, int]) -> Edit:
    """Leave out one of the parts that commas separate."""
    at = spans.index(one)
    if at + 1 < len(spans):
        return text.edit("forget-field", one[0], spans[at + 1][0], "")
    return text.edit("forget-field", spans[at - 1][1] if at else one[0], one[1], "")


RULES: tuple[Rule, ...] = (
    invert_comparison,
    move_bound,
    off_by_one,
    no_step,
    other_logic,
    drop_not,
    flip_flag,
    forget_field,
)
