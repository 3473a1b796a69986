"""From a URL to an object store.

In: `sprawl.tier.url` and a `Runtime`. Out: a `Store`. Nothing is asked of it yet: `probe` does that. The S3 client is
imported here, at the last moment, because a node without S3 should not wait for it at start.
"""

from __future__ import annotations

from sprawl.objects.contract import Backend
from sprawl.objects.directory import Directory
from sprawl.objects.store import Policy, Store
from sprawl.objects.urls import DirectoryAt, parse_url
from sprawl.runtime import Runtime


async def open_store(url: str, runtime: Runtime, policy: Policy | None = None) -> Store:
    """Raises `BadUrl`, and `WrongCredentials` if the environment names a profile that is not there."""
    location = parse_url(url)
    if isinstance(location, DirectoryAt):
        return Store(Directory(location.path, runtime), runtime, policy)
    backend = await runtime.in_thread(lambda: _s3(location.bucket, location.prefix, runtime))
    return Store(backend, runtime, policy)


def _s3(bucket: str, prefix: str, runtime: Runtime) -> Backend:
    from sprawl.objects.s3 import S3

    return S3(bucket, prefix, runtime)
