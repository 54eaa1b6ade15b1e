"""README.md and docs/ say what is true: what they show is run, and what they list is what there is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from pydantic import BaseModel

from harness.bench.bench import Bench, RigEntry
from harness.bench.registry import Plugins, discover
from harness.model.outcome import Law, Outcome
from harness.report import schema
from harness.report.verdict import EXIT_CODES
from harness.safety.budget import Grants
from harness.twin.flash_layers import LAYERS
from harness.twin.rig import PROFILES
from support import pages
from support.installation import Environment, cloned, keyharness_with, ran
from support.pages import PAGES, ROOT, Block, Shell
from support.report.size import BYTES_WITHOUT_CASES, FILES

NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
REFRESH = "PYTHONPATH=tests python -m support.pages writes today's output into the pages"


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks_of(page: Path) -> list[Block]:
    return list(pages.blocks(page.read_text(encoding="utf-8")))


def consoles(page: Path, *, long: bool) -> bool:
    return any(block.language == "console" and block.long == long for block in blocks_of(page))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone: what git does not know cannot help a command to do what its page shows."""
    return cloned(tmp_path_factory.mktemp("clone") / "keyharness")


@pytest.fixture
def environment(tmp_path: Path, checkout: Path) -> Environment:
    """One for each page: a page may install something."""
    return keyharness_with(tmp_path / "venv", checkout)


def test_the_commands_of_the_pages_run_in_a_fresh_clone(environment, checkout, tmp_path):
    show = "import harness, harness_fido2, harness_rigs, harness_suites as suites; import harness_nitrokey3 as key;"
    show += "print(harness.__file__, harness_fido2.__file__, harness_rigs.__file__, suites.__file__, key.__file__)"
    for file in ran(environment.python, "-c", show, cwd=tmp_path).split():
        assert Path(file).is_relative_to(checkout)
    if checkout != ROOT:
        assert not (checkout / ".venv").exists()


def run(page: Path, environment: Environment, tmp_path: Path, *, long: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shell = Shell(folder, environment.path / "bin", environment.install_project)
    differences, _ = pages.check(page, shell, long=long)
    assert not differences, "\n".join([*map(str, differences), REFRESH])


QUICK = [page for page in PAGES if consoles(page, long=False)]
ONLY_LONG = [page for page in PAGES if consoles(page, long=True) and page not in QUICK]


@pytest.mark.parametrize(
    "page",
    [*QUICK, *(pytest.param(page, marks=pytest.mark.long) for page in ONLY_LONG)],
    ids=lambda page: page.name,
)
def test_its_commands_do_what_it_shows(page, environment, tmp_path, request):
    """A page is run once: with its long commands, unless `-m "not long"` leaves long tests out."""
    for program in re.findall(r"<!-- needs: (\S+) -->", page.read_text(encoding="utf-8")):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here, which {page.name} uses")
    run(page, environment, tmp_path, long=request.config.getoption("markexpr") != "not long")
    for head in tmp_path.rglob("run.json"):
        left = [path.stat().st_size for path in head.parent.rglob("*") if path.is_file()]
        assert sum(left) < BYTES_WITHOUT_CASES, head.parent
        assert len(left) <= FILES, head.parent


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_its_links_lead_somewhere(page):
    broken = []
    for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if target and "://" not in target and not (page.parent / target).exists():
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_its_lines_are_not_too_long_to_read(page):
    shown = {at for block in blocks_of(page) for at in range(block.line, block.line + len(block.lines))}
    lines = page.read_text(encoding="utf-8").splitlines()
    long = [
        at for at, line in enumerate(lines, 1) if len(line) > 130 and at not in shown and line[0] not in "|!["
    ]
    assert not long


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return discover()


def unnamed(names: set[str], page: str) -> list[str]:
    """Names that do not stand in backticks anywhere on a page."""
    text = text_of(page)
    return sorted(name for name in names if f"`{name}`" not in text)


def test_every_item_and_operation_is_explained_and_no_other(plugins):
    keys = [
        key
        for key in plugins.keys.values()
        if key.name in ("fido2", "nitrokey3-mini", "nitrokey-hsm2", "nitrokey-pro", "openpgp")
    ]
    operations = {name for key in keys for name in key.operations}
    items = {item.name for key in keys for item in key.items}
    items |= {item.name for key in keys for op in key.operations.values() for item in op.items}
    assert not unnamed(operations | items, "docs/invariants.md")
    applications = {app.name for key in keys for app in key.applications}
    there = set(re.findall(r"`([a-z0-9]+\.[a-z0-9_.]+)`", text_of("docs/invariants.md")))
    found = {name for name in there if name.partition(".")[0] in applications}
    # An item that a home adds may stand there; docs/homes.md explains homes.
    of_homes = {
        item.name for key in keys for one in key.homes.values() for home in one for item in home.items
    }
    assert operations | items <= found <= operations | items | of_homes


def test_every_option_of_a_served_twin_is_explained_and_no_other():
    from typer.main import get_command

    from harness.cli.main import app

    twin = get_command(app).commands["twin"]
    options = {name for one in twin.params for name in one.opts if name.startswith("--")} - {"--help"}
    rows = re.findall(r"^\| `(--[a-z-]+)", text_of("docs/twin.md"), re.M)
    assert set(rows) == options
    assert len(rows) == len(options)


def test_every_field_of_a_bench_is_explained(plugins):
    fields = {*RigEntry.model_fields, *Grants.model_fields, *Bench.model_fields} - {"rig"}
    assert not unnamed(fields, "docs/rigs.md")


def test_every_driver_is_explained_with_its_fields(plugins):
    ours = {name: driver for name, driver in plugins.drivers.items() if is_ours(driver.make)}
    assert {"virtual", "emulator", "usb"} <= ours.keys()
    for name, driver in ours.items():
        assert f"## Driver `{name}`" in text_of("docs/rigs.md")
        assert not unnamed(set(dotted(driver.options)), "docs/rigs.md"), name


def is_ours(make: object) -> bool:
    return str(getattr(make, "__module__", "")).startswith("harness_rigs")


def dotted(model: type[BaseModel]) -> list[str]:
    """The fields of a model as a bench writes them: twin.layer."""
    names = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += [f"{name}.{deeper}" for deeper in dotted(inner)]
        else:
            names.append(name)
    return names


SHAPES = [
    value
    for value in vars(schema).values()
    if isinstance(value, type) and issubclass(value, schema.Shape) and value is not schema.Shape
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_field_of_the_contract_is_explained(shape):
    fields = {field.alias or name for name, field in shape.model_fields.items()}
    assert not unnamed(fields, "docs/reports.md")


def test_every_outcome_and_exit_code_is_explained():
    assert not unnamed({outcome.value for outcome in Outcome}, "docs/reports.md")
    text = text_of("docs/reports.md")
    for verdict, code in EXIT_CODES.items():
        assert f"| {code} | `{verdict}` |" in text


def test_every_law_layer_and_profile_is_explained():
    assert not unnamed({law.value for law in Law}, "docs/plugins.md")
    assert not unnamed({*LAYERS, *PROFILES}, "docs/flash.md")


def test_every_part_stands_there_with_its_figures(plugins):
    from harness_nitrokey3.twin.model import PARTS

    text = text_of("docs/flash.md")
    for part in PARTS.values():
        erase = f"{part.erase_us / 1000:g} ms"
        row = f"| `{part.name}` | {part.page_size} B | {part.pages} | {part.word_size} B | {part.word_us} us a word |"
        assert f"{row} {erase} | {part.endurance:,} |" in text
