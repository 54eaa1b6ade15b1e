"""The rules change one place of a text; what they make is Python, and another program."""

from __future__ import annotations

import ast
from textwrap import dedent, indent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.mutants.choice import RULES, changed, edits
from support.paths import ROOT

BODIES = {
    "invert-comparison": ("if (a) < b:\n    return 1", {"if (a) >= b:\n    return 1"}),
    "move-bound": ("if (a) < b:\n    return 1", {"if (a) <= b:\n    return 1"}),
    "off-by-one": ("return a[:16]", {"return a[:17]"}),
    "no-step": ("return (a) - 1", {"return (a) "}),
    "other-logic": ("return (a) and b", {"return (a) or b"}),
    "drop-not": ("return not (a or b)", {"return (a or b)"}),
    "flip-flag": ("return f(up=True)", {"return f(up=False)"}),
    "forget-field": (
        "return replace(a, b=1, c=2)",
        {"return replace(a, c=2)", "return replace(a, b=1)"},
    ),
    "drop-write": ("a.write(b)\nreturn 1", {"pass\nreturn 1"}),
    "keep-in-ram": ("a.write(b)\nself.b = b", {"pass\nself.b = b"}),
    "drop-update": ("a.b -= 1", {"pass"}),
    "drop-check": ("if a:\n    raise b", {"pass"}),
    "drop-call": ("check(a)\nreturn b", {"pass\nreturn b"}),
    "short-loop": ("for one in a:\n    b(one)", {"for one in list(a)[1:]:\n    b(one)"}),
    "swap": ("a.b = 1\n\nc.write(d)", {"c.write(d)\n\na.b = 1"}),
}
"""Rule -> the body of a function, and all that the rule makes of it."""


def function(body: str) -> str:
    return f"def f(self, a, b, c, d):\n    '''Gr\u00fc\u00dfe.'''\n{indent(body, '    ')}\n"


def made(source: str, rule: str) -> set[str]:
    return {changed(source, edit) for edit in edits(source) if edit.rule == rule}


def test_every_rule_is_shown():
    assert len(BODIES) == len(RULES)


@pytest.mark.parametrize("rule", BODIES)
def test_a_rule_makes_this_and_nothing_else(rule):
    body, results = BODIES[rule]
    assert made(function(body), rule) == {function(one) for one in results}


@pytest.mark.parametrize(
    "body",
    [
        'if "late" in self.defects:\n    a.write(b)',
        'if "late" not in a.defects and b < 1:\n    raise c',
        'return a if "late" in defects else b < c',
        'if not a.pages.has("late"):\n    raise c',
        "self.b = a if b.has(LATE) else 2 * a",
        "x: Literal[True] = a",
        "assert a < b",
        "'''Not a < b.'''",
    ],
)
def test_seeded_defects_annotations_and_texts_stay(body):
    assert edits(function(body)) == []


def test_what_is_done_without_the_defect_is_changed():
    """The other branch of a question for a defect is the sound code."""
    body = 'if "late" in self.defects:\n    a.write(b)\nelse:\n    a.write(c)'
    (edit,) = edits(function(body))
    assert (edit.before, edit.after) == ("a.write(c)", "pass")


def test_code_outside_functions_stays():
    assert edits("A = 1 < 2\nB = not A\nf(A)\n") == []


TWINS = [file for file in sorted(ROOT.glob("plugins/*/twin/*.py")) if file.stat().st_size < 5_000]


@settings(max_examples=15)
@given(file=st.sampled_from(TWINS), place=st.integers(0, 10_000))
def test_each_change_of_a_twin_is_another_program(file, place):
    source = file.read_text()
    if found := edits(source):
        edit = found[place % len(found)]
        new = changed(source, edit)
        compile(new, str(file), "exec")
        assert ast.dump(ast.parse(new)) != ast.dump(ast.parse(source))
        lines = source.splitlines()
        assert new.splitlines()[: edit.line - 1] == lines[: edit.line - 1]
        assert dedent(edit.before.splitlines()[0]) in lines[edit.line - 1]
