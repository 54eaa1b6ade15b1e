"""Open the ledger's database, and say in words what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.atomic_file import make_private
from harness.base.errors import CallerError, RigError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

BUSY_LIMIT_S = 30
_FULL, _BUSY = ("disk is full", "no space left"), ("locked", "busy")


def opened(url: str, private: Path) -> Engine:
    """Open a database; a file of SQLite is made if it is not there.

    :param url: as SQLAlchemy takes it. :param private: a file in this folder is its owner's alone.
    :raises CallerError: the URL is none. :raises RigError: the file cannot be opened.
    """
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    is_sqlite = url.startswith("sqlite")
    if is_sqlite:
        file = Path(url.removeprefix("sqlite:///"))
        try:
            make_private(file.parent)
            # SQLite would make it with the mode that the umask leaves; its -wal and -shm take the file's mode.
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            if file.parent == private:
                file.chmod(0o600)
        except OSError as error:
            raise trouble(url, error.strerror or str(error)) from None
    try:
        options = {"connect_args": {"timeout": BUSY_LIMIT_S}} if is_sqlite else {"pool_pre_ping": True}
        engine = create_engine(url, **options)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise CallerError(
            "KEYHARNESS_LEDGER",
            found=str(error),
            expected="a file, or a URL as SQLAlchemy takes it",
            mend="sqlite:////var/lib/keyharness/ledger.sqlite, for one",
        ) from None
    if is_sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    # The engine's own event begins transactions, not the driver before the first write.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_LIMIT_S * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin_sqlite(at: Connection) -> None:
    at.exec_driver_sql("BEGIN" if at.get_execution_options().get("reading") else "BEGIN IMMEDIATE")


def trouble(url: str, why: str) -> RigError:
    """The error for a ledger that cannot be used.

    :param why: what the database said.
    """
    where = f"ledger {url.removeprefix('sqlite:///')}" if url.startswith("sqlite") else "ledger"
    low = why.lower()
    if any(word in low for word in _FULL):
        return RigError(
            where,
            found="the disk is full",
            expected="room for records: nothing is done to a key that cannot be recorded",
            mend="make room, then go on with `keyharness run --resume`",
        )
    if any(word in low for word in _BUSY):
        return RigError(
            where,
            found=f"another process has kept it locked for {BUSY_LIMIT_S} s",
            expected="short transactions",
            mend="see which process has it open: fuser",
        )
    return RigError(where, found=why, expected="a ledger that can be read and written")
