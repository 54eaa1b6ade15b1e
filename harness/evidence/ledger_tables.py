"""The tables of the ledger."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.base.visible import encodable

if TYPE_CHECKING:
    from sqlalchemy import Column, Table
    from sqlalchemy.types import TypeEngine


_ESCAPED = re.compile(r"\\udc([89a-f][0-9a-f])")


def restored_path(text: str) -> str:
    """Return the path that a text of the ledger stands for: the escape of a byte that is no UTF-8 becomes that byte."""
    return _ESCAPED.sub(lambda found: chr(0xDC00 + int(found[1], 16)), text)


def _texts() -> tuple[TypeEngine[str], TypeEngine[str]]:
    """The types of a text and of a path. A file's name and a damaged file may hold what is no UTF-8: it is escaped.

    A path is read as it was, a text with the escapes.
    """
    from sqlalchemy import String
    from sqlalchemy.types import TypeDecorator

    class Text(TypeDecorator[str]):
        impl = String
        cache_ok = True

        def process_bind_param(self, value: object, dialect: object) -> str | None:
            return None if value is None else encodable(str(value))

    class PathText(Text):
        cache_ok = True

        def process_result_value(self, value: str | None, dialect: object) -> str | None:
            return None if value is None else restored_path(value)

    return Text(), PathText()


class Tables:
    """The tables. Made when SQLAlchemy is first needed, because it is slow to import."""

    def __init__(self) -> None:
        from sqlalchemy import Boolean, Column, Index, Integer, MetaData, Table

        self.metadata = MetaData()
        text_type, path_type = _texts()

        def table(name: str, *columns: Column[Any]) -> Table:
            return Table(name, self.metadata, *columns)

        def text(name: str, **more: Any) -> Column[Any]:
            return Column(name, text_type, **more)

        self.keys = table(
            "keys",
            *(text("id", primary_key=True), text("kind"), text("model"), text("first_seen")),
            *(text("retired"), text("retired_for")),
        )
        self.runs = table(
            "runs",
            *(text("id", primary_key=True), text("started"), text("seed"), text("bench"), text("version")),
            text("verdict"),
        )
        self.outcomes = table(
            "outcomes",
            Column("n", Integer, primary_key=True),
            *(text("run"), text("key", index=True), text("kind"), text("operation"), text("outcome")),
            Column("cuts", Integer),
        )
        self.cuts = table(
            "cuts",
            Column("n", Integer, primary_key=True),
            *(text("run", index=True), text("key", index=True), text("cut"), text("operation")),
            *(text("outcome"), Column("acknowledged", Boolean)),
        )
        self.wear = table(
            "wear",
            Column("n", Integer, primary_key=True),
            *(text("run"), text("key", index=True), text("kind"), text("operation"), text("what")),
            *(Column("used", Integer), Column("upto", Integer), Column("estimated", Boolean)),
        )
        self.spent = table(
            "spent",
            Column("n", Integer, primary_key=True),
            *(text("key"), text("kind"), text("rig"), text("what"), Column("amount", Integer), text("why")),
            *(text("at"), Column("settled", Boolean)),
        )
        Index("spent_by_key", self.spent.c.key, self.spent.c.what)
        self.quarantine = table(
            "quarantine",
            Column("n", Integer, primary_key=True),
            *(text("rig", index=True), text("since"), text("why"), text("cleared"), text("cleared_for")),
        )
        self.run_keys = table(
            "run_keys",
            Column("n", Integer, primary_key=True),
            *(text("run", index=True), text("key", index=True), text("rig"), text("firmware")),
        )
        self.boots = table("boots", text("key", primary_key=True), text("boot"), text("at"))
        self.uncontrolled = table(
            "uncontrolled",
            Column("n", Integer, primary_key=True),
            *(text("key", index=True), text("rig"), text("at"), text("why"), text("seen")),
        )
        self.plans = table(
            "plans",
            Column("n", Integer, primary_key=True),
            *(text("plan", index=True), text("digest"), text("replaces"), text("frozen"), text("at")),
        )
        self.numbers = table(
            "numbers",
            *(text("series", primary_key=True), Column("number", Integer, primary_key=True)),
            *(text("run", index=True), text("digest"), text("at")),
        )
        self.tested = table(
            "tested",
            Column("n", Integer, primary_key=True),
            *(text("run", index=True), text("key"), text("rig"), text("kind"), text("model", index=True)),
            *(text("firmware"), text("about"), text("files"), Column("folder", path_type), text("digest")),
        )
        self.findings = table(
            "findings",
            Column("n", Integer, primary_key=True),
            *(text("run", index=True), text("key"), text("rig"), text("model", index=True)),
            *(text("firmware"), text("operation"), text("item"), text("law"), text("home"), text("outcome")),
            *(text("severity"), text("first"), Column("count", Integer), Column("covering", Integer)),
            Column("of", Integer),
        )
        self.scores = table(
            "scores",
            Column("n", Integer, primary_key=True),
            *(text("version", index=True), text("commit_id"), text("key"), text("at")),
            *(Column("caught", Integer), Column("of", Integer)),
        )


_MADE: list[Tables] = []


def all_tables() -> Tables:
    """Return the tables; made at the first call."""
    if not _MADE:
        _MADE.append(Tables())
    return _MADE[0]
