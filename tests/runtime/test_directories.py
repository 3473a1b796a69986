from __future__ import annotations

import pytest

from sprawl.runtime import Runtime
from tests.runtime.conftest import Place


def test_names_are_made_listed_renamed_and_removed(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        files, root = runtime.files, place.directory
        files.make_dirs(f"{root}/a/b")
        files.make_dirs(f"{root}/a/b")
        for name in ("2", "1", "10"):
            files.open(f"{root}/a/{name}", create=True).close()
        assert files.list(f"{root}/a") == ["1", "10", "2", "b"]
        files.rename(f"{root}/a/1", f"{root}/a/2")
        assert files.list(f"{root}/a") == ["10", "2", "b"]
        files.rename(f"{root}/a", f"{root}/c")
        assert not files.exists(f"{root}/a")
        assert files.exists(f"{root}/c/b")
        files.remove(f"{root}/c/2")
        files.remove_tree(f"{root}/c")
        assert files.list(root) == []
        files.sync_dir(root)

    place.run(scenario)


def test_what_is_missing_is_said_so(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        files, missing = runtime.files, f"{place.directory}/missing"
        for ask in (files.list, files.remove, files.remove_tree, files.read_bytes, files.sync_dir, files.modified_ms):
            with pytest.raises(FileNotFoundError):
                ask(missing)
        with pytest.raises(FileNotFoundError):
            files.free_bytes(missing)
        with pytest.raises(FileNotFoundError):
            files.rename(missing, f"{place.directory}/other")

    place.run(scenario)


def test_directory_is_not_a_file(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        files = runtime.files
        files.make_dirs(f"{place.directory}/dir")
        with pytest.raises(IsADirectoryError):
            files.open(f"{place.directory}/dir")
        files.open(f"{place.directory}/file", create=True).close()
        with pytest.raises(NotADirectoryError):
            files.list(f"{place.directory}/file")
        files.open(f"{place.directory}/dir/child", create=True).close()
        files.make_dirs(f"{place.directory}/other")
        with pytest.raises(OSError, match="not empty"):
            files.rename(f"{place.directory}/other", f"{place.directory}/dir")

    place.run(scenario)


def test_small_file_is_replaced_whole(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        files, path = runtime.files, f"{place.directory}/meta"
        files.write_atomic(path, b"old")
        files.write_atomic(path, b"newer")
        assert files.read_bytes(path) == b"newer"
        assert files.list(place.directory) == ["meta"]

    place.run(scenario)


def test_removed_file_can_still_be_read_by_who_has_it_open(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        path = f"{place.directory}/log"
        file = runtime.files.open(path, create=True)
        file.append([b"still here"])
        runtime.files.remove(path)
        assert await file.read(0, 100) == b"still here"
        file.close()

    place.run(scenario)


def test_lock_is_exclusive_until_released(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        path = f"{place.directory}/.lock"
        release = runtime.files.lock(path)
        with pytest.raises(BlockingIOError, match="locked"):
            runtime.files.lock(path)
        release()
        release()
        runtime.files.lock(path)()

    place.run(scenario)


def test_room_and_age(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        path = f"{place.directory}/log"
        file = runtime.files.open(path, create=True)
        file.append([b"x"])
        file.close()
        assert runtime.files.free_bytes(place.directory) > 0
        assert abs(runtime.files.modified_ms(path) - runtime.clock.wall_ms()) < 5000

    place.run(scenario)
