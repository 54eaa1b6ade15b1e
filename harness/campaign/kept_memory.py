"""What the host knew of a key, as text that can be read again: without it a kept state cannot be judged.

Objects of plugins are dataclasses. They are read only as classes that a plugin of this process has loaded already:
a run's folder comes from elsewhere and must not be able to load or call anything.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping

from harness.model.memory import Memory

PLAIN = (type(None), bool, int, float, str)


def encoded(value: object) -> object:
    """Return a value as JSON; what is no plain value is a list that begins with its kind."""
    if isinstance(value, PLAIN):
        # A number of an enumeration is that number.
        return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(value, bytes):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, Memory):
        return ["memory", encoded(value.parts)]
    if isinstance(value, Mapping):
        return ["map", [[encoded(key), encoded(one)] for key, one in value.items()]]
    if isinstance(value, tuple | list):
        return ["tuple" if isinstance(value, tuple) else "list", [encoded(one) for one in value]]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        fields = [[one.name, encoded(getattr(value, one.name))] for one in dataclasses.fields(value)]
        return ["object", kind.__module__, kind.__qualname__, fields]
    raise TypeError(f"a memory holds a {type(value).__qualname__}, which cannot be kept")


def decoded(value: object) -> object:
    """Read what `encoded` returned.

    :raises ValueError: it is not that.
    """
    if isinstance(value, PLAIN):
        return value
    if not isinstance(value, list):
        raise ValueError(f"no kept memory: a {type(value).__name__}")
    try:
        kind, *rest = value
        match kind:
            case "bytes":
                return bytes.fromhex(rest[0])
            case "memory":
                parts = decoded(rest[0])
                return Memory(parts if isinstance(parts, dict) else None)
            case "map":
                return {decoded(key): decoded(one) for key, one in rest[0]}
            case "tuple":
                return tuple(decoded(one) for one in rest[0])
            case "list":
                return [decoded(one) for one in rest[0]]
            case "object":
                module, name, fields = rest
                return _class(module, name)(**{str(field): decoded(one) for field, one in fields})
    except (TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"no kept memory: {error}") from error
    raise ValueError(f"no kept memory: a value of the kind {kind!r}")


def _class(module: str, name: str) -> type:
    found = getattr(sys.modules.get(module), name, None)
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise ValueError(f"no kept memory: {module}.{name} is no dataclass of a plugin that is loaded")
    return found
