"""Find in a regular expression the texts of which one stands in everything that it matches."""

from __future__ import annotations

from importlib import import_module
from typing import Any

TEXTS_MAX, LETTERS_MAX = 64, 10
"""Limits: texts kept of one pattern, and letters of a set in brackets that are tried one by one."""
EMPTY = frozenset(("",))
Tree = Any
"""What Python's parser makes of a pattern: a list of (code, value), with lists in some values."""


def literals(pattern: str) -> frozenset[str]:
    """Return texts of which one stands in everything that a regular expression matches; empty if there are none."""
    # Python's own parser: it has no public name, and its trees have not changed since 3.7.
    return _of(import_module("re._parser").parse(pattern))


def _of(tree: Tree) -> frozenset[str]:
    """The best texts of a sequence: those of one part of it, or of several that follow each other."""
    found: list[frozenset[str]] = []
    run = EMPTY
    for code, value in tree:
        whole, texts = _part(str(code), value)
        if (longer := _joined(run, texts)) is None:
            found.append(run)
            longer = texts
        run = longer
        if not whole:
            found += [run, _inside(str(code), value)]
            run = EMPTY
    return max((*found, run), key=worth)


def _part(code: str, value: Tree) -> tuple[bool, frozenset[str]]:
    """(whether these are all texts that one part matches, whole; texts with which each match of it begins)."""
    if code == "LITERAL":
        return True, frozenset((chr(value),))
    if code == "AT":
        return True, EMPTY
    if code == "IN":
        return (True, texts) if (texts := _letters(value)) else (False, EMPTY)
    if code == "SUBPATTERN":
        return _sequence(value[-1])
    if code == "BRANCH":
        parts = [_sequence(tree) for tree in value[-1]]
        texts = frozenset[str]().union(*(texts for _, texts in parts))
        return (all(whole for whole, _ in parts), texts) if len(texts) <= TEXTS_MAX else (False, EMPTY)
    if code in ("MAX_REPEAT", "MIN_REPEAT") and int(str(value[0])) > 0:
        whole, texts = _sequence(value[-1])
        return whole and value[0] == value[1] == 1, texts
    return False, EMPTY


def _sequence(tree: Tree) -> tuple[bool, frozenset[str]]:
    run = EMPTY
    for code, value in tree:
        whole, texts = _part(str(code), value)
        if (longer := _joined(run, texts)) is None:
            return False, run
        run = longer
        if not whole:
            return False, run
    return True, run


def _joined(run: frozenset[str], texts: frozenset[str]) -> frozenset[str] | None:
    """Each text of the one followed by each of the other; None if that is too many."""
    if len(run) * len(texts) > TEXTS_MAX:
        return None
    return frozenset(one + other for one in run for other in texts)


def _letters(value: Tree) -> frozenset[str]:
    """The letters of a set in brackets; empty if they are many, or not all named."""
    found: set[str] = set()
    for code, what in value:
        if str(code) == "LITERAL":
            found.add(chr(what))
        elif str(code) == "RANGE" and what[1] - what[0] < LETTERS_MAX:
            found.update(map(chr, range(what[0], what[1] + 1)))
        else:
            return frozenset()
    return frozenset(found) if len(found) <= LETTERS_MAX else frozenset()


def _inside(code: str, value: Tree) -> frozenset[str]:
    """The texts of a group, of alternatives, or of what is repeated once or more."""
    if code == "SUBPATTERN":
        return _of(value[-1])
    if code == "BRANCH":
        found = [_of(tree) for tree in value[-1]]
        return frozenset[str]().union(*found) if all(worth(texts)[0] for texts in found) else frozenset()
    if code in ("MAX_REPEAT", "MIN_REPEAT") and int(str(value[0])) > 0:
        return _of(value[-1])
    return frozenset()


def worth(texts: frozenset[str]) -> tuple[int, int]:
    """How long the shortest of them is; of the same length fewer are better."""
    return min(map(len, texts), default=0), -len(texts)
