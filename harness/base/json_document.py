"""The one JSON document that a command writes with --json (docs/commands.md)."""

from __future__ import annotations

import json

SCHEMA = 1
"""It grows when a field goes or changes its meaning, not for a new one."""


def json_document(command: str, **fields: object) -> str:
    """Return a command's document, with its newline.

    :param command: the command's name, as typed: "doctor".
    :param fields: what the command shows.
    """
    return json.dumps({"schema": SCHEMA, "command": command, **fields}, indent=1, sort_keys=True) + "\n"
