"""Scenarios from the field, replayed: how often they show, where, whether they stay, and from which version on not."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import CallerError
from harness.base.seeds import Stream
from harness.bench.registry import discover
from harness.commands.scenario import _numbers
from harness.field.scenario_file import Replay, Sees, StepRow, parse_scenario
from harness.run.glitches import disturbances, draw
from harness.run.scenario import first_gone, shows
from harness.run.scenario_answers import case_fits
from harness.search.plan import planned
from support.command import Cli

SPONTANEOUS = "nk3-spontaneous-reset"
OPERATION = "fido2.make_credential.non_resident"
LOST_TO_A_FORMAT = f"""
[scenario]
id = "formatted"
firmware = "1.2.2"
[replay]
key = "nitrokey3-mini"
operations = ["{OPERATION}"]
sees = [
    {{ item = "fido2.attestation", value = "packed without x5c.*" }},
    {{ item = "fido2.resident_credentials", value = '\\(\\)' }},
]
"""


@pytest.fixture(scope="module")
def spontaneous(tmp_path_factory):
    """The spontaneous reset, replayed once: the process, its document, and where it ran."""
    cli = Cli(tmp_path_factory.mktemp("spontaneous"))
    done = cli("run", "--scenario", SPONTANEOUS, "--seed", "7", "--trials", "60", "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    return cli, json.loads(done.stdout)


def of(document, which, operation=OPERATION):
    (found,) = [one for one in document[which] if one["operation"] == operation]
    return found


@pytest.mark.long
def test_the_spontaneous_reset_shows_on_1_3_1_and_not_on_a_safe_layer(spontaneous):
    _, document = spontaneous
    told, control = of(document, "tried"), of(document, "control")
    assert document["reproduced"] is True
    assert (told["firmware"], told["evidence"], told["whole"]) == ("v1.3.1", "twin", True)
    assert told["instants"]
    assert all("flash op" in one["where"] for one in told["instants"])
    assert control["walked"] > 100
    assert (control["instants"], control["shown"]) == ([], 0)


@pytest.mark.long
def test_the_interval_holds_what_was_counted(spontaneous):
    told = of(spontaneous[1], "tried")
    low, high = told["interval"]
    assert told["trials"] == 60
    assert low <= told["shown"] / 60 <= high
    assert high - low < 0.3


@pytest.mark.long
def test_an_update_afterwards_brings_nothing_back(spontaneous):
    assert of(spontaneous[1], "tried")["after"]["update"] == {"still": 3, "of": 3}


@pytest.mark.long
def test_an_instant_is_replayed_from_the_folder_of_the_run(spontaneous):
    cli, document = spontaneous
    instant = of(document, "tried")["instants"][0]
    again = cli("replay", instant["replay"], "--bench", f"{document['run']}/bench.toml", "--json")
    assert again.returncode == 1, again.stderr
    changed = json.loads(again.stdout)["changed"]
    assert changed["fido2.non_resident_credential"] == ["asserts", "absent"]
    assert "admin.status" not in changed
    assert "fido2.attestation" not in changed


@pytest.mark.long
def test_its_run_is_kept_like_any_other(spontaneous):
    cli, document = spontaneous
    rows = [json.loads(line) for line in (cli.run_dir / "evidence.jsonl").read_text().splitlines()]
    tried = [one for which in ("tried", "control") for one in document[which]]
    assert len(rows) == sum(one["walked"] + one["trials"] for one in tried)
    assert any(row["planned"].get("burst") and row["planned"]["gaps_us"] for row in rows)
    assert list(cli.run_dir.glob("abnormal/*/row.json"))
    report = cli("report")
    assert report.returncode == 0, report.stderr


@pytest.mark.long
@pytest.mark.parametrize("name", ["hsm-device-blocked", "openpgp-loss", "nk3-firmware-update"])
def test_every_answer_of_a_thread_holds(tmp_path, name):
    cli = Cli(tmp_path / "answers")
    cli.cwd.mkdir()
    done = cli("run", "--scenario", name, "--seed", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads(done.stdout)["answers"]
    text = discover().scenario_files()[name].read_text(encoding="utf-8")
    assert [one["says"] for one in answers] == [one["says"] for one in tomllib.loads(text)["answer"]]
    assert all(one["holds"] and one["asked"] >= 1 for one in answers)


@pytest.mark.long
def test_an_answer_that_a_key_does_not_keep_is_named(cli):
    (cli.cwd / "answers.toml").write_text(
        '[[answer]]\nsays = "15 tries"\nsuite = "lifecycle"\n'
        'cases = ["test_the_so_pin_is_blocked_after_fifteen_wrong_tries_for_good"]\n'
    )
    (cli.cwd / "bench.toml").write_text(
        '[[rig]]\nname = "hsm"\nkey = "nitrokey-hsm2"\ndriver = "virtual"\nexpendable = true\n'
        'twin.defects = ["so-counter-in-ram"]\n'
    )
    done = cli("run", "--scenario", "answers.toml", "--bench", "bench.toml", "--json")
    (answer,) = json.loads(done.stdout)["answers"]
    assert done.returncode == 1, done.stderr
    assert (answer["holds"], len(answer["against"])) == (False, 1)


@pytest.mark.long
def test_over_personalities_it_is_the_model_that_no_longer_shows_it(cli):
    (cli.cwd / "formatted.toml").write_text(LOST_TO_A_FORMAT)
    for version in ("1.0.1", "1.2.2", "1.3.1", "1.7.1"):
        made = cli.inside("firmware", "make", f"{version}.zip", "--version", version)
        assert made.returncode == 0, made.stderr
    done = cli(
        *("run", "--scenario", "formatted.toml", "--firmware", ".", "--seed", "1"),
        *("--cuts", "24", "--trials", "0"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "model: not shown from v1.3.1 on" in done.stdout
    assert "no vendor firmware was executed" in done.stdout
    assert "fixed" not in done.stdout


# Laws, without a run


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_the_first_version_without_it_is_found_by_few_tries(later):
    first = later.index(True) if True in later else len(later)
    shown = [at < first for at in range(len(later))]
    asked: list[str] = []

    def ask(version: str) -> bool:
        asked.append(version)
        return shown[int(version)]

    gone, tried = first_gone([str(at) for at in range(len(shown))], ask)
    assert gone == (str(first) if 0 < first < len(shown) else None)
    assert tried == asked
    assert len(set(asked)) == len(asked) <= 2 + len(shown).bit_length()


STEPS = st.lists(
    st.builds(
        StepRow,
        act=st.sampled_from(
            [
                "bounce",
                "glitch",
                "enumeration-cut",
                "power-cycle",
                "data-before-power",
                "connect",
                "disconnect",
            ]
        ),
        times=st.integers(1, 5),
        errors=st.none() | st.integers(1, 20),
        growth=st.floats(1, 3),
    ),
    max_size=6,
)


@given(STEPS, st.integers(1, 10**7), st.integers(1, 10**6), st.integers(0, 99))
def test_a_drawn_cut_can_be_named_and_found_again(steps, length_us, boot_us, seed):
    plan = draw(steps, length_us, boot_us, Stream(seed, "test"))
    assert plan == draw(steps, length_us, boot_us, Stream(seed, "test"))
    assert 0 <= plan.offset_us < length_us
    least = sum(1 if step.act == "glitch" else step.times for step in disturbances(steps))
    assert len(plan.boots) == len(plan.gaps) >= least
    again = planned(plan.label, {"start": 0}, length_us)
    assert (again.boots, again.offset_us, again.label) == (plan.boots, plan.offset_us, plan.label)
    assert again.gaps in (plan.gaps, ()) or not any(plan.gaps)


def test_a_boot_on_the_data_lines_ends_without_a_gap():
    step = StepRow(act="data-before-power", times=3, on_ms=(2, 2))
    plan = draw([step], 1, 900_000, Stream(1, "test"))
    assert (plan.boots, plan.gaps) == ((2000,) * 3, (0,) * 3)
    short = draw([StepRow(act="data-before-power")], 1, 900_000, Stream(1, "test")).boots
    assert 100 <= short[0] <= 20_000


def test_gaps_grow():
    step = StepRow(act="bounce", times=4, off_ms=(10, 10), growth=2)
    assert draw([step], 1, 1, Stream(1, "test")).gaps == (10_000, 20_000, 40_000, 80_000)


def test_what_comes_after_the_key_is_up_again_is_no_part_of_the_disturbance():
    acts = ["connect", "glitch", "bounce", "connect", "glitch"]
    assert [one.act for one in disturbances([StepRow(act=act) for act in acts])] == ["glitch", "bounce"]


def test_all_that_was_seen_must_show():
    replay = Replay(
        key="k", operations=["o"], sees=[Sees(item="a", value="absent"), Sees(item="s", value="o.")]
    )
    before = {"a": "asserts", "s": "ok"}
    row = {"outcome": "lost", "changed": {"a": ["asserts", "absent"]}}
    assert shows(replay, before, row)
    assert not shows(replay, {**before, "s": "oko"}, row)
    assert not shows(replay, before, {**row, "changed": {}})
    assert not shows(replay, before, {**row, "outcome": "missed"})
    assert not shows(replay, before, {**row, "outcome": "stuck"})
    anything = replay.model_copy(update={"sees": []})
    assert shows(anything, before, row)
    assert not shows(anything, before, {"outcome": "old", "changed": {}})


@pytest.mark.parametrize(
    ("case", "node", "fits"),
    [
        ("test_a", "suite/test_x.py::test_a", True),
        ("test_a", "suite/test_x.py::test_ab[rig-1]", False),
        ("test_a keys 0_used", "suite/test_x.py::test_a[hsm-1-keys-so_open-0_used]", True),
        ("test_a keys", "suite/test_x.py::test_a[hsm-1-monkeys]", False),
        ("test_a 1.3.1-to-1.3.1", "suite/test_x.py::test_a[nk3-1.3.1-to-1.3.1-test.2]", True),
    ],
)
def test_a_case_is_named_by_its_words(case, node, fits):
    assert case_fits(case, node) is fits


@pytest.mark.parametrize("name", ["nk3-spontaneous-reset", "hsm-device-blocked"])
def test_the_scenarios_that_are_brought_along_fit(name):
    file = discover().scenario_files()[name]
    assert parse_scenario(file.read_text(encoding="utf-8"), name).scenario.id == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[scenario", "TOML"),
        ("[[step]]\nact = 'jump'\n", "step.1.act"),
        ("[[step]]\nact = 'bounce'\non_ms = [9, 1]\n", "milliseconds"),
        ("[replay]\nkey = 'k'\noperations = []\n", "replay.operations"),
        (
            "[replay]\nkey = 'k'\noperations = ['o']\nsees = [{ item = 'i', value = '(' }]\n",
            "regular expression",
        ),
        ("[scenario]\nname = 'x'\n", "id, "),
        (
            "[replay]\nkey = 'k'\noperations = ['o']\n[[answer]]\nsays = 's'\nsuite = 's'\ncases = ['c']\n",
            "not both",
        ),
    ],
)
def test_a_file_that_does_not_fit_says_where(text, said):
    with pytest.raises(CallerError) as error:
        parse_scenario(text, "my.toml")
    assert said in str(error.value)
    assert "my.toml" in str(error.value)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("[scenario]\nid = 'x'\n", [], "neither [replay] nor [[answer]]"),
        ("[replay]\nkey = 'none'\noperations = ['o']\n", [], "replay.key"),
        ("[replay]\nkey = 'nitrokey3-mini'\noperations = ['fido2.nothing']\n", [], "replay.operations"),
        (
            "[scenario]\nfirmware = 'x'\n[replay]\nkey = 'nitrokey3-mini'\noperations = ['fido2.reset']\n",
            [],
            "personality",
        ),
        ("[[answer]]\nsays = 's'\nsuite = 'schsm'\ncases = ['c']\n", ["--trials", "3"], "nothing is cut"),
        ("[[answer]]\nsays = 's'\nsuite = 'none'\ncases = ['c']\n", [], "the name of a suite"),
        (LOST_TO_A_FORMAT, ["--firmware", "."], "no *.zip"),
        (LOST_TO_A_FORMAT, ["--home", "full"], "does not go with --home"),
        (LOST_TO_A_FORMAT, ["--bench", "hsm.toml"], "no rig with such a key"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_one_message(cli, text, options, said):
    (cli.cwd / "my.toml").write_text(text)
    done = cli.inside("run", "--scenario", "my.toml", *options)
    assert done.returncode == 4
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_data_lines_before_power_are_a_boot_of_a_twin_that_is_lost(cli):
    (cli.cwd / "my.toml").write_text(
        LOST_TO_A_FORMAT + "[[step]]\nact = 'data-before-power'\ntimes = 2\n[[step]]\nact = 'connect'\n"
    )
    done = cli("run", "--scenario", "my.toml", "--cuts", "1", "--trials", "2", "--seed", "3", "--json")
    assert done.returncode in (0, 1), done.stderr
    rows = [json.loads(line) for line in (cli.run_dir / "evidence.jsonl").read_text().splitlines()]
    assert [len(row["planned"].get("burst") or ()) for row in rows].count(2) == 2


@pytest.mark.long
def test_an_item_that_nobody_observes_is_no_answer(cli):
    (cli.cwd / "my.toml").write_text(LOST_TO_A_FORMAT.replace("fido2.attestation", "fido2.attestations"))
    done = cli.inside("run", "--scenario", "my.toml", "--cuts", "2", "--trials", "0")
    assert done.returncode == 4, done.stdout
    assert "fido2.attestation" in done.stderr
    assert "replay.sees" in done.stderr


def test_versions_are_in_order_also_those_of_a_test():
    told = ["1.10.0", "1.7.2", "1.7.2-test.2", "1.9.0", "1.7.2-test.1"]
    ordered = ["1.7.2-test.1", "1.7.2-test.2", "1.7.2", "1.9.0", "1.10.0"]
    assert sorted(told, key=_numbers) == sorted(ordered, key=_numbers) == ordered
