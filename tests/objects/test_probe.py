"""What is said at start of a store that cannot be worked with."""

from __future__ import annotations

import pytest

from sprawl.objects.directory import Directory
from sprawl.objects.errors import AccessDenied, Corrupt, ForeignBucket, NoSuchBucket, Unsupported
from sprawl.objects.opening import open_store
from sprawl.objects.probe import MARKER, probe, read_marker
from sprawl.objects.store import Policy, Store
from sprawl.objects.urls import BadUrl, BucketAt, DirectoryAt, parse_url
from sprawl.runtime import Runtime
from tests.objects.conftest import aws_environment, make_bucket, new_bucket
from tests.objects.contract import keys
from tests.runtime.conftest import Place, RealPlace


def directory(place: Place, runtime: Runtime, name: str = "bucket") -> Store:
    return Store(Directory(f"{place.directory}/{name}", runtime), runtime, Policy(deadline=5.0))


def test_a_new_place_is_marked_and_stays_the_clusters(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        store = directory(place, runtime)
        assert await read_marker(store) is None
        await probe(store, "cluster-a", now_ms=5, trial="one")
        await probe(store, "cluster-a", now_ms=6, trial="two")
        marker = await read_marker(store)
        assert marker is not None
        assert (marker.cluster_id, marker.created_ms) == ("cluster-a", 5)
        assert await keys(store) == [MARKER]

    place.run(scenario)


def test_a_place_of_another_cluster_is_named_and_not_touched(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        store = directory(place, runtime)
        await probe(store, "cluster-a", now_ms=5, trial="one")
        with pytest.raises(ForeignBucket, match="belongs to the cluster cluster-a, this node is of cluster-b"):
            await probe(store, "cluster-b", now_ms=6, trial="two")
        assert await keys(store) == [MARKER]

    place.run(scenario)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"format": 1}'])
def test_a_marker_that_cannot_be_read_is_no_free_place(place: Place, content: bytes) -> None:
    async def scenario(runtime: Runtime) -> None:
        store = directory(place, runtime)
        await store.put(MARKER, content)
        with pytest.raises(Corrupt, match=MARKER):
            await probe(store, "cluster-a", now_ms=6, trial="two")
        assert await store.get(MARKER) == content

    place.run(scenario)


def test_a_marker_of_a_later_format_asks_for_an_update(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        store = directory(place, runtime)
        await store.put(MARKER, b'{"format": 2}')
        with pytest.raises(Unsupported, match="update this node"):
            await probe(store, "cluster-a", now_ms=6, trial="two")

    place.run(scenario)


def test_a_directory_whose_parent_is_missing_is_not_made(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        with pytest.raises(NoSuchBucket, match=r"not-mounted.*Create or mount it"):
            await probe(directory(place, runtime, "not-mounted/bucket"), "cluster-a", now_ms=6, trial="two")
        assert not runtime.files.exists(f"{place.directory}/not-mounted")

    place.run(scenario)


def test_a_directory_that_vanishes_is_not_an_empty_one(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        store = directory(place, runtime)
        await store.put("here", b"x")
        runtime.files.remove_tree(f"{place.directory}/bucket")
        for ask in (store.get("here"), store.list(), store.put("more", b"x")):
            with pytest.raises(NoSuchBucket, match="bucket"):
                await ask

    place.run(scenario)


def test_a_file_where_the_directory_should_be(real: RealPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(runtime: Runtime) -> None:
        runtime.files.write_atomic(f"{real.directory}/bucket", b"a file")
        with pytest.raises(NoSuchBucket, match="is a file"):
            await probe(directory(real, runtime), "cluster-a", now_ms=6, trial="two")

    real.run(scenario)


def test_a_directory_without_rights(real: RealPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(runtime: Runtime) -> None:
        def refuse(path: str) -> None:
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr(type(runtime.files), "make_dirs", lambda _, path: refuse(path))
        with pytest.raises(AccessDenied, match="chown"):
            await probe(directory(real, runtime), "cluster-a", now_ms=6, trial="two")

    real.run(scenario)


def test_a_bucket_that_is_not_there(real: RealPlace, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    aws_environment(monkeypatch, moto_endpoint)

    async def scenario(runtime: Runtime) -> None:
        store = await open_store("s3://never-made/prefix", runtime, Policy(deadline=5.0))
        try:
            with pytest.raises(NoSuchBucket, match=r"no bucket never-made .*aws s3 mb s3://never-made"):
                await probe(store, "cluster-a", now_ms=1, trial="x")
        finally:
            await store.close()

    real.run(scenario)


def test_two_prefixes_of_a_bucket_are_two_places(
    real: RealPlace, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_environment(monkeypatch, moto_endpoint)
    bucket = new_bucket()

    async def scenario(runtime: Runtime) -> None:
        await make_bucket(bucket)
        for name in ("a", "b"):
            store = await open_store(f"s3://{bucket}/{name}", runtime)
            try:
                await probe(store, f"cluster-{name}", now_ms=1, trial="x")
                assert await keys(store) == [MARKER]
            finally:
                await store.close()

    real.run(scenario)


def test_urls_that_name_a_store() -> None:
    assert parse_url("file:///var/lib/sprawl/tier/") == DirectoryAt("/var/lib/sprawl/tier")
    assert parse_url("file:///with%20blank") == DirectoryAt("/with blank")
    assert parse_url("s3://bucket") == BucketAt("bucket", "")
    assert parse_url(" s3://my.bucket-1/a/b/ ") == BucketAt("my.bucket-1", "a/b/")


@pytest.mark.parametrize(
    "url",
    ["", "bucket", "/tmp/x", "file://tmp/x", "file:///", "file:///a/../b", "s3://", "s3://B/x", "s3://bucket/../x",
     "s3://bucket/a//b", "s3://key:secret@bucket/x", "s3://bucket/x?endpoint=y", "http://bucket", "gs://bucket"],
)  # fmt: skip
def test_urls_that_do_not(url: str) -> None:
    with pytest.raises(BadUrl, match="s3://bucket/prefix") as caught:
        parse_url(url)
    assert "secret@" not in str(caught.value)
