"""Between brokers and controllers."""

from __future__ import annotations

from uuid import UUID

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import (
    Request,
    Response,
    Struct,
    array,
    binary,
    boolean,
    field,
    int8,
    int16,
    int32,
    int64,
    string,
    uint16,
    uuid,
)
from sprawl_protocol.primitives import NO_ID, Buffer


class BrokerRegistrationResponse(Response, api_key=ApiKey.BROKER_REGISTRATION, versions="0-4", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    broker_epoch: int = field(int64, default=-1)


class BrokerRegistrationRequestListener(Struct):
    name: str = field(string, default="")
    host: str = field(string, default="")
    port: int = field(uint16, default=0)
    security_protocol: int = field(int16, default=0)


class Feature(Struct):
    name: str = field(string, default="")
    min_supported_version: int = field(int16, default=0)
    max_supported_version: int = field(int16, default=0)


class BrokerRegistrationRequest(
    Request, api_key=ApiKey.BROKER_REGISTRATION, versions="0-4", flexible="0+", response=BrokerRegistrationResponse
):
    broker_id: int = field(int32, default=0)
    cluster_id: str = field(string, default="")
    incarnation_id: UUID = field(uuid, default=NO_ID)
    listeners: list[BrokerRegistrationRequestListener] = field(
        array(BrokerRegistrationRequestListener), default_factory=list
    )
    features: list[Feature] = field(array(Feature), default_factory=list)
    rack: str | None = field(string, default="", nullable="0+")
    is_migrating_zk_broker: bool = field(boolean, "1+", default=False)
    log_dirs: list[UUID] = field(array(uuid), "2+", default_factory=list, ignorable=True)
    previous_broker_epoch: int = field(int64, "3+", default=-1, ignorable=True)


class BrokerHeartbeatResponse(Response, api_key=ApiKey.BROKER_HEARTBEAT, versions="0-2", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    is_caught_up: bool = field(boolean, default=False)
    is_fenced: bool = field(boolean, default=True)
    should_shut_down: bool = field(boolean, default=False)


class BrokerHeartbeatRequest(
    Request, api_key=ApiKey.BROKER_HEARTBEAT, versions="0-2", flexible="0+", response=BrokerHeartbeatResponse
):
    broker_id: int = field(int32, default=0)
    broker_epoch: int = field(int64, default=-1)
    current_metadata_offset: int = field(int64, default=0)
    want_fence: bool = field(boolean, default=False)
    want_shut_down: bool = field(boolean, default=False)
    offline_log_dirs: list[UUID] = field(array(uuid), "1+", default_factory=list, tag=0, tagged="1+")
    cordoned_log_dirs: list[UUID] | None = field(array(uuid), "2+", default=None, nullable="2+", tag=1, tagged="2+")


class UnregisterBrokerResponse(Response, api_key=ApiKey.UNREGISTER_BROKER, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")


class UnregisterBrokerRequest(
    Request, api_key=ApiKey.UNREGISTER_BROKER, versions="0", flexible="0+", response=UnregisterBrokerResponse
):
    broker_id: int = field(int32, default=0)


class ControllerRegistrationResponse(Response, api_key=ApiKey.CONTROLLER_REGISTRATION, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")


class ControllerRegistrationRequestListener(Struct):
    name: str = field(string, default="")
    host: str = field(string, default="")
    port: int = field(uint16, default=0)
    security_protocol: int = field(int16, default=0)


class ControllerRegistrationRequestFeature(Struct):
    name: str = field(string, default="")
    min_supported_version: int = field(int16, default=0)
    max_supported_version: int = field(int16, default=0)


class ControllerRegistrationRequest(
    Request,
    api_key=ApiKey.CONTROLLER_REGISTRATION,
    versions="0",
    flexible="0+",
    response=ControllerRegistrationResponse,
):
    controller_id: int = field(int32, default=0)
    incarnation_id: UUID = field(uuid, default=NO_ID)
    zk_migration_ready: bool = field(boolean, default=False)
    listeners: list[ControllerRegistrationRequestListener] = field(
        array(ControllerRegistrationRequestListener), default_factory=list
    )
    features: list[ControllerRegistrationRequestFeature] = field(
        array(ControllerRegistrationRequestFeature), default_factory=list
    )


class UnregisterControllerResponse(Response, api_key=ApiKey.UNREGISTER_CONTROLLER, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")


class UnregisterControllerRequest(
    Request, api_key=ApiKey.UNREGISTER_CONTROLLER, versions="0", flexible="0+", response=UnregisterControllerResponse
):
    controller_id: int = field(int32, default=0)


class AlterPartitionResponsePartitionData(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    leader_id: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)
    isr: list[int] = field(array(int32), default_factory=list)
    leader_recovery_state: int = field(int8, "1+", default=0, ignorable=True)
    partition_epoch: int = field(int32, default=0)


class AlterPartitionResponseTopicData(Struct):
    topic_id: UUID = field(uuid, "2+", default=NO_ID, ignorable=True)
    partitions: list[AlterPartitionResponsePartitionData] = field(
        array(AlterPartitionResponsePartitionData), default_factory=list
    )


class AlterPartitionResponse(Response, api_key=ApiKey.ALTER_PARTITION, versions="2-3", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    topics: list[AlterPartitionResponseTopicData] = field(array(AlterPartitionResponseTopicData), default_factory=list)


class BrokerState(Struct):
    broker_id: int = field(int32, "3+", default=0)
    broker_epoch: int = field(int64, "3+", default=-1)


class AlterPartitionRequestPartitionData(Struct):
    partition_index: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)
    new_isr: list[int] = field(array(int32), "0-2", default_factory=list)
    new_isr_with_epochs: list[BrokerState] = field(array(BrokerState), "3+", default_factory=list)
    leader_recovery_state: int = field(int8, "1+", default=0)
    partition_epoch: int = field(int32, default=0)


class AlterPartitionRequestTopicData(Struct):
    topic_id: UUID = field(uuid, "2+", default=NO_ID, ignorable=True)
    partitions: list[AlterPartitionRequestPartitionData] = field(
        array(AlterPartitionRequestPartitionData), default_factory=list
    )


class AlterPartitionRequest(
    Request, api_key=ApiKey.ALTER_PARTITION, versions="2-3", flexible="0+", response=AlterPartitionResponse
):
    broker_id: int = field(int32, default=0)
    broker_epoch: int = field(int64, default=-1)
    topics: list[AlterPartitionRequestTopicData] = field(array(AlterPartitionRequestTopicData), default_factory=list)


class EnvelopeResponse(Response, api_key=ApiKey.ENVELOPE, versions="0", flexible="0+"):
    response_data: Buffer | None = field(binary, default=None, nullable="0+")
    error_code: int = field(int16, default=0)


class EnvelopeRequest(Request, api_key=ApiKey.ENVELOPE, versions="0", flexible="0+", response=EnvelopeResponse):
    request_data: Buffer = field(binary, default=b"")
    request_principal: Buffer | None = field(binary, default=b"", nullable="0+")
    client_host_address: Buffer = field(binary, default=b"")


class UpdatableFeatureResult(Struct):
    feature: str = field(string, default="")
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")


class UpdateFeaturesResponse(Response, api_key=ApiKey.UPDATE_FEATURES, versions="0-2", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    results: list[UpdatableFeatureResult] = field(
        array(UpdatableFeatureResult), "0-1", default_factory=list, ignorable=True
    )


class FeatureUpdateKey(Struct):
    feature: str = field(string, default="")
    max_version_level: int = field(int16, default=0)
    allow_downgrade: bool = field(boolean, "0", default=False)
    upgrade_type: int = field(int8, "1+", default=1)


class UpdateFeaturesRequest(
    Request, api_key=ApiKey.UPDATE_FEATURES, versions="0-2", flexible="0+", response=UpdateFeaturesResponse
):
    timeout_ms: int = field(int32, default=60000)
    feature_updates: list[FeatureUpdateKey] = field(array(FeatureUpdateKey), default_factory=list)
    validate_only: bool = field(boolean, "1+", default=False)
