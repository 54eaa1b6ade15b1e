"""A plugin of somebody else that has an option or a fixture of ours is named."""

from __future__ import annotations

import pytest

RUN = ("run", "endurance", "--seed", "1", "--operation", "fido2.client_pin.verify", "--cuts", "1")
OPTION = "def pytest_addoption(parser):\n    parser.addoption('--kh-seed', type=int)\n"
FIXTURE = "import pytest\n@pytest.fixture\ndef rig({}):\n    return None\n"
SUITE = """\
from pathlib import Path
from harness.bench.plugin_api import Suite, hookimpl
@hookimpl
def keyharness_suites():
    return [Suite("acme", "x", Path(__file__).parent / "acme")]
"""


def install(cli, group, text):
    site = cli.cwd / "site"
    info = site / "acme_key-0.3.dist-info"
    info.mkdir(parents=True)
    (site / "acme_plugin.py").write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-key\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nacme = acme_plugin\n")
    cli.env["PYTHONPATH"] = str(site)
    return site


@pytest.mark.parametrize(
    ("text", "what"), [(OPTION, "--kh-"), (FIXTURE.format(""), "`rig`")], ids=["option", "fixture"]
)
def test_a_plugin_that_clashes_is_named(cli, text, what):
    site = install(cli, "pytest11", text)
    done = cli(*RUN)
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"{site}/acme_plugin.py" in done.stderr
    assert what in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("asks", "code"), [("", 4), ("rig", 0)], ids=["replaces", "extends"])
def test_a_conftest_may_extend_a_fixture_and_not_replace_it(cli, asks, code):
    site = install(cli, "keyharness", SUITE)
    (site / "acme").mkdir()
    (site / "acme" / "conftest.py").write_text(FIXTURE.format(asks))
    (site / "acme" / "test_acme.py").write_text("def test_it(rig):\n    pass\n")
    done = cli("run", "acme", "--seed", "1")
    assert done.returncode == code, done.stdout + done.stderr
    assert ("acme/conftest.py" in done.stderr) == (code == 4)


def test_with_workers_a_clash_is_said_once_and_in_the_same_words(cli):
    site = install(cli, "keyharness", SUITE)
    (site / "acme").mkdir()
    (site / "acme" / "conftest.py").write_text(FIXTURE.format(""))
    (site / "acme" / "test_acme.py").write_text("def test_it(rig):\n    pass\n")
    done = cli("run", "acme", "--seed", "1", "--", "-n", "2")
    assert done.returncode == 4, done.stdout + done.stderr
    assert done.stderr.count(f"{site}/acme/conftest.py") == 1
    assert "found     fixture `rig`, which Keyharness has" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr


def test_other_users_of_pytest_call_their_fixtures_as_they_like(cli):
    (cli.cwd / "conftest.py").write_text(FIXTURE.format("").replace("rig", "home"))
    (cli.cwd / "test_home.py").write_text("def test_it(home):\n    assert home is None\n")
    cli.command = [cli.command[0], "-m", "pytest"]
    done = cli("test_home.py", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr


FOREIGN = """\
import pytest

@pytest.fixture
def rig():
    return "theirs"

@pytest.fixture(params=["left", "right"])
def operation(request):
    return request.param

def test_a_fixture(rig):
    assert rig == "theirs"

def test_fixtures_with_parameters(rig, operation):
    assert operation in ("left", "right")

@pytest.mark.parametrize("operation", ["add", "subtract"])
def test_a_parameter(operation, rig):
    assert operation in ("add", "subtract")

@pytest.mark.parametrize(("a", "rig"), [(1, 2)])
def test_parameters(a, rig):
    assert (a, rig) == (1, 2)

@pytest.mark.parametrize("a, operation", [(1, 2)])
def test_parameters_in_one_string(a, operation):
    assert (a, operation) == (1, 2)

@pytest.mark.parametrize("rig", [3], indirect=False)
class TestOfAClass:
    def test_it(self, rig, record_property):
        record_property("seen", rig)
        assert rig == 3

@pytest.fixture
def rest_of_the_budget():
    return 7

def test_what_spends_the_rest_of_a_budget(rest_of_the_budget):
    assert rest_of_the_budget == 7
"""


def test_a_test_of_others_has_fixtures_and_parameters_of_our_names(cli):
    """No bench is read, no test is run for each rig, left out or written to."""
    (cli.cwd / "test_theirs.py").write_text(FOREIGN)
    cli.env["KEYHARNESS_BENCH"] = str(cli.cwd / "absent.toml")
    cli.command = [cli.command[0], "-m", "pytest"]
    done = cli(
        "test_theirs.py", "-p", "no:cacheprovider", "--kh-bench", "absent.toml", "--junitxml", "out.xml"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout
    written = (cli.cwd / "out.xml").read_text()
    assert 'name="suite"' not in written
    assert 'name="rig"' not in written
    assert not (cli.cwd / "reports").exists()


def test_a_parameter_of_their_own_beside_our_rig(cli):
    (cli.cwd / "test_theirs.py").write_text(
        'import pytest\n@pytest.mark.parametrize("operation", ["add"])\n'
        "def test_it(rig, operation):\n    assert (rig.evidence_kind, operation) == ('twin', 'add')\n"
    )
    cli.command = [cli.command[0], "-m", "pytest"]
    done = cli("test_theirs.py", "-p", "no:cacheprovider", "--kh-seed", "1", "--kh-rig", "nk3-mini")
    assert done.returncode == 0, done.stdout + done.stderr
