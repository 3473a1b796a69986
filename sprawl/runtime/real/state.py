"""Small state over SQLite (sqlitedict): JSON by name, durable when set, readable with any SQLite tool.

In: JSON values. Out: the same. Never pickle, and never sqlitedict's `synchronous=OFF`, which would lose what was set
before a power failure. Opening and setting block for a sync: cold path only.

What is there can be set again on a disk without any room: both the pages and SQLite's journal, which stays, are written
over in place. A voter on a full disk can so keep its vote.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import sqlitedict

from sprawl.runtime.interface import SmallState

_TABLE: Final = "state"


class SqliteState(SmallState):
    __slots__ = ("_path", "_table")

    def __init__(self, path: str) -> None:
        self._path = path
        with self._errors("open"):
            _check(path)
            # Without autocommit its thread would die of a failing commit, and every later call wait for it in vain.
            self._table = sqlitedict.SqliteDict(
                path, tablename=_TABLE, autocommit=True, journal_mode="PERSIST", encode=_encode, decode=json.loads,
                outer_stack=False,
            )  # fmt: skip
            self._table.conn.select_one("PRAGMA synchronous=FULL")

    def __getitem__(self, name: str) -> Any:
        with self._errors("read"):
            return self._table[name]

    def __setitem__(self, name: str, value: Any) -> None:
        with self._errors("write"):
            self._table[name] = value
            self._table.conn.check_raise_error()

    def __delitem__(self, name: str) -> None:
        with self._errors("write"):
            del self._table[name]
            self._table.conn.check_raise_error()

    def __iter__(self) -> Iterator[str]:
        with self._errors("read"):
            names: list[str] = list(self._table.keys())
        return iter(names)

    def __len__(self) -> int:
        with self._errors("read"):
            return len(self._table)

    def close(self) -> None:
        with self._errors("close"):
            self._table.close()

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, RuntimeError) as error:
            raise OSError(f"cannot {doing} the state file {self._path}: {error}") from error


def _check(path: str) -> None:
    """Ask SQLite itself first: sqlitedict meets a damaged file in a thread of its own, which dies loudly."""
    with closing(sqlite3.connect(path)) as connection:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def _encode(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
