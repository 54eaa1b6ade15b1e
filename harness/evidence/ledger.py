"""The ledger: a permanent record of what was done to each key.

It holds runs, campaigns, cuts, wear, spent budgets, quarantined rigs, retired keys, and power cycles that nobody
controlled, by the key's own identity
("uuid:...", "serial:...", "marker:..."; "twin:..." for simulated keys, whose cuts are only counted, because they do
not wear). SQLite at $XDG_STATE_HOME/keyharness/ledger.sqlite, or the file or the
SQLAlchemy URL in $KEYHARNESS_LEDGER.

A record is on the disk when a method returns (write-ahead log, synchronous FULL). Transactions are short and begin by
taking the write lock: two writers wait for each other, and neither reads what the other is about to change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.evidence.ledger_database import opened, trouble
from harness.evidence.ledger_tables import all_tables
from harness.evidence.ledger_tested import note_tested
from harness.evidence.rundir import NOT_ASKED

if TYPE_CHECKING:
    from sqlalchemy import Connection, Executable


def ledger_url() -> str:
    """Return the URL of the ledger, as SQLAlchemy takes it."""
    named = os.environ.get("KEYHARNESS_LEDGER")
    if named and "://" in named:
        return named
    return f"sqlite:///{Path(named).absolute() if named else state_dir() / 'ledger.sqlite'}"


def state_dir() -> Path:
    """Return the folder of this user's state: $XDG_STATE_HOME/keyharness. If it exists, it is its owner's alone."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "keyharness"
    # Older versions made it with the mode that the umask left, beside files of mode 0600.
    with suppress(OSError):
        found = folder.stat()
        if found.st_uid == os.getuid() and found.st_mode & 0o077:
            folder.chmod(0o700)
    return folder


def now() -> str:
    """Return the time in UTC, e.g. 2026-11-20T09:30:12Z."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Ledger:
    """An open ledger.

    :param url: see `ledger_url`.
    :raises RigError: it cannot be opened.
    """

    def __init__(self, url: str | None = None):
        from sqlalchemy.exc import DBAPIError

        self.url = url or ledger_url()
        self._engine = opened(self.url, state_dir())
        self.tables = all_tables()
        try:
            if not self._is_made():
                with self.writing() as at:
                    self.tables.metadata.create_all(at)
        except DBAPIError as error:
            raise trouble(self.url, str(error.orig)) from None

    def _is_made(self) -> bool:
        from sqlalchemy import inspect

        with self._engine.connect().execution_options(reading=True) as at:
            return bool(inspect(at).has_table("scores"))

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: at its end all its changes are on the disk, or none.

        :raises RigError: the disk is full, the file cannot be written, or another writer keeps the lock.
        """
        from sqlalchemy.exc import DBAPIError

        try:
            with self._engine.begin() as at:
                yield at
        except DBAPIError as error:
            raise trouble(self.url, str(error.orig)) from None

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Writing.

    def note_key(self, at: Connection, key: str, kind: str, model: str) -> None:
        """Enter a key; do nothing if it is known."""
        from sqlalchemy import select

        keys = self.tables.keys
        if at.execute(select(keys.c.id).where(keys.c.id == key)).first() is None:
            at.execute(keys.insert().values(id=key, kind=kind, model=model, first_seen=now()))

    def note_campaign(self, run: str, key: str, kind: str, row: Mapping[str, Any]) -> None:
        """Enter a campaign that has ended; a second entry replaces the first.

        :param row: a line of operations.jsonl.
        """
        with self.writing() as at:
            self._note_campaign(at, run, key, kind, row)

    def note_run(
        self,
        head: Mapping[str, Any],
        verdict: str,
        keys: Mapping[str, tuple[str, str, str]],
        campaigns: Sequence[Mapping[str, Any]],
        cuts: Sequence[Mapping[str, Any]],
        folder: Path | None = None,
    ) -> None:
        """Enter a run that has ended, in one transaction; a second entry (of a resumed run) replaces the first.

        :param keys: rig -> (identity, kind, model).
        :param cuts: rows of evidence; those of twins are left out.
        :param folder: the run's folder, where a qualification finds its evidence again.
        """
        tables = self.tables
        with self.writing() as at:
            at.execute(tables.runs.delete().where(tables.runs.c.id == head["run"]))
            at.execute(
                tables.runs.insert().values(
                    id=head["run"],
                    started=head.get("started"),
                    seed=str(head["seed"]),
                    bench=head.get("bench"),
                    version=head.get("version"),
                    verdict=verdict,
                )
            )
            for identity, kind, model in keys.values():
                self.note_key(at, identity, kind, model)
            self._note_firmware(at, head, keys)
            for row in campaigns:
                identity, kind, _ = keys[row["rig"]]
                self._note_campaign(at, head["run"], identity, kind, row)
            rows = [
                {
                    "run": head["run"],
                    "key": keys[cut["rig"]][0],
                    "cut": cut["id"],
                    "operation": cut["operation"],
                    "outcome": cut["outcome"],
                    "acknowledged": bool(cut["acknowledged"]),
                }
                for cut in cuts
                if keys[cut["rig"]][1] != "twin"
            ]
            at.execute(tables.cuts.delete().where(tables.cuts.c.run == head["run"]))
            if rows:
                at.execute(tables.cuts.insert(), rows)
            note_tested(at, tables, head, keys, campaigns, folder)

    def _note_firmware(
        self, at: Connection, head: Mapping[str, Any], keys: Mapping[str, tuple[str, str, str]]
    ) -> None:
        """File a run under each key that took part, with the firmware that was on it."""
        table = self.tables.run_keys
        at.execute(table.delete().where(table.c.run == head["run"]))
        rows = [
            {
                "run": head["run"],
                "key": keys[rig["name"]][0],
                "rig": rig["name"],
                "firmware": rig.get("firmware"),
            }
            for rig in head.get("rigs", ())
            if rig.get("firmware") != NOT_ASKED
        ]
        if rows:
            at.execute(table.insert(), rows)

    def _note_campaign(self, at: Connection, run: str, key: str, kind: str, row: Mapping[str, Any]) -> None:
        tables = self.tables
        known = (row["operation"], run, key)
        for table in (tables.outcomes, tables.wear):
            at.execute(
                table.delete().where(
                    table.c.operation == known[0], table.c.run == known[1], table.c.key == known[2]
                )
            )
        common = {"run": run, "key": key, "kind": kind, "operation": row["operation"]}
        if row.get("outcomes"):
            at.execute(
                tables.outcomes.insert(),
                [{**common, "outcome": name, "cuts": count} for name, count in row["outcomes"].items()],
            )
        # A real key's spending was reserved before it was spent; a twin's is what a real key would have spent.
        self._note_estimate(at, common, row.get("spent") or {})
        worn = [part for part in row.get("wear") or [] if part["used"]]
        if worn:
            at.execute(
                tables.wear.insert(),
                [
                    {
                        **common,
                        "what": part["what"],
                        "used": part["used"],
                        "upto": part.get("limit"),
                        "estimated": bool(part.get("estimated")),
                    }
                    for part in worn
                ],
            )

    def _note_estimate(self, at: Connection, common: Mapping[str, Any], spent: Mapping[str, int]) -> None:
        table = self.tables.spent
        why = f"{common['operation']} in {common['run']}, estimated"
        at.execute(table.delete().where(table.c.key == common["key"], table.c.why == why))
        if common["kind"] != "hardware" and spent:
            known = {"key": common["key"], "kind": common["kind"], "rig": "", "why": why, "at": now()}
            at.execute(
                table.insert(),
                [
                    {**known, "what": what, "amount": amount, "settled": True}
                    for what, amount in spent.items()
                ],
            )

    def retire(self, key: str, reason: str) -> None:
        """Mark a key as retired: no run uses it again."""
        keys = self.tables.keys
        with self.writing() as at:
            self.note_key(at, key, "hardware", "")
            at.execute(keys.update().where(keys.c.id == key).values(retired=now(), retired_for=reason))

    def note_boot(self, key: str, boot: str, rig: str, why: str, seen: str) -> None:
        """Enter in which boot of the host a key is used; and a power cycle that nobody controlled, if there was one.

        :param why: how that is known; "" if there was none.
        :param seen: what the key showed afterwards, as JSON.
        """
        tables = self.tables
        with self.writing() as at:
            if why:
                row = {"key": key, "rig": rig, "at": now(), "why": why, "seen": seen}
                at.execute(tables.uncontrolled.insert().values(row))
            at.execute(tables.boots.delete().where(tables.boots.c.key == key))
            at.execute(tables.boots.insert().values(key=key, boot=boot, at=now()))

    # Reading.

    def rows(self, statement: Executable) -> list[dict[str, Any]]:
        """Return the rows of a SELECT.

        :raises RigError: the ledger cannot be read.
        """
        from sqlalchemy.exc import DBAPIError

        try:
            with self._engine.connect().execution_options(reading=True) as at:
                return [dict(row) for row in at.execute(statement).mappings()]
        except DBAPIError as error:
            raise trouble(self.url, str(error.orig)) from None

    def boot_of(self, key: str) -> str | None:
        """Return in which boot of the host a key was last used; None if it never was."""
        from sqlalchemy import select

        boots = self.tables.boots
        found = self.rows(select(boots.c.boot).where(boots.c.key == key))
        return str(found[0]["boot"]) if found else None

    def retired(self, key: str) -> str | None:
        """Return why a key is retired; None if it is not."""
        from sqlalchemy import select

        keys = self.tables.keys
        found = self.rows(select(keys.c.retired_for).where(keys.c.id == key, keys.c.retired.is_not(None)))
        return str(found[0]["retired_for"]) if found else None
