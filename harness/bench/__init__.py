"""Bench files, plugins, calibration."""
