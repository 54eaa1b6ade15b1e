"""Firmware that runs as a process."""
