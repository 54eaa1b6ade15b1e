"""Case files: checked, begun from logs, counted, and how often a key fails."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.field.cases import Case
from harness.field.rates import counted, poisson_interval, rates

LOG = """\
[   10.000000] usb 1-4: new full-speed USB device number 7 using xhci_hcd
[   10.100000] usb 1-4: device descriptor read/64, error -71
[   10.200000] usb 1-4: device descriptor read/64, error -71
[   11.200000] usb 1-4: New USB device found, idVendor=20a0, idProduct=42b2, bcdDevice= 1.03
"""


def case(**more) -> str:
    told = {"id": "a", "product": "Some Key", "firmware": "v1.3.1", **more}
    return "".join(
        f"{name} = {value if isinstance(value, int) else json.dumps(value)}\n" for name, value in told.items()
    )


@pytest.fixture
def folder(cli):
    place = cli.cwd / "cases"
    place.mkdir()
    return place


def test_cases_are_counted_by_firmware_and_signature(cli, folder):
    (folder / "1.toml").write_text(case(id="one", signatures=["nk3-spontaneous-reset", "usb-gave-up"]))
    (folder / "2.toml").write_text(case(id="two", signatures=["nk3-spontaneous-reset"]))
    (folder / "3.toml").write_text(case(id="three", firmware="1.7.1"))
    done = cli.inside("field", "--cases", "cases", "--json")
    assert done.returncode == 0, done.stderr
    found = {(one["firmware"], one["signature"]): one["cases"] for one in json.loads(done.stdout)["counts"]}
    assert found == {
        ("1.3.1", "nk3-spontaneous-reset"): 2,
        ("1.3.1", "usb-gave-up"): 1,
        ("1.7.1", "unexplained"): 1,
    }


def test_versions_stand_in_their_order(cli, folder):
    versions = ["v1.10.0", "1.9.1", "1.9.0-rc.10", "v1.9.0-rc.2", "not told"]
    for number, version in enumerate(versions):
        (folder / f"{number}.toml").write_text(case(id=f"k-{number}", firmware=version))
    done = cli.inside("field", "--cases", "cases", "--json")
    found = [one["firmware"] for one in json.loads(done.stdout)["counts"]]
    assert found == ["not told", "1.9.0-rc.2", "1.9.0-rc.10", "1.9.1", "1.10.0"]


def test_once_in_half_a_year_has_an_interval(cli, folder):
    (folder / "1.toml").write_text(
        case()
        + "in_use_since = 2023-07-29\nlast_success = 2024-01-28\nfirst_failure = 2024-01-29\nplugs = 400\n"
    )
    done = cli.inside("field", "--cases", "cases")
    assert "once in 6.05 months (95 %: once in 1.08 to 239 months; 1 key)" in done.stdout
    assert "once in 400 plugs (95 %: once in 71.8 to 15,799 plugs; 1 key)" in done.stdout
    assert "Only keys that failed are in these figures" in done.stdout


def test_a_case_is_begun_from_logs_and_stands_on_their_hashes(cli, folder):
    (folder / "sent.log").write_text(LOG)
    begun = cli.inside("field", "cases/sent.log", "--case", "cases/K 17.toml")
    assert begun.returncode == 0, begun.stderr
    told = tomllib.loads((folder / "K 17.toml").read_text())
    assert (told["id"], told["signatures"]) == ("k-17", ["usb-contact-glitch"])
    assert told["file"][0]["name"] == "sent.log"
    assert cli.inside("field", "--cases", "cases").returncode == 0
    (folder / "sent.log").write_text(LOG + "more\n")
    changed = cli.inside("field", "--cases", "cases")
    assert changed.returncode == 4
    assert "file sent.log" in changed.stderr
    assert cli.inside("field", "cases/sent.log", "--case", "cases/K 17.toml").returncode == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (case(colour="red"), "colour"),
        (case(id="A B"), "· id"),
        ("product = 'x'\n", "· id"),
        (case(signatures=["nk3-spontaneous-rest"]), "nk3-spontaneous-reset"),
        (case() + "first_failure = 2024-01-01\nlast_success = 2024-01-02\n", "in this order"),
        (case() + "reproduced = { k = 3, n = 2 }\n", "k of n"),
        (case() + "first_failure = 'yesterday'\n", "first_failure"),
        (case(disposition="gone"), "disposition"),
        (case() + "[[file]]\nname = 'a'\nsha256 = 'abc'\n", "sha256"),
        (case(plugs=0), "plugs"),
        (case(plugs=10**9, failures=10**9), "failures"),
        ("id = [\n", "TOML"),
    ],
)
def test_a_case_that_does_not_fit_says_where(cli, folder, text, said):
    (folder / "1.toml").write_text(text)
    done = cli.inside("field", "--cases", "cases")
    assert done.returncode == 4
    assert "1.toml" in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


SCENARIO = """
[replay]
key = "nitrokey3-mini"
operations = ["fido2.make_credential.non_resident"]
"""


def test_a_scenario_lies_beside_its_case_and_is_none(cli, folder):
    (folder / "1.toml").write_text(case(id="one", scenario="again.toml"))
    (folder / "2.toml").write_text(case(id="two", scenario="nk3-spontaneous-reset"))
    (folder / "again.toml").write_text(SCENARIO)
    done = cli.inside("field", "--cases", "cases", "--json")
    assert done.returncode == 0, done.stderr
    assert [one["id"] for one in json.loads(done.stdout)["cases"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "text", "place", "said"),
    [
        ("nk3-spontanous-reset", None, "case cases/1.toml · scenario", "or one of nk3-spontaneous-reset, "),
        ("again.toml", None, "case cases/1.toml · scenario", "a scenario file beside the case"),
        (
            "again.toml",
            SCENARIO.replace("key =", "keys ="),
            "scenario cases/again.toml · replay.key",
            '"key"',
        ),
        ("again.toml", "[replay\n", "scenario cases/again.toml", "TOML"),
        ("..", None, "case cases/1.toml · scenario", "a scenario file beside the case"),
    ],
)
def test_a_scenario_that_nobody_can_replay_is_refused(cli, folder, name, text, place, said):
    (folder / "1.toml").write_text(case(scenario=name))
    if text is not None:
        (folder / "again.toml").write_text(text)
    done = cli.inside("field", "--cases", "cases")
    assert done.returncode == 4, done.stdout
    assert done.stderr.splitlines()[0].startswith(place)
    assert said in done.stderr


def test_one_id_is_one_case(cli, folder):
    for name in ("1", "2"):
        (folder / f"{name}.toml").write_text(case())
    done = cli.inside("field", "--cases", "cases")
    assert done.returncode == 4
    assert "as in 1.toml" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cases", "cases"], "no *.toml"),
        (["--cases", "cases", "x.log"], "logs are read without it"),
        ([], "a log, or --cases DIR"),
    ],
)
def test_what_is_asked_for_must_be_there(cli, folder, options, said):
    done = cli.inside("field", *options)
    assert done.returncode == 4
    assert said in done.stderr


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        (0, 0.0, 3.6889),
        (1, 0.025318, 5.5716),
        (2, 0.24221, 7.2247),
        (10, 4.7954, 18.3904),
        (100, 81.364, 121.627),
    ],
)
def test_the_interval_is_garwoods(count, low, high):
    assert poisson_interval(count) == pytest.approx((low, high), rel=1e-4)


@given(st.integers(0, 100), st.floats(0.5, 0.99))
def test_more_events_move_the_interval_up_and_more_confidence_widens_it(count, confidence):
    low, high = poisson_interval(count, confidence)
    assert low <= count <= high
    more_low, more_high = poisson_interval(count + 1, confidence)
    assert more_low > low
    assert more_high > high
    wide_low, wide_high = poisson_interval(count, (1 + confidence) / 2)
    assert wide_low <= low
    assert wide_high >= high


@pytest.mark.parametrize(("count", "confidence"), [(-1, 0.9), (1, 0.0), (1, 1.0)])
def test_an_interval_of_nothing_is_refused(count, confidence):
    with pytest.raises(ValueError, match="a count and a confidence"):
        poisson_interval(count, confidence)


def test_a_rate_is_of_those_keys_only_that_tell_their_use():
    known = Case(id="a", product="x", plugs=100, failures=2)
    untold = Case(id="b", product="x")
    (found,) = rates([known, untold])
    assert (found.per, found.keys, found.failures, found.exposure) == ("plug", 1, 2, 100)
    assert rates([untold]) == []
    assert counted([untold, untold]) == {("not told", "unexplained"): 2}
