"""Error codes against two independent tables: kio's and kafka-python's."""

import inspect

import kafka.errors
import pytest
from kio.schema.errors import ErrorCode as KioErrorCode

from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError

RENAMED_BY_KAFKA_PYTHON = {
    "INVALID_REPLICATION_ASSIGNMENT": "INVALID_REPLICA_ASSIGNMENT",
    "INVALID_TOPIC": "INVALID_TOPIC_EXCEPTION",
    "MESSAGE_SIZE_TOO_LARGE": "MESSAGE_TOO_LARGE",
    "NO_ERROR": "NONE",
    "NOT_LEADER_FOR_PARTITION": "NOT_LEADER_OR_FOLLOWER",
    "UNKNOWN": "UNKNOWN_SERVER_ERROR",
}


def test_codes_have_no_gap():
    assert sorted(ErrorCode) == list(range(-1, 137))


@pytest.mark.parametrize("theirs", list(KioErrorCode), ids=lambda code: code.name)
def test_code_is_what_kio_knows(theirs):
    ours = ErrorCode(theirs.value)
    assert (ours.name, ours.retriable) == (theirs.name.upper(), theirs.retriable)


def test_codes_are_what_kafka_python_knows():
    theirs = {
        error.errno: RENAMED_BY_KAFKA_PYTHON.get(error.message, error.message)
        for _, error in inspect.getmembers(kafka.errors, inspect.isclass)
        if getattr(error, "errno", None) is not None and getattr(error, "message", None)
    }
    assert len(theirs) > 120
    assert {number: ErrorCode(number).name for number in theirs} == theirs


def test_codes_newer_than_the_judges():
    assert ErrorCode.GROUP_DELETION_FAILED == 134
    assert ErrorCode.STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED == 135
    assert ErrorCode.CONTROLLER_ID_NOT_REGISTERED == 136
    assert not any(ErrorCode(number).retriable for number in (134, 135, 136))


def test_success_is_not_retriable():
    assert not ErrorCode.NONE.retriable


def test_api_error_tells_its_code_and_its_reason():
    error = ApiError(ErrorCode.MESSAGE_TOO_LARGE, "2 MB where 1 MB is allowed")
    assert (error.code, error.message) == (ErrorCode.MESSAGE_TOO_LARGE, "2 MB where 1 MB is allowed")
    assert str(error) == "MESSAGE_TOO_LARGE: 2 MB where 1 MB is allowed"
    assert str(ApiError(ErrorCode.NOT_COORDINATOR)) == "NOT_COORDINATOR"


def test_protocol_error_is_not_an_api_error():
    assert not issubclass(ProtocolError, ApiError)
    assert not issubclass(ApiError, ProtocolError)
