"""Render the HTML templates of the pages. Every value is escaped: what a key or a test says is no markup."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from harness.report.vocabulary import counted, number, percent

if TYPE_CHECKING:
    from jinja2 import Environment


def render(name: str, **values: object) -> str:
    """Return a template of `harness/report/templates` with its values filled in.

    :raises jinja2.TemplateError: the template needs a value that is not there.
    """
    return str(_environment().get_template(name).render(**values))


def data_text(name: str) -> str:
    """Return the text of a file of `harness/report/data`."""
    return (resources.files("harness.report") / "data" / name).read_text("utf-8")


def allowed(script: str) -> str:
    """Return the source expression that lets a page run this script and no other (CSP level 3, section 2.3.1)."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _environment() -> Environment:
    # Only a report needs it: importing it takes longer than most commands.
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"number": number, "counted": counted, "percent": percent}
    return made


def _source(name: str) -> str:
    return (resources.files("harness.report") / "templates" / name).read_text("utf-8")
