"""Two independent codecs agree with the declarations, over every message and version that they know.

Each reads what we wrote, value by value the same, and writes the same bytes back: `kio`, whose classes are generated
from Kafka's schemas, and kafka-python, which interprets the schemas it ships.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import importlib
import io
import pkgutil
from random import Random
from typing import Any
from uuid import UUID

import kafka.protocol
import pytest
from kafka.protocol.api_data import ApiData
from kafka.protocol.api_message import ApiMessage
from kafka.protocol.data_container import DataContainer
from kafka.protocol.schemas import StructField, load_json
from kio.schema.index import schema_name_map
from kio.serial import entity_reader, entity_writer

from sprawl_protocol.message import Struct
from tests.protocol.arbitrary import TOP_LEVEL, message, versions_of

ROUNDS = 3


def values_of(made: Struct, version: int, absent_is_none: bool = False) -> list[Any]:
    """The fields this version carries, in order of declaration, as plain lists.

    With `absent_is_none`, structs in tagged fields that are not sent, being their default, count as None.
    """
    found = []
    for one in made.FIELDS:
        if version in one.versions:
            value = getattr(made, one.name)
            if absent_is_none and one.type.struct and version in one.tagged and value == one.make_default():
                value = None
            found.append(plain(value, version, absent_is_none))
    return found


def plain(value: Any, version: int, absent_is_none: bool) -> Any:
    match value:
        case Struct():
            return values_of(value, version, absent_is_none)
        case list():
            return [plain(one, version, absent_is_none) for one in value]
        case memoryview():
            return bytes(value)
        case UUID(int=0):
            return None
        case _:
            return value


# -- kio ---------------------------------------------------------------------------------------------------------


def kio_schemas() -> dict[tuple[str, int], str]:
    found = {}
    for versions in schema_name_map.values():
        for version, kinds in versions.items():
            for path in kinds.values():
                found[path.rpartition(":")[2], version] = path
    return found


KIO = kio_schemas()


def kio_plain(value: Any) -> Any:
    match value:
        case bool() | None:
            return value
        case enum.Enum():
            return int(value.value)
        case int():
            return int(value)
        case datetime.timedelta():
            return round(value.total_seconds() * 1000)
        case datetime.datetime():
            return round(value.timestamp() * 1000)
        case tuple():
            return [kio_plain(one) for one in value]
        case UUID(int=0):
            return None
        case _ if dataclasses.is_dataclass(value):
            return [kio_field(one, getattr(value, one.name)) for one in dataclasses.fields(value)]
        case _:
            return value


def kio_field(field: Any, value: Any) -> Any:
    if value is None and str(field.metadata.get("kafka_type")).startswith("datetime"):
        return -1  # kio's word for no date
    return kio_plain(value)


@pytest.mark.parametrize(
    "cls", [cls for cls in TOP_LEVEL if cls.__name__ in {name for name, _ in KIO}], ids=lambda cls: cls.__name__
)
def test_kio_agrees(cls: type[Struct]) -> None:
    rng = Random(cls.__name__)
    for version in versions_of(cls):
        path = KIO.get((cls.__name__, version))
        if path is None:
            continue
        entity = pkgutil.resolve_name(path)
        for _ in range(ROUNDS):
            made = message(rng, cls, version, modest=True)
            encoded = made.encode(version)
            read, size = entity_reader(entity)(encoded, 0)
            assert size == len(encoded), f"v{version}: {made!r}"
            assert kio_plain(read) == values_of(made, version), f"v{version}: {made!r}"
            written = io.BytesIO()
            entity_writer(entity)(written, read)
            assert written.getvalue() == encoded, f"v{version}: {made!r}"


# -- kafka-python --------------------------------------------------------------------------------------------------


def kafka_python_structs() -> dict[str, Any]:
    for module in pkgutil.walk_packages(kafka.protocol.__path__, "kafka.protocol."):
        if ".old" not in module.name and "generate_stubs" not in module.name:
            importlib.import_module(module.name)
    found = {one.__name__: one._struct for base in (ApiMessage, ApiData) for one in base.__subclasses__()}
    for cls in TOP_LEVEL:
        if cls.__name__ not in found:
            try:
                struct = StructField(load_json(cls.__name__))
            except FileNotFoundError:
                continue
            struct.set_data_class(type(cls.__name__, (DataContainer,), {"_struct": struct}))
            found[cls.__name__] = struct
    del found["RequestHeader"]  # read by a way of its own there; kio judges ours
    return found


KAFKA_PYTHON = kafka_python_structs()


def container_plain(value: Any, version: int) -> Any:
    if isinstance(value, list | tuple):
        return [container_plain(one, version) for one in value]
    if isinstance(value, DataContainer):
        known = (one for one in value._struct._fields if one.for_version_q(version))
        return [container_field(one, getattr(value, one.name), version) for one in known]
    return None if value == UUID(int=0) else value


def container_field(field: Any, value: Any, version: int) -> Any:
    if field.name.endswith("authorized_operations") and not isinstance(value, int):
        return -(2**31) if value is None else sum(1 << bit for bit in value)  # kafka-python makes them sets of bits
    return container_plain(value, version)


@pytest.mark.parametrize(
    "cls", [cls for cls in TOP_LEVEL if cls.__name__ in KAFKA_PYTHON], ids=lambda cls: cls.__name__
)
def test_kafka_python_agrees(cls: type[Struct]) -> None:
    rng = Random(cls.__name__)
    struct = KAFKA_PYTHON[cls.__name__]
    for version in versions_of(cls):
        if not struct.for_version_q(version):
            continue
        how = {"version": version, "compact": cls.is_flexible(version), "tagged": cls.is_flexible(version)}
        for _ in range(ROUNDS):
            made = message(rng, cls, version, modest=True)
            encoded = made.encode(version)
            read = struct.decode(io.BytesIO(encoded), **how)
            assert container_plain(read, version) == values_of(made, version, absent_is_none=True), (
                f"v{version}: {made!r}"
            )
            assert struct.encode(read, **how) == encoded, f"v{version}: {made!r}"


def test_nothing_is_compared_in_vain() -> None:
    assert sum(name in {cls.__name__ for cls in TOP_LEVEL} for name, _ in KIO) > 400
    assert len([cls for cls in TOP_LEVEL if cls.__name__ in KAFKA_PYTHON]) > 80
