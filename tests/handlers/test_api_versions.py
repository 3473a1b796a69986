"""ApiVersions: what is announced, and to whom nothing is."""

from __future__ import annotations

from typing import Any

import pytest

from sprawl.handlers.api_versions import ApiVersionsHandlers
from sprawl.handlers.context import RequestContext
from sprawl.quorum.image import MetadataImage
from sprawl.security.access import ANONYMOUS
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import ApiVersionsRequest
from tests.handlers.wired import ask, versions_of

SERVED = [ApiKey.PRODUCE, ApiKey.FETCH, ApiKey.INIT_PRODUCER_ID, ApiKey.API_VERSIONS]
IMAGE = MetadataImage("the-cluster", offset=42, features={"metadata.version": 29})


def handlers(*, any_node: bool = False) -> ApiVersionsHandlers:
    return ApiVersionsHandlers(lambda: SERVED, lambda: IMAGE, 1, any_node=any_node)


async def answer(version: int, *, any_node: bool = False, **fields: Any) -> Any:
    named = {"client_software_name": "librdkafka", "client_software_version": "2.6.1"} if version >= 3 else {}
    request = ApiVersionsRequest(**{**named, **fields})
    return await ask(handlers(any_node=any_node).api_versions, request, version)


@pytest.mark.parametrize("version", versions_of(ApiVersionsRequest))
async def test_what_is_routed_is_announced_and_nothing_else(version: int) -> None:
    found = await answer(version)
    assert found.error_code == 0
    assert {each.api_key: (each.min_version, each.max_version) for each in found.api_keys} == {
        ApiKey.PRODUCE: (0, 13),
        ApiKey.FETCH: (4, 18),
        ApiKey.API_VERSIONS: (0, 5),
        ApiKey.INIT_PRODUCER_ID: (0, 5),
    }
    if version >= 3:
        assert found.finalized_features_epoch == 42
        assert {each.name: each.max_version_level for each in found.finalized_features} == {
            "metadata.version": 29,
            "kraft.version": 1,
        }
        assert {each.name for each in found.supported_features} == {"metadata.version", "kraft.version"}


def test_a_version_from_the_future_is_told_the_range() -> None:
    context = RequestContext(6, "client", "127.0.0.1", ANONYMOUS, "PLAINTEXT", 1)
    found = handlers().api_versions(context, ApiVersionsRequest())
    assert found.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert [(each.api_key, each.min_version, each.max_version) for each in found.api_keys] == [(18, 0, 5)]
    found.encode(0)


@pytest.mark.parametrize(
    ("name", "version"), [("", "1"), ("kafka", ""), ("-x", "1"), ("a b", "1"), ("x.", "1"), ("x", "1\n")]
)
async def test_a_client_must_name_its_software_in_plain_words(name: str, version: str) -> None:
    found = await answer(3, client_software_name=name, client_software_version=version)
    assert (found.error_code, found.api_keys) == (ErrorCode.INVALID_REQUEST, [])


@pytest.mark.parametrize(
    ("cluster", "node", "any_node", "reached"),
    [
        (None, -1, False, True),
        (None, 9, False, True),
        ("the-cluster", 1, False, True),
        ("the-cluster", 2, False, False),
        ("the-cluster", -1, False, False),
        ("another", 1, False, False),
        ("the-cluster", 2, True, True),
        ("another", 2, True, False),
    ],
)
async def test_a_client_that_meant_another_node_is_sent_back(
    cluster: str | None, node: int, any_node: bool, reached: bool
) -> None:
    found = await answer(5, any_node=any_node, cluster_id=cluster, node_id=node)
    assert found.error_code == (0 if reached else ErrorCode.REBOOTSTRAP_REQUIRED)
    assert bool(found.api_keys) == reached
