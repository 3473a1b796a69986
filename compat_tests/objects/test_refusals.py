"""What a real MinIO refuses, and what is said of it; and what becomes of uploads when it goes away."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import botocore.auth
import pytest
from aiobotocore.session import get_session
from crc32c import crc32c

from compat_tests.objects.minio import Minio
from sprawl.objects.contract import ALWAYS
from sprawl.objects.errors import (
    AccessDenied,
    ClockSkew,
    ForeignBucket,
    NoSuchBucket,
    NotFound,
    StoreError,
    StoreUnavailable,
    WrongCredentials,
)
from sprawl.objects.opening import open_store
from sprawl.objects.probe import probe
from sprawl.objects.s3 import S3
from sprawl.objects.store import Policy, Store
from sprawl.runtime import Runtime
from tests.objects.conftest import make_bucket
from tests.objects.contract import PART, keys, pattern, pieces
from tests.runtime.conftest import RealPlace

POLICY = Policy(part_bytes=PART, deadline=10.0, attempt=5.0)


@asynccontextmanager
async def opened(bucket: str, runtime: Runtime, policy: Policy = POLICY) -> AsyncIterator[Store]:
    store = await open_store(f"s3://{bucket}/tier", runtime, policy)
    try:
        yield store
    finally:
        await store.close()


def refused(real: RealPlace, bucket: str, error: type[StoreError], words: str) -> None:
    """What the probe says, at once and not at a deadline."""

    async def scenario(runtime: Runtime) -> None:
        with pytest.raises(error, match=words):
            async with asyncio.timeout(5), opened(bucket, runtime) as store:
                await probe(store, "cluster-a", now_ms=1, trial="x")

    real.run(scenario)


def make(real: RealPlace, bucket: str) -> None:
    async def scenario(runtime: Runtime) -> None:
        await make_bucket(bucket)

    real.run(scenario)


def act_as(real: RealPlace, monkeypatch: pytest.MonkeyPatch, bucket: str, *actions: str) -> None:
    """From now on with temporary credentials that may do just this."""
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": list(actions),
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            }
        ],
    }

    async def scenario(runtime: Runtime) -> None:
        async with get_session().create_client("sts", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"]) as client:
            answer = await client.assume_role(
                RoleArn="arn:aws:iam::123456789012:role/tier", RoleSessionName="tier", Policy=json.dumps(policy)
            )
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", answer["Credentials"]["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", answer["Credentials"]["SecretAccessKey"])
        monkeypatch.setenv("AWS_SESSION_TOKEN", answer["Credentials"]["SessionToken"])

    real.run(scenario)


def test_unknown_credentials(real: RealPlace, only_minio: Minio, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make(real, bucket)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody-here")
    refused(real, bucket, WrongCredentials, "does not know these credentials.*AWS_ACCESS_KEY_ID")


def test_a_wrong_secret(real: RealPlace, only_minio: Minio, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make(real, bucket)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    refused(real, bucket, WrongCredentials, "SignatureDoesNotMatch")


def test_no_credentials_at_all(real: RealPlace, endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    refused(real, bucket, WrongCredentials, "there are no credentials.*AWS_PROFILE")


def test_a_profile_that_is_not_there(
    real: RealPlace, endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    refused(real, bucket, WrongCredentials, "no-such-profile")


def test_credentials_from_a_profile(
    real: RealPlace, endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(real, bucket)
    file = Path(real.directory) / "credentials"
    file.write_text(
        f"[tier]\naws_access_key_id = {os.environ['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {os.environ['AWS_SECRET_ACCESS_KEY']}\n"
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "tier")

    async def scenario(runtime: Runtime) -> None:
        async with opened(bucket, runtime) as store:
            await probe(store, "cluster-a", now_ms=1, trial="x")

    real.run(scenario)


def test_a_bucket_that_is_not_there(real: RealPlace, endpoint: str, bucket: str) -> None:
    refused(real, bucket, NoSuchBucket, f"no bucket {bucket} .*aws s3 mb s3://{bucket}")


@pytest.mark.parametrize(
    ("allowed", "missing"),
    [
        (("s3:PutObject", "s3:GetObject", "s3:ListBucket"), "s3:DeleteObject"),
        (("s3:PutObject", "s3:DeleteObject", "s3:ListBucket"), "s3:GetObject"),
        (("s3:GetObject", "s3:DeleteObject", "s3:ListBucket"), "s3:PutObject"),
        (("s3:PutObject", "s3:GetObject", "s3:DeleteObject"), "s3:ListBucket"),
    ],
)
def test_a_right_that_is_missing_is_named_and_nothing_left(
    real: RealPlace,
    only_minio: Minio,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    allowed: tuple[str, ...],
    missing: str,
) -> None:
    make(real, bucket)
    with monkeypatch.context() as as_another:
        act_as(real, as_another, bucket, *allowed)
        refused(real, bucket, AccessDenied, f"not allowed {missing}.*Grant {missing}")

    async def nothing(runtime: Runtime) -> None:
        async with opened(bucket, runtime) as store:
            assert await keys(store) == []

    real.run(nothing)


def test_deletes_of_many_without_the_right(
    real: RealPlace, only_minio: Minio, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(real, bucket)
    act_as(real, monkeypatch, bucket, "s3:PutObject", "s3:GetObject", "s3:ListBucket")

    async def scenario(runtime: Runtime) -> None:
        async with opened(bucket, runtime) as store:
            await store.put("a", b"x")
            with pytest.raises(AccessDenied, match=r"could not be deleted.*Grant s3:DeleteObject"):
                await store.delete_many(["a", "b"])
            assert await store.get("a") == b"x"

    real.run(scenario)


@pytest.mark.parametrize(("hours", "words"), [(-2, "behind"), (2, "ahead of")])
def test_a_wrong_clock(
    real: RealPlace, only_minio: Minio, bucket: str, monkeypatch: pytest.MonkeyPatch, hours: int, words: str
) -> None:
    make(real, bucket)
    right = botocore.auth.get_current_datetime
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda *args, **kwargs: right(*args, **kwargs) + timedelta(hours=hours)
    )
    wall_ms = type(real._runtime.clock).wall_ms
    monkeypatch.setattr(type(real._runtime.clock), "wall_ms", lambda clock: wall_ms(clock) + hours * 3_600_000)
    refused(real, bucket, ClockSkew, f"clock is (7199|7200|7201) s {words}.*chrony")


def test_a_prefix_of_another_cluster(real: RealPlace, endpoint: str, bucket: str) -> None:
    make(real, bucket)

    async def scenario(runtime: Runtime) -> None:
        async with opened(bucket, runtime) as store:
            await probe(store, "cluster-b", now_ms=1, trial="x")

    real.run(scenario)
    refused(real, bucket, ForeignBucket, "belongs to the cluster cluster-b")


def test_nobody_at_the_endpoint(real: RealPlace, endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")

    async def scenario(runtime: Runtime) -> None:
        async with opened(bucket, runtime, Policy(deadline=1.0)) as store:
            with pytest.raises(StoreUnavailable, match=r"http://127.0.0.1:9.*AWS_ENDPOINT_URL"):
                await probe(store, "cluster-a", now_ms=1, trial="x")

    real.run(scenario)


def test_what_was_damaged_on_the_way_is_refused_by_the_store(real: RealPlace, only_minio: Minio, bucket: str) -> None:
    make(real, bucket)

    async def scenario(runtime: Runtime) -> None:
        s3 = S3(bucket, "", runtime)
        try:
            with pytest.raises(StoreUnavailable):
                await s3.put("damaged", b"flipped", crc32c(b"correct"), ALWAYS, "m")
            with pytest.raises(NotFound):
                await s3.head("damaged")
            upload = await s3.begin_upload("damaged", "m")
            with pytest.raises(StoreUnavailable):
                await s3.put_part(upload, 1, 0, b"flipped", crc32c(b"correct"))
        finally:
            await s3.close()

    real.run(scenario)


def test_the_checksum_of_a_whole_upload_is_kept(real: RealPlace, only_minio: Minio, bucket: str) -> None:
    make(real, bucket)

    async def scenario(runtime: Runtime) -> None:
        data = pattern(2 * PART + 5)
        async with opened(bucket, runtime) as store:
            await store.put_stream("large", pieces(data))
            await store.copy("large", "copy")
            assert (await store.head("large")).crc32c == crc32c(data)
            assert (await store.head("copy")).crc32c == crc32c(data)

    real.run(scenario)


def test_an_upload_outlives_a_store_that_goes_away_and_comes_back(
    real: RealPlace, only_minio: Minio, bucket: str
) -> None:
    make(real, bucket)
    data = pattern(8 * PART)

    async def scenario(runtime: Runtime) -> None:
        async def source() -> AsyncIterator[bytes]:
            for at in range(0, len(data), PART):
                if at == 3 * PART:
                    only_minio.stop()
                    restart.append(asyncio.create_task(asyncio.to_thread(only_minio.start)))
                yield data[at : at + PART]

        restart: list[asyncio.Task[None]] = []
        async with opened(bucket, runtime, Policy(part_bytes=PART, deadline=60.0)) as store:
            await store.put_stream("large", source(), if_absent=True)
            await restart[0]
            assert await store.get("large") == data
            assert store.retries > 0
            assert list(await store.uploads()) == []

    real.run(scenario)
