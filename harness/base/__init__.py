"""Errors and blame, clocks, seeds, small durable files, signals."""
