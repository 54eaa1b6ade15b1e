"""A plan that does not fit is refused with its place; what is frozen of it does not follow from how it is written."""

import json
import tomllib

import pytest

from harness.bench.registry import discover
from harness.qualify.plan import Plan
from harness.qualify.plan_file import check_plan, load_plan
from support.command import Cli

PLAN = """
schema = 1
id = "Q-1"
[product]
key = "nitrokey3-mini"
[firmware]
version = "1.8.3"
[[bench]]
file = "virtual.toml"
kind = "twin"
[goal]
operations = ["fido2.get_assertion"]
[roles]
executor = "A"
reviewer = "B"
approver = "C"
"""
CARRIED = 'carried = [{{ operation = "fido2.get_assertion", plan = "{}", reason = "r", by = "b" }}]'
WAIVER = """
[[waiver]]
id = "W-1"
severity = "S1"
firmware_from = "1"
firmware_to = "2"
ceiling = [1, 10]
impact = "none"
ticket = "T-1"
approver = {approver}
until = {{ date = 2999-01-01, version = "2" }}
[waiver.finding]
operation = "{operation}"
item = "fido2.pin"
law = "kept"
"""


@pytest.fixture
def refused(tmp_path):
    (tmp_path / "lab").mkdir()
    cli = Cli(tmp_path / "lab")

    def said(text: str) -> str:
        (cli.cwd / "plan.toml").write_text(text)
        done = cli.inside("qualify", "plan.toml", "--report-only")
        assert done.returncode == 4, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        # Nothing was frozen, and nothing was made.
        assert not (cli.cwd / "reports" / "qualification-Q-1").exists()
        return done.stderr

    return said


@pytest.mark.parametrize(
    ("before", "after", "place", "words"),
    [
        ('version = "1.8.3"', 'version = "1.8.3"\nsigner_ = "N"', "firmware.signer_", "signer"),
        ('version = "1.8.3"', "", "firmware.version", "add it"),
        ('kind = "twin"', 'kind = "model"', "bench number 1.kind", '"twin", "emulator"'),
        ('kind = "twin"', 'kind = "hardware"', "bench number 1.kind", "has the driver virtual"),
        ("[goal]", "[goal]\nmin_keys = true", "goal.min_keys", "found     true"),
        ("[goal]", "[goal]\nbelow = nan", "goal.below", "not infinite"),
        ("[goal]", '[goal]\nconfidence = "99 %"', "goal.confidence", "a number"),
        ("[goal]", "[goal]\nmin_nights = 0", "goal.min_nights", "a number, at least 1"),
        ("[goal]", "[goal]\nmin_keys = 1.5", "goal.min_keys", "a whole number"),
        ('id = "Q-1"', "id = 118", "id", "a text in quotation marks"),
        ('kind = "twin"', 'kind = "twin"\nhomes = []', "bench number 1.homes", "a list of 1 or more"),
        ("[goal]", "[decision]\nstop = 2026-11-30T08:00:00\n[goal]", "decision.stop", "without a time"),
        ("[goal]", "[goal]\nbelow = 1.5", "goal.below", "less than 1"),
        ("[goal]", '[goal]\nmodels = "sample"', "goal", "needs `cuts`"),
        ('version = "1.8.3"', 'version = "1.8.3"\nfile = "x.zip"', "firmware", "sha256"),
        ("fido2.get_assertion", "fido2.get_assertio", "goal.operations", "fido2.get_assertion"),
        ("nitrokey3-mini", "nitrokey3", "product.key", "nitrokey3-mini"),
        ("virtual.toml", "nothing.toml", "bench nothing.toml", "a bench file"),
        ('kind = "twin"', 'kind = "twin"\nrigs = ["mini-9"]', "bench number 1.rigs", "nk3-mini"),
        ('kind = "twin"', 'kind = "twin"\nhomes = ["old"]', "bench.homes", "fresh"),
        ("schema = 1", "schema = 2", "schema", "1"),
        ("schema = 1", 'schema = 1\nnight = "8 hours"', "night", "such as 8h"),
        ('version = "1.8.3"', f'version = "1.8.3"\nsha256 = "{"A" * 64}"', "firmware.sha256", "lower case"),
        ("[goal]", '[decision]\nstop = "soon"\n[goal]', "decision.stop", "without quotation marks"),
        ('id = "Q-1"', f'id = "{"Q" * 300}"', "id", "at most 64"),
        ("schema = 1", "schema = ", "plan.toml", "mend that line"),
        (
            "[roles]",
            '[[operation]]\nname = "fido2.client_pin.change"\n[roles]',
            'operation "fido2.cl',
            "fido2.get_assertion",
        ),
        (
            'version = "1.8.3"',
            'version = "1.8.3"\n' + CARRIED.format("Q-1"),
            "firmware.carried fido2",
            "this plan",
        ),
        ("[roles]", '[[product.sample]]\nidentity = "a"\n' * 2 + "[roles]", 'product.sample "a"', "2 tables"),
    ],
)
def test_each_mistake_has_its_place(refused, before, after, place, words):
    said = refused(PLAN.replace(before, after, 1))
    assert place in said.splitlines()[0]
    assert words in said


def test_a_waiver_of_an_s1_needs_two_people(refused):
    for one in ('["J.D."]', '["J.D.", "j.d."]', '["J.D.", "J. D."]'):
        said = refused(PLAN + WAIVER.format(approver=one, operation="fido2.get_assertion"))
        assert "waiver number 1" in said
        assert "two different approvers" in said
    said = refused(PLAN + WAIVER.format(approver='["J.D.", "M.R."]', operation="fido2.nothing"))
    assert "waiver W-1" in said


def test_a_waiver_that_can_fit_no_version_is_refused(refused):
    one = WAIVER.format(approver='["J.D.", "M.R."]', operation="fido2.get_assertion")
    assert "firmware_from, 3, is not above firmware_to, 2" in refused(
        PLAN + one.replace('firmware_from = "1"', 'firmware_from = "3"')
    )
    assert "waiver number 1.ceiling number 2" in refused(PLAN + one.replace("[1, 10]", "[1]"))
    dated = refused(PLAN + one.replace("2999-01-01", '"2999"'))
    assert "a date such as" in dated


def test_a_plan_from_an_editor_of_windows_is_read(tmp_path):
    (tmp_path / "plan.toml").write_bytes(b"\xef\xbb\xbf" + PLAN.replace("\n", "\r\n").encode())
    assert load_plan(tmp_path / "plan.toml").digest == digest(PLAN)


def test_a_fix_of_an_operation_that_is_not_there_is_refused(refused):
    fix = '[[fix]]\nticket = "T-1"\nby = "A"\nfinding = { operation = "fido2.nothing", item = "i", law = "kept" }\n'
    assert "fix T-1" in refused(PLAN + fix)


def test_a_waiver_of_a_home_that_is_not_there_is_refused(refused):
    held = WAIVER.format(approver='["J.D.", "M.R."]', operation="fido2.get_assertion") + 'home = "agd"\n'
    said = refused(PLAN + held)
    assert "waiver W-1" in said
    assert '"agd"' in said


@pytest.mark.parametrize(
    ("before", "after", "place", "expected"),
    [
        ('item = "fido2.pin"', 'item = "fido2.pin_retry"', "finding.item", "fido2.pin_retries, "),
        ('item = "fido2.pin"', 'item = "device"', "finding.law", "answers"),
        ('item = "fido2.pin"\nlaw = "kept"', 'item = "flash wear"\nlaw = "kept"', "finding.law", "baseline"),
        ('law = "kept"', 'law = "keptt"', "finding.law", "kept or answers"),
        ('law = "kept"', 'law = "falling"', "finding.law", "kept or answers"),
    ],
)
def test_a_waiver_or_a_fix_names_a_finding_that_there_can_be(refused, before, after, place, expected):
    waiver = WAIVER.format(approver='["J.D.", "M.R."]', operation="fido2.get_assertion")
    said = refused(PLAN + waiver.replace(before, after))
    assert f"waiver W-1 · {place}" in said.splitlines()[0]
    assert f"expected  {expected}" in said
    assert "keyharness list" in said
    fix = '[[fix]]\nticket = "T-1"\nby = "A"\n[fix.finding]\n' + waiver.partition("[waiver.finding]\n")[2]
    assert f"fix T-1 · {place}" in refused(PLAN + fix.replace(before, after)).splitlines()[0]


@pytest.mark.parametrize(
    ("item", "law"), [("device", "answers"), ("flash wear", "baseline"), ("fido2.pin", "answers")]
)
def test_what_every_key_can_show_may_be_waived(tmp_path, item, law):
    text = WAIVER.format(approver='["J.D.", "M.R."]', operation="fido2.get_assertion")
    text = text.replace('item = "fido2.pin"', f'item = "{item}"').replace('law = "kept"', f'law = "{law}"')
    (tmp_path / "plan.toml").write_text(PLAN + text)
    check_plan(load_plan(tmp_path / "plan.toml"), tmp_path / "plan.toml", discover())


def test_an_item_of_another_operation_or_home_is_no_finding_of_this_one(refused):
    plugins = discover()
    key = plugins.keys["nitrokey3-mini"]
    common = {item.name for item in key.items}
    own = {name: {item.name for item in one.items} - common for name, one in key.operations.items()}
    operation = next(name for name, items in own.items() if items and not own["fido2.get_assertion"] & items)
    item = min(own[operation])
    waiver = WAIVER.format(approver='["J.D.", "M.R."]', operation="fido2.get_assertion")
    said = refused(PLAN + waiver.replace("fido2.pin", item))
    assert f'found     "{item}"' in said
    assert "what is observed after a cut into fido2.get_assertion" in said


def test_a_container_of_another_digest_is_refused(refused, tmp_path):
    (tmp_path / "lab" / "x.zip").write_bytes(b"another")
    said = refused(
        PLAN.replace('version = "1.8.3"', f'version = "1.8.3"\nfile = "x.zip"\nsha256 = "{"0" * 64}"', 1)
    )
    assert "firmware.sha256" in said


def digest(text: str) -> str:
    return Plan.model_validate(tomllib.loads(text)).digest


def test_comments_and_what_comes_later_do_not_change_what_is_frozen():
    assert digest("# why\n" + PLAN) == digest(PLAN)
    assert digest(PLAN.replace('executor = "A"\nreviewer = "B"', 'reviewer = "B"\nexecutor = "A"')) == digest(
        PLAN
    )
    later = WAIVER.format(approver='["J.D.", "M.R."]', operation="fido2.get_assertion")
    later += '[[exclude]]\nrun = "x"\nreason = "y"\nby = "z"\n'
    assert digest(PLAN + later) == digest(PLAN)


@pytest.mark.parametrize(
    ("before", "after"),
    [("1.8.3", "1.8.4"), ("[goal]", "[goal]\nbelow = 0.02"), ('approver = "C"', 'approver = "D"')],
)
def test_what_is_asked_is_frozen(before, after):
    assert digest(PLAN.replace(before, after, 1)) != digest(PLAN)


def test_the_schema_names_every_table(tmp_path):
    (tmp_path / "lab").mkdir()
    done = Cli(tmp_path / "lab").inside("qualify", "--schema")
    assert done.returncode == 0
    schema = json.loads(done.stdout)
    assert schema["additionalProperties"] is False
    assert {"schema", "id", "product", "firmware", "bench", "roles"} <= {*schema["required"]}
    assert {"waiver", "exclude", "amendment", "fix", "requirement", "tool"} <= schema["properties"].keys()
