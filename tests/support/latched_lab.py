"""A bench with a rig that outlives its run: a twin that says that it is hardware, with a switch that stays."""

from __future__ import annotations

from support.command import Cli
from support.paths import SUPPORT
from support.rig_commands import with_plugin

CASE = ["run", "small", "--seed", "1", "--bench", "lab.toml"]
BENCH = """\
[[rig]]
name = "real-1"
key = "nitrokey3-mini"
driver = "latched"
expendable = true
identity = "uuid:5C05E7C13054F20C4BF061D1095810AD"
switch = "{switch}"
"""

SUITE = """\
def test_it_answers(rig):
    rig.power.on()
    rig.wait_until_up()
    assert rig.key.identify(rig)["firmware"]
"""


def latched_lab(cli: Cli) -> Cli:
    """Install the plugin of `latched_rig.py` with a suite of one test, and write a bench with one such rig."""
    folder = with_plugin(cli, "latched_rig", SUPPORT / "latched_rig.py")
    suite = folder / "latched" / "small"
    suite.mkdir(parents=True)
    (suite / "test_small.py").write_text(SUITE)
    cli.switch = cli.state / "switch"
    cli.bench = cli.cwd / "lab.toml"
    cli.bench.write_text(BENCH.format(switch=cli.switch))
    return cli
