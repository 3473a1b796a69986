"""kcat produces, consumes, lists and queries."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from compat_tests.conftest import MakeTopic
from compat_tests.kcat.conftest import Kcat, KcatFailedError

ALL = ("-C", "-e", "-q", "-o", "beginning")


@pytest.mark.feature("produce and consume")
def test_lines_go_in_and_come_out(topic: str, kcat: Kcat) -> None:
    kcat("-P", "-t", topic, given=b"one\ntwo\nthree\n")
    assert kcat(*ALL, "-t", topic) == b"one\ntwo\nthree\n"


@pytest.mark.feature("keys, headers, empty and null values")
def test_keys_and_headers_survive(topic: str, kcat: Kcat) -> None:
    kcat("-P", "-t", topic, "-K", ":", "-H", "colour=blue", "-H", "colour=red", given=b"key:value\n:no key\n")
    lines = kcat(*ALL, "-t", topic, "-f", "%k|%s|%h\n").decode().splitlines()
    assert lines == ["key|value|colour=blue,colour=red", "|no key|colour=blue,colour=red"]


@pytest.mark.feature("tombstones")
def test_an_empty_value_can_be_sent_as_null(topic: str, kcat: Kcat) -> None:
    kcat("-P", "-t", topic, "-K", ":", "-Z", given=b"gone:\n")
    (record,) = [json.loads(line) for line in kcat(*ALL, "-t", topic, "-J").splitlines()]
    assert (record["key"], record["payload"]) == ("gone", None)


@pytest.mark.feature("compression")
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_survive(topic: str, kcat: Kcat, codec: str) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(2000))
    kcat("-P", "-t", topic, "-z", codec, given=lines)
    assert kcat(*ALL, "-t", topic) == lines


@pytest.mark.feature("idempotence")
def test_an_idempotent_producer_keeps_order(topic: str, kcat: Kcat) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(5000))
    kcat("-P", "-t", topic, "-X", "enable.idempotence=true", "-X", "batch.num.messages=50", given=lines)
    assert kcat(*ALL, "-t", topic) == lines


@pytest.mark.feature("seek")
def test_reading_starts_at_an_offset_or_before_the_end(topic: str, kcat: Kcat) -> None:
    kcat("-P", "-t", topic, given=b"".join(b"%d\n" % number for number in range(10)))
    assert kcat("-C", "-e", "-q", "-t", topic, "-o", "7").split() == [b"7", b"8", b"9"]
    assert kcat("-C", "-e", "-q", "-t", topic, "-o", "-2").split() == [b"8", b"9"]


@pytest.mark.feature("seek by time")
def test_an_offset_is_found_by_time(topic: str, kcat: Kcat) -> None:
    kcat("-P", "-t", topic, given=b"now\n")
    stamp = int(json.loads(kcat(*ALL, "-t", topic, "-J"))["ts"])
    assert kcat("-Q", "-t", f"{topic}:0:{stamp}").split()[-1] == b"0"
    assert kcat("-Q", "-t", f"{topic}:0:{stamp + 1}").split()[-1] == b"-1"
    assert kcat("-C", "-e", "-q", "-t", topic, "-o", f"s@{stamp}") == b"now\n"


@pytest.mark.feature("groups: join and leave")
def test_a_balanced_consumer_reads_all_partitions(new_topic: MakeTopic, kcat: Kcat, group: str) -> None:
    topic = new_topic(partitions=4)
    for partition in range(4):
        kcat("-P", "-t", topic, "-p", str(partition), given=b"%d\n" % partition)
    read = kcat("-G", group, "-c", "4", "-q", "-X", "auto.offset.reset=earliest", topic)
    assert sorted(read.split()) == [b"0", b"1", b"2", b"3"]


@pytest.mark.feature("groups: committed offsets")
def test_the_next_reader_of_a_group_goes_on(topic: str, kcat: Kcat, group: str) -> None:
    kcat("-P", "-t", topic, given=b"1\n2\n3\n4\n")
    first = ("-G", group, "-q", "-X", "auto.offset.reset=earliest")
    assert kcat(*first, "-c", "2", topic).split() == [b"1", b"2"]
    assert kcat(*first, "-c", "2", topic).split() == [b"3", b"4"]


@pytest.mark.feature("admin: topics")
def test_metadata_lists_brokers_topics_and_partitions(new_topic: MakeTopic, kcat: Kcat, bootstrap: str) -> None:
    topic = new_topic(partitions=3)
    told = json.loads(kcat("-L", "-J"))
    assert [broker["name"] for broker in told["brokers"]] == [bootstrap]
    (found,) = [each for each in told["topics"] if each["topic"] == topic]
    assert [partition["partition"] for partition in found["partitions"]] == [0, 1, 2]
    assert all(partition["leader"] == told["brokers"][0]["id"] for partition in found["partitions"])


@pytest.mark.feature("errors")
def test_consuming_an_unknown_topic_is_told(new_name: Callable[[], str], kcat: Kcat) -> None:
    with pytest.raises(KcatFailedError, match="Unknown topic or partition"):
        kcat("-C", "-e", "-t", new_name())
