from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from sprawl.runtime import Runtime
from sprawl.runtime.real import RealRuntime
from tests.runtime.conftest import Place


def test_json_values_are_kept_as_copies(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        path = f"{place.directory}/state.db"
        state = runtime.open_state(path)
        value = {"seeds": ["a:1", "b:2"], "clean": True, "n": None}
        state["cluster"] = value
        value["clean"] = False
        assert state["cluster"] == {"seeds": ["a:1", "b:2"], "clean": True, "n": None}
        state["id"] = 7
        state["id"] = 8
        assert dict(state) == {"cluster": {"seeds": ["a:1", "b:2"], "clean": True, "n": None}, "id": 8}
        assert len(state) == 2
        del state["cluster"]
        assert "cluster" not in state
        assert state.get("cluster") is None
        with pytest.raises(KeyError):
            state["cluster"]
        with pytest.raises(KeyError):
            del state["cluster"]
        state.close()
        again = runtime.open_state(path)
        assert dict(again) == {"id": 8}
        again.close()

    place.run(scenario)


def test_only_json_is_taken(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        state = runtime.open_state(f"{place.directory}/state.db")
        with pytest.raises(TypeError):
            state["bytes"] = b"no"
        assert "bytes" not in state
        state.close()

    place.run(scenario)


def test_damaged_state_does_not_open(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        path = f"{place.directory}/state.db"
        runtime.files.write_atomic(path, b"this is not a database, nor has it ever been one" * 100)
        with pytest.raises(OSError, match="cannot open the state file"):
            runtime.open_state(path)

    place.run(scenario)


def test_any_sqlite_tool_reads_it(tmp_path: Path) -> None:
    runtime = RealRuntime()
    state = runtime.open_state(str(tmp_path / "state.db"))
    state["node.id"] = {"id": 3}
    state.close()
    runtime.close()
    connection = sqlite3.connect(tmp_path / "state.db")
    rows = connection.execute("SELECT key, value FROM state").fetchall()
    connection.close()
    assert rows == [("node.id", '{"id":3}')]


def test_writes_wait_for_the_disk(tmp_path: Path) -> None:
    """sqlitedict switches `synchronous` off; what is set would be gone after a power failure."""
    runtime = RealRuntime()
    state = runtime.open_state(str(tmp_path / "state.db"))
    assert state._table.conn.select_one("PRAGMA synchronous") == (2,)  # type: ignore[attr-defined]
    state.close()
    runtime.close()


def test_setting_again_takes_no_room(tmp_path: Path) -> None:
    """On a full disk a vote can be kept, though nothing else can."""
    state = RealRuntime().open_state(str(tmp_path / "state.db"))
    state["node.id"] = 1
    state["vote"] = {"epoch": 0, "vote": None}

    def blocks() -> dict[str, int]:
        return {path.name: path.stat().st_blocks for path in tmp_path.iterdir()}

    before = blocks()
    assert set(before) == {"state.db", "state.db-journal"}
    for epoch in range(50):
        state["vote"] = {"epoch": epoch * 10**6, "vote": [2, "abcdefgh" * 3]}
        assert blocks() == before
    state.close()
