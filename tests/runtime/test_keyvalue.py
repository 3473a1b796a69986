from __future__ import annotations

import pytest

from sprawl.runtime import KeyValueStore, Runtime
from tests.runtime.conftest import Place


def all_of(store: KeyValueStore) -> dict[bytes, bytes]:
    return dict(store.scan(b"", b"\xff"))


def test_batches_put_and_delete(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        store = runtime.open_kv(f"{place.directory}/index")
        store.write([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
        store.write([(b"b", None), (b"missing", None), (b"c", b"")])
        assert store.get(b"a") == b"3"
        assert store.get(b"b") is None
        assert store.get(b"c") == b""
        assert all_of(store) == {b"a": b"3", b"c": b""}
        store.close()

    place.run(scenario)


def test_scans_are_ordered_both_ways_and_bounded(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        store = runtime.open_kv(f"{place.directory}/index")
        keys = [b"k%04d" % i for i in range(1000)]
        store.write([(key, key[::-1]) for key in reversed(keys)])
        assert [key for key, _ in store.scan(b"k0100", b"k0900")] == keys[100:900]
        assert [key for key, _ in store.scan_back(b"k0100", b"k0900")] == keys[100:900][::-1]
        assert next(store.scan(b"k0500", b"l")) == (b"k0500", b"0050k")
        assert next(store.scan_back(b"k", b"k0500x")) == (b"k0500", b"0050k")
        assert list(store.scan(b"z", b"zz")) == []
        assert list(store.scan_back(b"a", b"b")) == []
        assert list(store.scan(b"k0002", b"k0001")) == []
        assert list(store.scan_back(b"k0002", b"k0001")) == []
        store.close()

    place.run(scenario)


def test_range_is_deleted_without_its_end(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        store = runtime.open_kv(f"{place.directory}/index")
        store.write([(b"%d" % i, b"v") for i in range(10)])
        store.delete_range(b"2", b"5")
        store.delete_range(b"9", b"1")
        assert sorted(all_of(store)) == [b"0", b"1", b"5", b"6", b"7", b"8", b"9"]
        store.close()

    place.run(scenario)


def test_closed_store_opens_again_with_all_in_it(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        path = f"{place.directory}/index"
        store = runtime.open_kv(path)
        store.write([(b"flushed", b"1")])
        store.flush()
        store.write([(b"closed", b"2")])
        begun = store.scan(b"", b"\xff")
        next(begun)  # a scan left in the middle does not keep the store from closing
        store.close()
        store = runtime.open_kv(path)
        assert all_of(store) == {b"flushed": b"1", b"closed": b"2"}
        store.close()

    place.run(scenario)


def test_store_opens_once_only(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        store = runtime.open_kv(f"{place.directory}/index")
        with pytest.raises(OSError, match="cannot open the key-value store"):
            runtime.open_kv(f"{place.directory}/index")
        store.close()
        with pytest.raises(OSError, match="key-value store"):
            store.get(b"a")

    place.run(scenario)


def test_removed_store_is_made_anew(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        path = f"{place.directory}/index"
        store = runtime.open_kv(path)
        store.write([(b"a", b"1")])
        store.close()
        assert runtime.files.exists(path)
        runtime.files.remove_tree(path)
        store = runtime.open_kv(path)
        assert all_of(store) == {}
        store.close()

    place.run(scenario)


def test_damaged_store_does_not_open(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        path = f"{place.directory}/index"
        runtime.open_kv(path).close()
        runtime.files.write_atomic(f"{path}/CURRENT", b"damaged")
        with pytest.raises(OSError, match="cannot open the key-value store"):
            runtime.open_kv(path)

    place.run(scenario)
