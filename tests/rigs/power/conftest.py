"""The fixtures that the tests of power drivers share."""

from support.power.fixtures import clock, cutter, cutter_process, host, runtime

__all__ = ["clock", "cutter", "cutter_process", "host", "runtime"]
