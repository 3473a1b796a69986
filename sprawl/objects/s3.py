"""S3, or anything that speaks it, as backend: one attempt at one request.

In: what `Backend` says. Out: the same, or the errors of `s3_errors`. Endpoint, region and credentials come from where
every AWS tool takes them. Checksums go with each put as a header, so that the store refuses what was damaged on the
way, and are asked for with each get. botocore's own retries, checksums and payload signing are off: retries are the
`Store`'s, and hashing a part twice would hold the event loop. This module is imported only when S3 is used: aiobotocore
takes a quarter of a second.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
from collections.abc import Sequence
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from sprawl.objects.contract import Condition, Listed, ObjectInfo, Page, Part, Upload
from sprawl.objects.errors import AccessDenied, NotFound, PreconditionFailed, StoreError, StoreUnavailable
from sprawl.objects.s3_errors import PUT, Asked, told
from sprawl.runtime import Buffer, Runtime

_MARK: Final = "sprawl-mark"
_CHECKSUM: Final = "sprawl-crc32c"
"""For stores that keep no checksums of their own."""
_ALGORITHM: Final = "CRC32C"


class S3:
    parts_at_once: Final = 4

    def __init__(self, bucket: str, prefix: str, runtime: Runtime, *, connections: int = 32) -> None:
        """`prefix` is empty or ends with a slash. Blocks for a while: to be done in a thread.

        Raises `WrongCredentials` if the environment names a profile that is not there.
        """
        self._bucket = bucket
        self._prefix = prefix
        self._runtime = runtime
        self._connections = connections
        self._client: Any = None
        with self._told("", "anything"):
            self._session = _new_session()
        self._opening = asyncio.Lock()
        self._open = contextlib.AsyncExitStack()

    @property
    def url(self) -> str:
        endpoint = "" if self._client is None else f" ({self._client.meta.endpoint_url})"
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/") + endpoint

    async def put(self, key: str, data: Buffer, crc32c: int, condition: Condition, mark: str) -> ObjectInfo:
        with self._told(key, PUT):
            answer = await (await self._s3()).put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=io.BytesIO(data),
                ContentLength=len(data),
                ChecksumCRC32C=_encoded(crc32c),
                Metadata={_MARK: mark, _CHECKSUM: _encoded(crc32c)},
                **_headers(condition),
            )
        return ObjectInfo(key, len(data), _etag(answer), self._runtime.clock.wall_ms(), crc32c, mark)

    async def get(self, key: str, start: int, size: int | None, etag: str | None) -> tuple[bytes, ObjectInfo]:
        wanted: dict[str, Any] = {"Bucket": self._bucket, "Key": self._prefix + key, "ChecksumMode": "ENABLED"}
        if start or size is not None:
            wanted["Range"] = f"bytes={start}-" if size is None else f"bytes={start}-{start + size - 1}"
        if etag is not None:
            wanted["IfMatch"] = etag
        with self._told(key, "s3:GetObject"):
            try:
                answer = await (await self._s3()).get_object(**wanted)
            except Exception as error:
                if getattr(error, "response", {}).get("Error", {}).get("Code") not in ("InvalidRange", "416"):
                    raise
                info = await self.head(key)
                if etag is not None and info.etag != etag:
                    raise PreconditionFailed(f"{key} in {self.url} is not what it was", "Look it up again") from error
                return b"", info
            async with answer["Body"] as body:
                data: bytes = await body.read()
        whole = answer.get("ContentRange", "").rpartition("/")[2]
        total = int(whole) if whole else int(answer["ContentLength"])
        return data, self._info(key, total, answer)

    async def head(self, key: str) -> ObjectInfo:
        with self._told(key, "s3:GetObject"):
            answer = await (await self._s3()).head_object(
                Bucket=self._bucket, Key=self._prefix + key, ChecksumMode="ENABLED"
            )
        return self._info(key, int(answer["ContentLength"]), answer)

    async def list(self, prefix: str, after: str | None, limit: int) -> Page:
        wanted: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + prefix, "MaxKeys": limit}
        if after is not None:
            wanted["StartAfter"] = self._prefix + after
        with self._told(prefix, "s3:ListBucket"):
            answer = await (await self._s3()).list_objects_v2(**wanted)
        found = tuple(
            Listed(one["Key"].removeprefix(self._prefix), int(one["Size"]), _milliseconds(one["LastModified"]))
            for one in answer.get("Contents", ())
        )
        return Page(found, found[-1].key if answer.get("IsTruncated") and found else None)

    async def delete(self, key: str) -> None:
        with contextlib.suppress(NotFound), self._told(key, "s3:DeleteObject"):
            await (await self._s3()).delete_object(Bucket=self._bucket, Key=self._prefix + key)

    async def delete_many(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        with self._told(keys[0], "s3:DeleteObject"):
            answer = await (await self._s3()).delete_objects(
                Bucket=self._bucket,
                Delete={"Objects": [{"Key": self._prefix + key} for key in keys], "Quiet": True},
            )
        errors = [one for one in answer.get("Errors", ()) if one.get("Code") not in ("NoSuchKey", "NoSuchVersion")]
        if errors:
            raise self._not_deleted(errors)

    async def copy(self, source: str, target: str) -> ObjectInfo:
        with self._told(source, "s3:GetObject and s3:PutObject"):
            await (await self._s3()).copy_object(
                Bucket=self._bucket,
                Key=self._prefix + target,
                CopySource={"Bucket": self._bucket, "Key": self._prefix + source},
                ChecksumAlgorithm=_ALGORITHM,
            )
        return await self.head(target)

    async def begin_upload(self, key: str, mark: str) -> Upload:
        wanted: dict[str, Any] = {"Bucket": self._bucket, "Key": self._prefix + key, "Metadata": {_MARK: mark}}
        with self._told(key, PUT):
            answer = await (await self._s3()).create_multipart_upload(
                **wanted, ChecksumAlgorithm=_ALGORITHM, ChecksumType="FULL_OBJECT"
            )
        return Upload(key, answer["UploadId"], self._runtime.clock.wall_ms())

    async def put_part(self, upload: Upload, number: int, offset: int, data: Buffer, crc32c: int) -> Part:
        with self._told(upload.key, PUT):
            answer = await (await self._s3()).upload_part(
                Bucket=self._bucket,
                Key=self._prefix + upload.key,
                UploadId=upload.id,
                PartNumber=number,
                Body=io.BytesIO(data),
                ContentLength=len(data),
                ChecksumCRC32C=_encoded(crc32c),
            )
        return Part(number, len(data), answer["ETag"], crc32c)

    async def complete_upload(
        self, upload: Upload, parts: Sequence[Part], crc32c: int, condition: Condition, mark: str
    ) -> ObjectInfo:
        with self._told(upload.key, PUT):
            answer = await (await self._s3()).complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._prefix + upload.key,
                UploadId=upload.id,
                MultipartUpload={
                    "Parts": [
                        {"PartNumber": part.number, "ETag": part.etag, "ChecksumCRC32C": _encoded(part.crc32c)}
                        for part in parts
                    ]
                },
                ChecksumCRC32C=_encoded(crc32c),
                ChecksumType="FULL_OBJECT",
                **_headers(condition),
            )
        size = sum(part.size for part in parts)
        whole = answer.get("ChecksumCRC32C")
        return ObjectInfo(upload.key, size, _etag(answer), self._runtime.clock.wall_ms(), _decoded(whole), mark)

    async def abort_upload(self, upload: Upload) -> None:
        with contextlib.suppress(NotFound), self._told(upload.key, "s3:AbortMultipartUpload"):
            await (await self._s3()).abort_multipart_upload(
                Bucket=self._bucket, Key=self._prefix + upload.key, UploadId=upload.id
            )

    async def uploads(self, prefix: str) -> Sequence[Upload]:
        found: list[Upload] = []
        marker: dict[str, Any] = {}
        while True:
            with self._told(prefix, "s3:ListBucketMultipartUploads"):
                answer = await (await self._s3()).list_multipart_uploads(
                    Bucket=self._bucket, Prefix=self._prefix + prefix, **marker
                )
            found += [
                Upload(one["Key"].removeprefix(self._prefix), one["UploadId"], _milliseconds(one["Initiated"]))
                for one in answer.get("Uploads", ())
            ]
            if not answer.get("IsTruncated"):
                return found
            marker = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    async def close(self) -> None:
        self._client = None
        await self._open.aclose()

    async def _s3(self) -> Any:
        if self._client is None:
            async with self._opening:
                if self._client is None:
                    self._client = await self._open.enter_async_context(_client(self._session, self._connections))
        return self._client

    def _info(self, key: str, size: int, answer: dict[str, Any]) -> ObjectInfo:
        own = answer.get("Metadata", {})
        whole = _decoded(answer.get("ChecksumCRC32C"))
        return ObjectInfo(
            key,
            size,
            _etag(answer),
            _milliseconds(answer["LastModified"]),
            _decoded(own.get(_CHECKSUM)) if whole is None else whole,
            own.get(_MARK, ""),
        )

    def _told(self, key: str, action: str) -> contextlib.AbstractContextManager[None]:
        return told(Asked(self.url, self._bucket, self._prefix + key, action), self._runtime.clock.wall_ms())

    def _not_deleted(self, errors: Sequence[dict[str, Any]]) -> StoreError:
        first = errors[0]
        what = f"{len(errors)} objects could not be deleted in {self.url}, {first.get('Key')} among them: {first}"
        if first.get("Code") in ("AccessDenied", "403"):
            return AccessDenied(what, "Grant s3:DeleteObject on this bucket and prefix")
        return StoreUnavailable(what, "It is tried again")


def _new_session() -> Any:
    """With the descriptions of S3 and of its endpoints read: 0.1 s of parsing."""
    session = get_session()
    loader = session.get_component("data_loader")
    for name in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model("s3", name)
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(name)
    return session


def _client(session: Any, connections: int) -> Any:
    return session.create_client(
        "s3",
        config=AioConfig(
            connect_timeout=5,
            read_timeout=300,  # how long is too long is the Store's to say
            max_pool_connections=connections,
            retries={"total_max_attempts": 1, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"payload_signing_enabled": False},
            user_agent_extra="sprawl",
        ),
    )


def _headers(condition: Condition) -> dict[str, str]:
    if condition.if_absent:
        return {"IfNoneMatch": "*"}
    return {} if condition.if_match is None else {"IfMatch": condition.if_match}


def _etag(answer: dict[str, Any]) -> str:
    return str(answer["ETag"])


def _encoded(crc32c: int) -> str:
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()


def _decoded(text: str | None) -> int | None:
    """None also for the checksum of checksums (`...==-3`) that some stores keep of what came in parts."""
    if text is None or "-" in text:
        return None
    return int.from_bytes(base64.b64decode(text), "big")


def _milliseconds(when: Any) -> int:
    return int(when.timestamp() * 1000)
