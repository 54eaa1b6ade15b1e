"""The floors of the house: which room may import which, held by reading every import of every file.

An import inside a function or under TYPE_CHECKING counts like any other: the question is what a reader has to know
to understand a file, not what Python loads.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent
while not (ROOT / "pyproject.toml").exists():
    ROOT = ROOT.parent

# The rooms of harness/, from the ground up. A module imports from its own room and from the rooms before it.
ROOMS = (
    *(
        "base",
        "field",
        "model",
        "host",
        "twin",
        "search",
        "evidence",
        "safety",
        "bench",
        "campaign",
        "report",
        "run",
    ),
    *("doctor", "commands", "qualify", "pytest_plugin", "mutants", "cli"),
)
ABOVE_THE_ROOMS = ("harness.__main__", "harness.api")
TRANSPORTS, CARDS = "harness_transports", "harness_cards"
TOPS = {
    "harness": "",
    "plugins": "plugins",
    "rigs": "rigs",
    "suites": "suites",
}  # folder -> where its packages lie

# What is still to be mended: `importer -> imported`, sorted, one a line, after a sentence that says why it stands.
# A line goes with its import; none is added.
EXCEPTIONS = """
# A key's operations act on a rig, and a rig has a key: each is defined in terms of the other. The knot is one of
# types alone; what a key is made of stands in files of its own, because one file of all of it had 530 lines.
harness.model.key -> harness.model.memory
harness.model.key -> harness.model.operation
harness.model.key -> harness.model.rig
harness.model.memory -> harness.model.rig
harness.model.operation -> harness.model.memory
harness.model.operation -> harness.model.rig
harness.model.rig -> harness.model.key
"""


@cache
def modules() -> dict[str, Path]:
    """Every module of the house by its dotted name."""
    found = {}
    for folder, base in TOPS.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT / base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported_names(tree: ast.AST, package: str) -> Iterator[tuple[str, str]]:
    """(module, name) of each import in a file of `package`; the name is empty where a whole module is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, node.module] if node.module else above)
            yield from ((module, alias.name) for alias in node.names)


@cache
def imports() -> dict[str, frozenset[str]]:
    """The modules of the house that each module of the house imports."""
    found = {}
    for importer, file in modules().items():
        package = importer if file.name == "__init__.py" else importer.rpartition(".")[0]
        pairs = list(imported_names(ast.parse(file.read_text()), package))
        full = {f"{module}.{name}" if f"{module}.{name}" in modules() else module for module, name in pairs}
        found[importer] = frozenset((full & modules().keys()) - {importer})
    return found


def floor(module: str) -> int | None:
    """How high a module of harness/ stands; None: in no room."""
    if module == "harness":
        return 0  # __init__ holds the version alone
    if module in ABOVE_THE_ROOMS:
        return len(ROOMS)
    room = module.split(".")[1]
    return ROOMS.index(room) if room in ROOMS else None


def allowed(importer: str, imported: str) -> bool:
    """Whether the floors let one module import another."""
    source, target = importer.partition(".")[0], imported.partition(".")[0]
    if source == target == "harness":
        high, low = floor(importer), floor(imported)
        return high is not None and low is not None and low <= high
    if source == target or target == "harness" or source == "harness_suites":
        return True
    if target == TRANSPORTS:
        return source != "harness"
    if source == CARDS:
        return False
    # A key may be put together from other keys' applications; drivers know no key, and no key knows a driver.
    return source not in ("harness", TRANSPORTS, "harness_rigs") and target not in (
        "harness_rigs",
        "harness_suites",
    )


def reachable(start: str) -> set[str]:
    """Every module that is loaded for `start`, by any way."""
    seen: set[str] = set()
    waiting = list(imports()[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(imports()[module])
    return seen


def found_exceptions() -> set[str]:
    """Each import that goes up a floor, or that closes a cycle of files that import each other."""
    reach = {module: reachable(module) for module in imports()}
    return {
        f"{importer} -> {imported}"
        for importer, those in imports().items()
        for imported in those
        if not allowed(importer, imported) or importer in reach[imported]
    }


def listed_exceptions() -> list[str]:
    return [line for line in EXCEPTIONS.splitlines() if line and not line.startswith("#")]


def test_no_import_goes_up_a_floor_or_closes_a_cycle():
    new = sorted(found_exceptions() - set(listed_exceptions()))
    assert not new, (
        "these imports go up a floor, or close a cycle of files that import each other:\n" + "\n".join(new)
    )


def test_the_list_of_exceptions_holds_nothing_that_is_mended():
    mended = sorted(set(listed_exceptions()) - found_exceptions())
    assert not mended, "no longer needed; take these lines off the list:\n" + "\n".join(mended)


def test_the_list_of_exceptions_is_sorted_and_says_each_import_once():
    assert listed_exceptions() == sorted(set(listed_exceptions()))


def test_every_room_of_the_table_exists_and_every_folder_of_harness_is_a_room():
    folders = {file.parent.name for file in (ROOT / "harness").glob("*/__init__.py")}
    assert folders == set(ROOMS)


def test_imports_inside_functions_and_for_types_only_are_seen():
    text = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from harness.bench.bench import Bench
def late():
    import harness.cli.main
    from . import near
    from ..model.key import Key
"""
    assert set(imported_names(ast.parse(text), "harness.base")) == {
        ("typing", "TYPE_CHECKING"),
        ("harness.bench.bench", "Bench"),
        ("harness.cli.main", ""),
        ("harness.base", "near"),
        ("harness.model.key", "Key"),
    }


def test_the_rules_between_packages():
    assert allowed("harness.run.run", "harness.base.clock")
    assert not allowed("harness.base.clock", "harness.run.run")
    assert not allowed("harness.run.run", "harness_fido2.client")
    assert not allowed("harness.run.run", "harness_transports.kinds")
    assert not allowed("harness_rigs.virtual", "harness_fido2.client")
    assert allowed("harness_rigs.virtual", "harness_transports.kinds")
    assert not allowed("harness_transports.kinds", "harness_fido2.client")
    assert not allowed("harness_cards.files", "harness_openpgp.client")
    assert allowed("harness_cards.operations", "harness_transports.card")
    assert allowed("harness_openpgp.client", "harness_cards.tlv")
    assert not allowed("harness_rigs.virtual", "harness_cards.tlv")
    assert not allowed("harness_fido2.client", "harness_rigs.virtual")
    assert allowed("harness_nitrokey3.twin.model", "harness_fido2.client")
    assert not allowed("harness.twin.rig", "harness.in_no_room")
