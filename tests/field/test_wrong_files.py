"""A case file or a scenario that does not fit: one message with place, found, expected and mend, in plain words."""

from __future__ import annotations

import re

import pytest

from harness.base.errors import CallerError
from harness.field.cases import read_cases
from harness.field.scenario_file import parse_scenario

CASE = 'id = "k-1"\nproduct = "x"\n'
REPLAY = '[replay]\nkey = "k"\noperations = ["o"]\n'


def shown(error: pytest.ExceptionInfo[CallerError]) -> str:
    text = str(error.value)
    assert re.search(r"\A\S.*\n  found     .+\n  expected  .+\n  mend      docs/field.md", text), text
    # Words of a library mean nothing to a reader.
    assert not re.search(r"Input should|validation|pattern|tuple|dict", text), text
    return text


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ('id = "K 1"\nproduct = "x"\n', "id", "lower-case letters"),
        ('id = "k-1"\n', "product", '"product"'),
        (CASE + 'firmwere = "1"\n', "firmwere", "firmware, "),
        (CASE + 'first_failure = "29.01.2024"\n', "first_failure", "a date such as"),
        (CASE + "first_failure = 2024-01-29T07:15:08\n", "first_failure", "without a time"),
        (CASE + "plugs = 0\n", "plugs", "a number, at least 1"),
        (CASE + "plugs = true\n", "plugs", "a number, or a text"),
        (CASE + "plugs = 1.5\n", "plugs", "a whole number"),
        (CASE + 'disposition = "fixed"\n', "disposition", '"open", "explained"'),
        (CASE + 'works = "new credentials"\n', "works", "a list in brackets"),
        (CASE + "reproduced = { k = 5, n = 3 }\n", "reproduced", "k not above n"),
        (CASE + '[[file]]\nname = "a"\nsha256 = "zz"\n', "file.1.sha256", "64 hexadecimal digits"),
        (CASE + '[[file]]\nname = "../b"\nsha256 = ""\n', "file.1.name", "without a folder"),
        ('id = "k-1"\nproduct = ""\n', "product", "a text that is not empty"),
    ],
)
def test_a_case_file_that_does_not_fit(tmp_path, text, place, expected):
    (tmp_path / "k.toml").write_text(text)
    with pytest.raises(CallerError) as error:
        read_cases(tmp_path, ())
    said = shown(error).splitlines()
    assert said[0] == f"case {tmp_path / 'k.toml'} · {place}"
    assert expected in said[2]


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ('[[step]]\nact = "glich"\n', "step.1.act", '"connect", "disconnect", "glitch"'),
        ('[[step]]\nact = "bounce"\ntimes = 0\n', "step.1.times", "a number, at least 1"),
        ('[[step]]\nact = "bounce"\non_ms = 5\n', "step.1.on_ms", "a list in brackets"),
        ('[[step]]\nact = "bounce"\non_ms = [1, 2, 3]\n', "step.1.on_ms", "a list of 2 at most"),
        ('[[step]]\nact = "bounce"\non_ms = [2, nan]\n', "step.1.on_ms.2", "not infinite"),
        ('[[step]]\nact = "glitch"\nat_s = inf\n', "step.1.at_s", "not infinite"),
        ("step = 3\n", "step", "a list in brackets"),
        ("scenario = 3\n", "scenario", "a table"),
        ("[scenario]\nfirmware = 1.3\n", "scenario.firmware", "a text in quotation marks"),
        ("[replay]\nkey = 'k'\noperations = 'o'\n", "replay.operations", "a list in brackets"),
        (REPLAY + "sees = [{ item = 'i' }]\n", "replay.sees.1.value", '"value"'),
        (REPLAY + "see = []\n", "replay.see", "sees, "),
    ],
)
def test_a_scenario_that_does_not_fit(text, place, expected):
    with pytest.raises(CallerError) as error:
        parse_scenario(text, "my.toml")
    said = shown(error).splitlines()
    assert said[0] == f"scenario my.toml · {place}"
    assert expected in said[2]
