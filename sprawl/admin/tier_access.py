"""A command's way to a bucket, past any cluster: open the store, do the work, and turn failures into exit codes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar

import typer

from sprawl.admin.session import DENIED, NOT_FOUND, REFUSED, UNHEALTHY, UNREACHABLE, USAGE, RefusedError, fail
from sprawl.objects.contract import ObjectStore
from sprawl.objects.errors import (
    AccessDenied,
    Corrupt,
    NoSuchBucket,
    NotFound,
    StoreError,
    StoreUnavailable,
    WrongCredentials,
)
from sprawl.objects.urls import BadUrl
from sprawl.runtime import Runtime
from sprawl.tiers.backup import BadBackup, FutureBackup
from sprawl_protocol.errors import ApiError

T = TypeVar("T")

FromOption = Annotated[str, typer.Option("--from", help="The cluster's bucket: s3://... or file:///...", metavar="URL")]
_EXITS: Final = (
    ((AccessDenied, WrongCredentials), DENIED),
    ((NoSuchBucket, NotFound), NOT_FOUND),
    ((StoreUnavailable,), UNREACHABLE),
    ((Corrupt,), UNHEALTHY),
)


def in_store(url: str, work: Callable[[ObjectStore, Runtime], Awaitable[T]]) -> T:
    """Exits with a message where that fails."""

    async def whole() -> T:
        from sprawl.objects.opening import open_store
        from sprawl.runtime.real import RealRuntime

        runtime = RealRuntime()
        store = await open_store(url, runtime)
        try:
            return await work(store, runtime)
        finally:
            await store.close()

    try:
        return asyncio.run(whole())
    except BadUrl as problem:
        fail(str(problem), USAGE)
    except FutureBackup as problem:
        fail(str(problem), REFUSED)
    except BadBackup as problem:
        fail(str(problem), UNHEALTHY)
    except RefusedError as problem:
        fail(str(problem), problem.exit_code)
    except StoreError as problem:
        fail(str(problem), next((code for kinds, code in _EXITS if isinstance(problem, kinds)), REFUSED))
    except (OSError, ApiError) as problem:
        fail(str(problem), REFUSED)
