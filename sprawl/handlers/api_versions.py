"""ApiVersions (18): what this node speaks, and whether the client has reached the node it meant to.

In: nothing but who the client is and what it knows. Out: the APIs that are served here with their versions, and the
features of the cluster. Only what is routed is named, so that nothing is promised that does not work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sprawl.handlers.context import Handler, RequestContext
from sprawl.quorum.features import SUPPORTED
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.voters import KRAFT_VERSION
from sprawl.wire.dispatch import PEER_ONLY
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    REQUESTS,
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)

_SOFTWARE_NAMED_SINCE: Final = 3
_FEATURES_FROM_ZERO_SINCE: Final = 4
_IDENTITY_SINCE: Final = 5
_SOFTWARE: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?", re.ASCII)

_ADVERTISED_FROM: Final[Mapping[ApiKey, int]] = {ApiKey.PRODUCE: 0}
"""librdkafka wants Produce announced from 0 on, and never sends what is refused (KAFKA-18659)."""
_ADVERTISED_TO: Final[Mapping[ApiKey, int]] = {ApiKey.INIT_PRODUCER_ID: 5}
"""Kafka's schema has a version beyond, which it calls unstable and does not announce."""


_NOT_FOR_CLIENTS: Final = PEER_ONLY | {ApiKey.SASL_HANDSHAKE, ApiKey.SASL_AUTHENTICATE}


class ApiVersionsHandlers:
    def __init__(
        self,
        served: Callable[[], Iterable[ApiKey]],
        image: Callable[[], MetadataImage],
        node_id: int,
        *,
        any_node: bool = False,
    ) -> None:
        """`served`: the APIs with a handler. `any_node`: clients can't tell nodes apart, and each answers for all."""
        self._served = served
        self._image = image
        self._node_id = node_id
        self._any_node = any_node

    def routes(self) -> dict[ApiKey, Handler]:
        return {ApiKey.API_VERSIONS: self.api_versions}

    def api_versions(self, context: RequestContext, request: ApiVersionsRequest) -> ApiVersionsResponse:
        version = context.api_version
        if not request.MIN_VERSION <= version <= request.MAX_VERSION:
            return ApiVersionsResponse(
                error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=[_range_of(ApiKey.API_VERSIONS)]
            )
        if version >= _SOFTWARE_NAMED_SINCE and not (
            _SOFTWARE.fullmatch(request.client_software_name) and _SOFTWARE.fullmatch(request.client_software_version)
        ):
            return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
        image = self._image()
        if version >= _IDENTITY_SINCE and self._misrouted(request, image):
            return ApiVersionsResponse(error_code=ErrorCode.REBOOTSTRAP_REQUIRED)
        finalized = {**image.features, "kraft.version": KRAFT_VERSION}
        return ApiVersionsResponse(
            api_keys=[_range_of(key) for key in sorted(self._offered(context))],
            supported_features=[
                SupportedFeatureKey(name=name, min_version=least, max_version=greatest)
                for name, (least, greatest) in SUPPORTED.items()
                if least > 0 or version >= _FEATURES_FROM_ZERO_SINCE
            ],
            finalized_features_epoch=max(image.offset, 0),
            finalized_features=[
                FinalizedFeatureKey(name=name, max_version_level=level, min_version_level=level)
                for name, level in finalized.items()
            ],
        )

    def _offered(self, context: RequestContext) -> Iterable[ApiKey]:
        """To another node everything there is: it may ask while this node is still starting."""
        if context.peer is not None:
            return REQUESTS
        return [key for key in self._served() if key not in _NOT_FOR_CLIENTS]

    def _misrouted(self, request: ApiVersionsRequest, image: MetadataImage) -> bool:
        """KIP-1242: the client says whom it means to reach; without a cluster id it says nothing."""
        if request.cluster_id is None:
            return False
        return request.cluster_id != image.cluster_id or not (self._any_node or request.node_id == self._node_id)


def _range_of(key: ApiKey) -> ApiVersion:
    request = REQUESTS[key]
    return ApiVersion(
        api_key=key,
        min_version=_ADVERTISED_FROM.get(key, request.MIN_VERSION),
        max_version=min(request.MAX_VERSION, _ADVERTISED_TO.get(key, request.MAX_VERSION)),
    )
