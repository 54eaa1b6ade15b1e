"""When a test gives up waiting for a process."""

from __future__ import annotations

HUNG_S = 1800
"""A child process that has not ended by now hangs. Far above what any takes, because machines differ and are busy."""
