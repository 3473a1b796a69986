"""What went wrong, as RFC 9457 problem details: an HTTP status, and Kafka's own name for the error where it has one."""

from __future__ import annotations

import json
from typing import Any, Final

from sprawl.observability.status import Page
from sprawl_protocol.errors import ApiError, ErrorCode

CONTENT_TYPE: Final = "application/problem+json"
_REASONS: Final = {
    400: "Bad request",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    416: "Offset out of range",
    421: "Misdirected request",
    422: "Against a policy",
    429: "Too many requests",
    500: "Internal error",
    501: "Not supported",
    503: "Not available now",
    504: "No answer in time",
}
_STATUS: Final[dict[ErrorCode, int]] = {
    **dict.fromkeys(
        (
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode.UNKNOWN_TOPIC_ID,
            ErrorCode.GROUP_ID_NOT_FOUND,
            ErrorCode.RESOURCE_NOT_FOUND,
            ErrorCode.BROKER_ID_NOT_REGISTERED,
        ),
        404,
    ),
    **dict.fromkeys(
        (
            ErrorCode.TOPIC_AUTHORIZATION_FAILED,
            ErrorCode.GROUP_AUTHORIZATION_FAILED,
            ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
            ErrorCode.TOPIC_DELETION_DISABLED,
        ),
        403,
    ),
    **dict.fromkeys(
        (
            ErrorCode.TOPIC_ALREADY_EXISTS,
            ErrorCode.NON_EMPTY_GROUP,
            ErrorCode.REASSIGNMENT_IN_PROGRESS,
            ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC,
        ),
        409,
    ),
    **dict.fromkeys(
        (
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            ErrorCode.INVALID_PARTITIONS,
            ErrorCode.INVALID_REPLICATION_FACTOR,
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            ErrorCode.INVALID_CONFIG,
            ErrorCode.INVALID_REQUEST,
            ErrorCode.INVALID_RECORD,
            ErrorCode.INVALID_TIMESTAMP,
            ErrorCode.INVALID_GROUP_ID,
            ErrorCode.INVALID_REQUIRED_ACKS,
        ),
        400,
    ),
    **dict.fromkeys((ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.RECORD_LIST_TOO_LARGE), 413),
    **dict.fromkeys(
        (
            ErrorCode.LEADER_NOT_AVAILABLE,
            ErrorCode.NOT_LEADER_OR_FOLLOWER,
            ErrorCode.NOT_CONTROLLER,
            ErrorCode.BROKER_NOT_AVAILABLE,
            ErrorCode.REPLICA_NOT_AVAILABLE,
            ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
            ErrorCode.COORDINATOR_NOT_AVAILABLE,
            ErrorCode.NOT_COORDINATOR,
            ErrorCode.NOT_ENOUGH_REPLICAS,
            ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            ErrorCode.KAFKA_STORAGE_ERROR,
            ErrorCode.NETWORK_EXCEPTION,
            ErrorCode.OFFSET_NOT_AVAILABLE,
        ),
        503,
    ),
    ErrorCode.OFFSET_OUT_OF_RANGE: 416,
    ErrorCode.POLICY_VIOLATION: 422,
    ErrorCode.THROTTLING_QUOTA_EXCEEDED: 429,
    ErrorCode.UNSUPPORTED_VERSION: 501,
    ErrorCode.REQUEST_TIMED_OUT: 504,
}
STATUSES: Final = tuple(_REASONS)


class Problem(Exception):
    """Raised anywhere on the way to an answer, instead of it."""

    def __init__(self, status: int, detail: str, error: str = "", **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.error = error
        self.headers = headers

    def page(self, path: str) -> Page:
        told: dict[str, Any] = {
            "type": "about:blank" if not self.error else f"urn:kafka:error:{self.error}",
            "title": _REASONS[self.status],
            "status": self.status,
            "detail": self.detail,
            "instance": path,
        }
        if self.error:
            told["error"] = self.error
        headers = tuple((name.replace("_", "-"), value) for name, value in self.headers.items())
        return Page(self.status, CONTENT_TYPE, json.dumps(told).encode() + b"\n", headers)


def of_error(error: ApiError) -> Problem:
    status = _STATUS.get(error.code, 500)
    message = error.message or error.code.name.replace("_", " ").lower()
    return Problem(status, message, error.code.name, **({"Retry_After": "1"} if status in (429, 503) else {}))


def check(code: int, message: str | None = None) -> None:
    """Raise what an answer's error code says, if it says something."""
    if code:
        raise of_error(ApiError(ErrorCode(code), message or ""))
