"""Choose mutants of a twin's code: all the changes that the rules make, and a spread of them for a seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.base.seeds import child, unit
from harness.mutants import expressions, statements
from harness.mutants.edit import Edit, Text, blocks

RULES = (*statements.RULES, *expressions.RULES)


@dataclass(frozen=True)
class Module:
    """A module of a twin: its dotted name, the path that is shown, and its text."""

    name: str
    path: str
    source: str


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    :ivar number: its place in the list of its seed, from 1.
    """

    number: int
    module: str
    path: str
    edit: Edit

    @property
    def where(self) -> str:
        return f"{self.path}:{self.edit.line}"


def edits(source: str) -> list[Edit]:
    """Every change that the rules make of a text, in the order of the text; each is Python and another program.

    :raises SyntaxError: the text is no Python.
    """
    text = Text(source)
    return [edit for edit in _proposed(text) if text.is_real(edit)]


def _proposed(text: Text) -> list[Edit]:
    """What the rules propose; a few of these change nothing."""
    found = {
        (edit.start, edit.end, edit.after): edit
        for block in blocks(text.tree)
        for rule in RULES
        for edit in rule(text, block)
    }
    return [edit for _, edit in sorted(found.items())]


def changed(source: str, edit: Edit) -> str:
    """The text of a module after a change."""
    return Text(source).changed(edit)


def choose(modules: Sequence[Module], seed: int, count: int) -> list[Mutant]:
    """Choose mutants, spread over rules and modules. A longer list of a seed begins with the shorter one.

    :returns: `count` of them; fewer if the rules find no more.
    """
    root = child(seed, "mutants")
    waiting: dict[str, list[tuple[float, Module, Edit]]] = {}
    texts = {module.name: Text(module.source) for module in modules}
    for module in modules:
        for edit in _proposed(texts[module.name]):
            drawn = unit(root, module.name, edit.start, edit.end, edit.after)
            waiting.setdefault(edit.rule, []).append((drawn, module, edit))
    for one in waiting.values():
        one.sort(key=lambda entry: entry[0])
    chosen: list[Mutant] = []
    of_module: Counter[str] = Counter()
    lines: set[tuple[str, int]] = set()
    while len(chosen) < count and any(waiting.values()):
        for rule in sorted(waiting, key=lambda name: unit(root, "rule", name)):
            if not waiting[rule] or len(chosen) == count:
                continue
            _, module, edit = entry = min(waiting[rule], key=lambda entry: _rank(entry, of_module, lines))
            waiting[rule].remove(entry)
            if not texts[module.name].is_real(edit):
                continue
            chosen.append(Mutant(len(chosen) + 1, module.name, module.path, edit))
            of_module[module.name] += 1
            lines.add((module.name, edit.line))
    return chosen


def _rank(
    entry: tuple[float, Module, Edit], of_module: Mapping[str, int], lines: set[tuple[str, int]]
) -> tuple[bool, float]:
    """A line that is not changed yet goes first, then a module with few mutants for its size."""
    drawn, module, edit = entry
    share = of_module.get(module.name, 0) / (1 + module.source.count("\n"))
    return (module.name, edit.line) in lines, share + drawn / 1000
