"""Write bench files. What a person wrote stays: comments, order, spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tomlkit


def rig_names(text: str) -> list[str]:
    """Return the names of the rigs in the text of a bench file, checked or not.

    :raises tomlkit.exceptions.ParseError: the text is not TOML (a ValueError).
    """
    rigs = tomlkit.parse(text).unwrap().get("rig", [])
    return [rig["name"] for rig in rigs if isinstance(rig, dict) and isinstance(rig.get("name"), str)]


def with_rig(text: str, rig: Mapping[str, Any]) -> str:
    """Return the text of a bench file with one more rig at its end; the rest stays as it is.

    :param rig: the settings of the rig; a mapping in them becomes a table.
    :raises tomlkit.exceptions.ParseError: the text is not TOML (a ValueError).
    """
    document = tomlkit.parse(text)
    rigs = document.get("rig")
    if rigs is not None and not isinstance(rigs, tomlkit.items.AoT):
        # `rig = [{...}]`: a table cannot follow an inline array of the same name.
        rigs.append(dict(rig))
        return tomlkit.dumps(document)
    # Text is appended, not a node: tomlkit would put the rig before comments at the end of the file.
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    return text + gap + tomlkit.dumps({"rig": [dict(rig)]})


def with_identity(text: str, rig: str, identity: str) -> str:
    """Return the text of a bench file with another identity of one rig; the rest stays as it is.

    :raises tomlkit.exceptions.ParseError: the text is not TOML (a ValueError).
    :raises KeyError: it has no such rig.
    """
    document = tomlkit.parse(text)
    for one in document.get("rig", []):
        if one["name"] == rig:
            one["identity"] = identity
            return tomlkit.dumps(document)
    raise KeyError(rig)


def bench_text(name: str, rigs: Sequence[Mapping[str, Any]], comment: str) -> str:
    """Return the text of a bench file that is made from parsed settings.

    :param rigs: the settings of each rig, nested tables included.
    :param comment: one line for people, without the number sign.
    """
    document = tomlkit.document()
    document.add(tomlkit.comment(comment))
    document.add("name", tomlkit.item(name))
    document.add(tomlkit.nl())
    document.add("rig", tomlkit.item([dict(rig) for rig in rigs]))
    return tomlkit.dumps(document)
