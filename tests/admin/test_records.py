"""`sprawl-admin topic produce|consume` on a node that runs in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from typer.testing import CliRunner, Result

from sprawl.admin import cli
from sprawl.admin.record_lines import Line, LineError, LineFormat, read_line
from sprawl.admin.session import NOT_FOUND, USAGE
from sprawl.testing import Cluster
from sprawl_protocol.batches import NO_PRODUCER_ID
from sprawl_protocol.messages import AbortedTransaction, PartitionData
from sprawl_protocol.records import Record, build_batch


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(1, in_memory=True) as running:
        running.create_topic("orders", partitions=3)
        yield running


def ask(cluster: Cluster, *words: str, given: str | bytes | None = None) -> Result:
    where = ["--bootstrap-server", cluster.bootstrap_servers, "--timeout", "60"]
    return CliRunner().invoke(cli.app, ["topic", *words, *where], input=given)


def objects(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


def test_what_was_produced_is_consumed_with_key_and_headers(cluster: Cluster) -> None:
    cluster.create_topic("one", partitions=1)
    done = ask(cluster, "produce", "one", "--key", "17", "--header", "source=shell", given="hello\nworld\n")
    assert json.loads(done.stdout) == [{"topic": "one", "partition": 0, "first": 0, "last": 1, "records": 2}]
    assert ask(cluster, "consume", "one").stdout == "hello\nworld\n"
    assert ask(cluster, "consume", "one", "--format", "keyed", "--separator", ":").stdout == "17:hello\n17:world\n"
    (first, _) = objects(ask(cluster, "consume", "one", "--format", "json").stdout)
    assert (first["offset"], first["key"], first["headers"]) == (0, "17", [{"name": "source", "value": "shell"}])


def test_json_lines_go_back_in_as_they_came_out(cluster: Cluster) -> None:
    cluster.create_topic("from", partitions=1)
    cluster.create_topic("to", partitions=1)
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    producer.produce("from", b"\xff\x00", key=b"\xfe", headers=[("h", b"\xfd"), ("n", None)], timestamp=1234)
    producer.produce("from", None, key=b"a\nb", timestamp=1235)
    assert producer.flush(60) == 0
    said = ask(cluster, "consume", "from", "--format", "json").stdout
    assert ask(cluster, "produce", "to", "--format", "json", "-z", "zstd", given=said).exit_code == 0
    again = ask(cluster, "consume", "to", "--format", "json").stdout
    assert again == said.replace('"topic": "from"', '"topic": "to"')
    assert objects(again)[1]["value"] is None


def test_a_key_goes_where_other_producers_send_it(cluster: Cluster) -> None:
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "partitioner": "murmur2"})
    given = "".join(f"key-{number}\tvalue\n" for number in range(20))
    ask(cluster, "produce", "orders", "--format", "keyed", given=given)
    for number in range(20):
        producer.produce("orders", b"value", key=b"key-%d" % number)
    assert producer.flush(60) == 0
    places: dict[str, set[int]] = {}
    for record in objects(ask(cluster, "consume", "orders", "--format", "json").stdout):
        places.setdefault(record["key"], set()).add(record["partition"])
    assert len(places) == 20
    assert {len(each) for each in places.values()} == {1}


def test_where_to_begin_and_how_many(cluster: Cluster) -> None:
    cluster.create_topic("many", partitions=1)
    ask(cluster, "produce", "many", given="".join(f"{number}\n" for number in range(10)))

    def read(*words: str) -> list[str]:
        return ask(cluster, "consume", "many", *words).stdout.split()

    assert read("--from", "7") == ["7", "8", "9"]
    assert read("--from", "2", "--count", "2") == ["2", "3"]
    assert read("--tail", "1") == ["9"]
    assert len(read("--from", "2001-01-01")) == 10
    assert read("--from", "2999-01-01T00:00:00") == []
    assert read("--count", "3", "--follow") == ["0", "1", "2"]


def test_produce_takes_no_more_than_it_is_told(cluster: Cluster) -> None:
    cluster.create_topic("few", partitions=1)
    done = ask(cluster, "produce", "few", "--count", "2", given="a\nb\nc\n")
    assert json.loads(done.stdout)[0]["records"] == 2
    ask(cluster, "produce", "few", "--key", "a", "--tombstone")
    (last,) = objects(ask(cluster, "consume", "few", "--tail", "1", "--format", "json").stdout)
    assert (last["key"], last["value"]) == ("a", None)


def test_an_ordinary_consumer_reads_what_was_produced(cluster: Cluster) -> None:
    cluster.create_topic("plain", partitions=2)
    ask(cluster, "produce", "plain", "--value", "here", "--partition", "1", "-z", "gzip")
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": "any"})
    consumer.assign([TopicPartition("plain", 1, 0)])
    message = consumer.poll(60)
    consumer.close()
    assert message is not None
    assert message.value() == b"here"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("consume", "nothing"), NOT_FOUND),
        (("consume", "orders", "--partition", "9"), NOT_FOUND),
        (("produce", "orders", "--partition", "9", "--value", "x"), NOT_FOUND),
        (("consume", "orders", "--from", "yesterday"), USAGE),
        (("consume", "orders", "--from", "1", "--tail", "1"), USAGE),
        (("produce", "orders", "--tombstone"), USAGE),
        (("produce", "orders", "--compression", "zip"), USAGE),
        (("produce", "orders", "--header", "h"), USAGE),
        (("produce", "orders", "--format", "json"), USAGE),
    ],
)
def test_what_cannot_be_is_said_by_the_exit_code(cluster: Cluster, words: tuple[str, ...], code: int) -> None:
    assert ask(cluster, *words, given="no json\n").exit_code == code


@pytest.mark.parametrize("line", [b"1", b"{}", b'{"value": {"base64": "?"}}', b'{"value": 1, "headers": 3}', b"\xff"])
def test_a_line_that_says_no_record_is_refused(line: bytes) -> None:
    with pytest.raises(LineError):
        read_line(line, LineFormat.JSON, b"")


def test_any_json_value_is_a_value() -> None:
    assert read_line(b'{"value": {"a": [1]}}', LineFormat.JSON, b"") == Line(None, b'{"a":[1]}')


def test_aborted_transactions_are_left_out_until_asked_for() -> None:
    from sprawl.admin.record_reading import Reader

    def batch(text: bytes, base: int, *, producer: int = NO_PRODUCER_ID, control: bool = False) -> bytes:
        record = Record(0, 1, b"\x00\x00\x00\x00" if control else None, text)
        epoch, sequence = (0, 0) if producer >= 0 else (-1, -1)
        return bytes(
            build_batch(
                [record],
                base_offset=base,
                producer_id=producer,
                producer_epoch=epoch,
                base_sequence=sequence,
                transactional=producer >= 0,
                control=control,
            )
        )

    log = (
        batch(b"kept", 0)
        + batch(b"gone", 1, producer=5)
        + batch(b"other", 2, producer=6)
        + batch(b"\x00" * 6, 3, producer=5, control=True)
        + batch(b"later", 4, producer=5)
    )
    data = PartitionData(records=log, aborted_transactions=[AbortedTransaction(producer_id=5, first_offset=1)])

    def read(*, committed: bool) -> list[bytes]:
        reader = Reader(None, {("t", 0): 0}, committed=committed)  # type: ignore[arg-type]
        found = [bytes(record.value or b"") for record in reader._of_batches(("t", 0), data)]
        assert reader.position["t", 0] == 5
        return found

    assert read(committed=True) == [b"kept", b"other", b"later"]
    assert read(committed=False) == [b"kept", b"gone", b"other", b"later"]
