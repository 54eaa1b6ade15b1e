"""The file of what each operation of a twin writes, made by `keyharness wear --write`, and the comparison with it."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from harness.base.atomic_file import read_json
from harness.base.errors import CallerError
from harness.campaign.uncut_laws import Baselines, Written, firmware_key
from harness.twin.model import TwinModel, TwinOptions
from harness.twin.rig import TwinRig

SCHEMA = 1


def key_of(twin: TwinModel, options: TwinOptions, firmware: str) -> str:
    """Name the firmware of a twin in the file; seeded defects are no part of it, but the flash layer is."""
    return firmware_key(options.personality, firmware, twin.layer(options))


def as_text(baselines: Baselines) -> str:
    """Return the content of the file: JSON, one operation a line."""
    tables = []
    for firmware, operations in sorted(baselines.items()):
        lines = [
            f"   {json.dumps(name)}: [{one.erases}, {one.bytes_written}]"
            for name, one in sorted(operations.items())
        ]
        tables.append(f"  {json.dumps(firmware)}: {{\n" + ",\n".join(lines) + "\n  }")
    return f'{{\n "schema": {SCHEMA},\n "firmware": {{\n' + ",\n".join(tables) + "\n }\n}\n"


@lru_cache(maxsize=8)
def load(path: Path) -> Baselines:
    """Read the file; without a file nothing is known.

    :raises CallerError: it is not such a file.
    """
    content = read_json(path)
    if content is None and not path.exists():
        return {}
    try:
        if content is None or content["schema"] != SCHEMA:
            raise ValueError(content and content.get("schema"))
        return {
            firmware: {name: Written(*map(int, pair)) for name, pair in operations.items()}
            for firmware, operations in content["firmware"].items()
        }
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise CallerError(
            f"{path}",
            found=f"{type(error).__name__}: {error}",
            expected=f"a baseline of flash wear, schema {SCHEMA}",
            mend="make it again: keyharness wear --write",
        ) from error


def baseline(rig: TwinRig, operation: str) -> Written | None:
    """What the file says of an operation on a twin that is filled with canaries alone; None if nothing."""
    if rig.key.wear_baseline is None or rig.fill:
        return None
    known = load(rig.key.wear_baseline).get(key_of(rig.model, rig.options, rig.firmware), {})
    return known.get(operation)
