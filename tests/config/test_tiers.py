"""Which topics may be tiered."""

from __future__ import annotations

import pytest

from sprawl.config.broker import BrokerConfig
from sprawl.config.topics import TopicConfig, check_tier
from sprawl_protocol.errors import ApiError, ErrorCode

TIERED = TopicConfig.of({"remote.storage.enable": "true", "retention.ms": "500", "local.retention.bytes": "7"})
WITH_TIER = BrokerConfig.of({"remote.log.storage.system.enable": "true"})


def test_a_topic_may_be_tiered_where_there_is_a_tier() -> None:
    check_tier(TIERED, WITH_TIER, internal=False)
    check_tier(TopicConfig.of({}), BrokerConfig.of({}), internal=False)


@pytest.mark.parametrize(("broker", "internal"), [(BrokerConfig.of({}), False), (WITH_TIER, True)])
def test_not_without_a_tier_and_not_what_is_internal(broker: BrokerConfig, internal: bool) -> None:
    with pytest.raises(ApiError) as refused:
        check_tier(TIERED, broker, internal=internal)
    assert refused.value.code is ErrorCode.INVALID_CONFIG


def test_local_retention_is_total_retention_unless_it_is_set() -> None:
    assert (TIERED.local_ms, TIERED.local_bytes) == (500, 7)
