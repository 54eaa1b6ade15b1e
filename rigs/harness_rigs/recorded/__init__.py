"""Firmware that runs as a process and whose writes are recorded: every image that a power cut could leave."""
