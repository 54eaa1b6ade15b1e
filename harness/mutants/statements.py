"""Rules that change what is done, and in which order: writes, calls, assignments, checks, loops."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from harness.mutants.edit import Edit, Text, may_change
from harness.mutants.expressions import Rule

_WRITES = re.compile(
    r"_*(write|remove|rename|delete|change|store|save|set|put|erase|program|commit|renew|note|forget|sweep)"
)
"""How the names of functions begin that write to the flash, or begin what writes."""


def _effect(statement: ast.stmt) -> bool:
    """Whether a statement does something that later code sees: a call, or a new value of a field."""
    if not may_change(statement):
        return False
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call)
    return _is_update(statement)


def _is_update(statement: ast.stmt) -> bool:
    """Whether a statement gives a field or an element a new value."""
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AugAssign):
        targets = [statement.target]
    else:
        return False
    return all(isinstance(one, ast.Attribute | ast.Subscript) for one in targets)


def _is_write(statement: ast.stmt) -> bool:
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return False
    function = statement.value.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return _WRITES.match(name) is not None


def drop_write(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """A write is not made."""
    for statement in block:
        if _effect(statement) and _is_write(statement) and not _kept(statement, block):
            yield text.edit("drop-write", *text.span(statement), "pass")


def keep_in_ram(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """A write is not made, and the new value is kept in memory until the power goes."""
    for statement in block:
        if _effect(statement) and _is_write(statement) and _kept(statement, block):
            yield text.edit("keep-in-ram", *text.span(statement), "pass")


def _kept(write: ast.stmt, block: list[ast.stmt]) -> bool:
    """Whether the block of a write also gives a field in memory a new value."""
    return any(_is_update(one) for one in block if one is not write)


def drop_call(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """A call is not made: a check, a start, an end."""
    for statement in block:
        if isinstance(statement, ast.Expr) and _effect(statement) and not _is_write(statement):
            yield text.edit("drop-call", *text.span(statement), "pass")


def drop_update(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """A field keeps its old value."""
    for statement in block:
        if _effect(statement) and _is_update(statement):
            yield text.edit("drop-update", *text.span(statement), "pass")


def drop_check(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """A condition that refuses is not asked."""
    for statement in filter(may_change, block):
        if (
            isinstance(statement, ast.If)
            and not statement.orelse
            and len(statement.body) == 1
            and isinstance(statement.body[0], ast.Raise)
        ):
            yield text.edit("drop-check", *text.span(statement), "pass")


def swap(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """Two things that follow each other are done in the other order."""
    for first, second in pairwise(block):
        if not (_effect(first) and _effect(second)):
            continue
        (start, middle), (after, end) = text.span(first), text.span(second)
        between = text.part(middle, after)
        # A comment between them belongs to one of the two.
        if between.strip():
            continue
        yield text.edit("swap", start, end, f"{text.part(after, end)}{between}{text.part(start, middle)}")


def short_loop(text: Text, block: list[ast.stmt]) -> Iterator[Edit]:
    """A loop leaves out its first element."""
    for statement in filter(may_change, block):
        if isinstance(statement, ast.For):
            start, end = text.span(statement.iter)
            yield text.edit("short-loop", start, end, f"list({text.part(start, end)})[1:]")


RULES: tuple[Rule, ...] = (
    drop_write,
    keep_in_ram,
    swap,
    drop_update,
    drop_check,
    drop_call,
    short_loop,
)
