"""No test measures: a slow or busy machine must not fail one. Figures are for `script/bench`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from support.files import tracked
from support.paths import TESTS

CLOCKS = {
    f"{name}{unit}" for name in ("monotonic", "perf_counter", "process_time", "time") for unit in ("", "_ns")
}
CHILDREN = {"run", "check_output", "check_call", "communicate", "cli", "bench", "process.wait"}
"""Calls that wait for a child process."""
PASSING_S = 0.1
"""A shorter wait is how a test lets a process go on for a while, and no limit."""


def is_clock(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr in CLOCKS) == ("time", True)
    )


def asserted_durations(tree: ast.AST) -> Iterator[int]:
    """The line of each assertion about a difference of readings of a clock."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Module)):
        read, durations = set[str](), set[str]()

        def is_duration(node: ast.AST, read: set[str] = read, durations: set[str] = durations) -> bool:
            if isinstance(node, ast.Name):
                return node.id in durations
            if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)):
                return False
            inside = list(ast.walk(node))
            return any(is_clock(one) or (isinstance(one, ast.Name) and one.id in read) for one in inside)

        assigned = [node for node in ast.walk(function) if isinstance(node, ast.Assign)]
        for node in assigned:
            if is_clock(node.value):
                read |= names_in(node)
        for node in assigned:
            if any(map(is_duration, ast.walk(node.value))):
                durations |= names_in(node)
        for node in ast.walk(function):
            if isinstance(node, ast.Assert) and any(map(is_duration, ast.walk(node.test))):
                yield node.lineno


def names_in(assignment: ast.Assign) -> set[str]:
    """What an assignment gives a value to."""
    found = (node for target in assignment.targets for node in ast.walk(target))
    return {node.id for node in found if isinstance(node, ast.Name)}


def own_limits(tree: ast.AST) -> Iterator[int]:
    """The line of each call that gives a child process a limit in figures."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            name = "process.wait" if called == "process.wait" else called.rpartition(".")[2]
            given = [word.value for word in node.keywords if word.arg == "timeout"]
            given += node.args[:1] if name == "process.wait" else []
            for limit in given:
                if name in CHILDREN and isinstance(limit, ast.Constant) and limit.value > PASSING_S:
                    yield limit.lineno


def found_by(look) -> list[str]:
    return sorted(
        {
            f"{path.relative_to(TESTS)}:{line}"
            for path in tracked()
            if path.suffix == ".py" and path.is_relative_to(TESTS)
            for line in look(ast.parse(path.read_text()))
        }
    )


def test_no_test_asserts_how_long_something_takes():
    assert found_by(asserted_durations) == []


def test_the_limit_of_a_child_process_is_the_one_that_says_it_hangs():
    assert found_by(own_limits) == [], "use HUNG_S of support.limits"


@pytest.mark.parametrize(
    "code",
    [
        "began = time.monotonic()\nact()\nassert time.monotonic() - began < 5",
        "began = time.process_time()\nact()\ntook_s = time.process_time() - began\nassert 0.5 > took_s",
    ],
)
def test_an_asserted_duration_is_found(code):
    assert list(asserted_durations(ast.parse(code)))


def test_the_order_of_two_instants_is_no_duration():
    assert not list(asserted_durations(ast.parse("at = time.monotonic_ns()\nact()\nassert at <= fired.at")))


def test_a_limit_in_figures_is_found():
    assert list(own_limits(ast.parse("subprocess.run(argv,\n    timeout=60)"))) == [2]
    assert not list(own_limits(ast.parse("subprocess.run(argv, timeout=HUNG_S)")))
