"""`sprawl-admin tier verify` and `cluster restore` on a bucket that is whole, and on ones that are not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sprawl.admin import cli
from sprawl.admin.cluster_restore_groups import restore_groups
from sprawl.admin.session import CONFLICT, NOT_FOUND, REFUSED, UNHEALTHY, USAGE
from sprawl.groups.records import GroupRecord, OffsetRecord, decode
from sprawl.objects.probe import MARKER, read_marker
from sprawl.runtime.real import RealRuntime
from sprawl.tiers.backup import Section, section_key
from sprawl.tiers.backup_reading import read_backup
from sprawl.tiers.segments import LOG, MANIFEST
from sprawl.tiers.verify import read_through
from tests.admin.tier import CLUSTER, KEY, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "bucket")
    made.fill()
    return made


def ask(*words: str) -> tuple[int, Any, str]:
    done = CliRunner().invoke(cli.app, [*words, "-o", "json"])
    return done.exit_code, json.loads(done.stdout) if done.stdout else None, done.stderr


def verify(place: Place, *words: str) -> tuple[int, Any]:
    code, told, said = ask("tier", "verify", "--from", place.url, "--orphan-age", "0", *words)
    assert told is not None, said
    return code, told


def restore(place: Place, *words: str) -> tuple[int, Any, str]:
    return ask("cluster", "restore", "--from", place.url, "--data-dir", str(place.path.parent / "data"), *words)


# -- verify ----------------------------------------------------------------------------------------------------


def test_a_whole_bucket_is_healthy(place: Place) -> None:
    code, told = verify(place, "--deep")
    assert (code, told["healthy"], told["findings"]) == (0, True, [])
    assert (told["segments"], told["objects"]) == (2, 4)
    assert told["bytes_read"] == told["bytes"] == sum(each.size for each in place.segments)


def test_what_is_missing_is_named_with_its_offsets(place: Place) -> None:
    place.file(place.name(0, LOG)).unlink()
    place.file(place.name(1, MANIFEST)).unlink()
    code, told = verify(place)
    assert code == UNHEALTHY
    found = {
        (each["object"], each["trouble"], each["partition"], each["first_offset"], each["last_offset"])
        for each in told["findings"]
    }
    assert found == {
        (place.name(0, LOG), "missing", "orders-0", 0, 9),
        (place.name(1, MANIFEST), "missing", "orders-0", 10, 19),
    }


def test_another_size_is_found_by_the_list_alone(place: Place) -> None:
    place.put(place.name(1, LOG), b"short")
    code, told = verify(place)
    assert (code, [each["trouble"] for each in told["findings"]]) == (UNHEALTHY, ["wrong size"])


@pytest.mark.parametrize("ending", [LOG, MANIFEST])
def test_a_byte_that_turned_over_is_found_by_reading(place: Place, ending: str) -> None:
    file = place.file(place.name(1, ending))
    raw = bytearray(file.read_bytes())
    raw[1500 if ending == LOG else 20] ^= 0x10
    file.write_bytes(raw)
    assert verify(place)[0] == 0, "names and sizes are right"
    code, told = verify(place, "--deep")
    assert code == UNHEALTHY
    assert [(each["object"], each["trouble"]) for each in told["findings"]] == [
        (place.name(1, ending), "wrong checksum")
    ]


def test_a_large_segment_is_read_piece_by_piece_and_the_bad_piece_named(place: Place) -> None:
    file = place.file(place.name(1, LOG))
    raw = bytearray(file.read_bytes())
    raw[2500] ^= 0x10
    file.write_bytes(raw)
    came: list[int] = []
    found = place.do(
        lambda store: read_through(store, RealRuntime(), KEY, place.segments[1], came.append, read_bytes=2000)
    )
    assert [each.what for each in found] == ["bytes 2000 to 3000 are not those uploaded"]
    assert sum(came) == place.segments[1].size
    assert max(came) == 2000


def test_an_object_that_nothing_speaks_of_counts_once_it_is_old(place: Place) -> None:
    key = f"topics/{KEY[0]}/0/00000000000000000020-late.log"
    place.put(key, b"x")
    code, told = verify(place)
    assert (code, [(each["object"], each["trouble"]) for each in told["findings"]]) == (UNHEALTHY, [(key, "orphaned")])
    code, told, _ = ask("tier", "verify", "--from", place.url)
    assert (code, told["unsettled"]) == (0, 1)


def test_a_place_that_is_nobodys_is_said_to_be(tmp_path: Path) -> None:
    code, _, said = ask("tier", "verify", "--from", f"file://{tmp_path}/nothing")
    assert code == UNHEALTHY
    assert "no cluster.json" in said
    assert ask("tier", "verify", "--from", "http://somewhere")[0] == USAGE


# -- restore ---------------------------------------------------------------------------------------------------


def test_a_plan_tells_what_there_is_and_what_is_missing_and_changes_nothing(place: Place) -> None:
    before = sorted(each for each in place.path.rglob("*") if each.is_file())
    code, told, said = restore(place)
    assert code == 0, said
    assert "nothing was changed" in said
    (row,) = told["partitions"]
    assert (row["id"], row["start"], row["last_offset"], row["next_offset"], row["segments"]) == (
        "orders-0",
        0,
        19,
        20,
        2,
    )
    assert row["missing"] == ["20 to 24: was not uploaded yet"]
    assert told["commits_drawn_back"] == [
        {"group": "billing", "topic": "orders", "partition": 0, "committed": 23, "restored": 20}
    ]
    assert sorted(each for each in place.path.rglob("*") if each.is_file()) == before
    assert not (place.path.parent / "data").exists()


def test_the_bucket_passes_to_the_new_cluster_which_can_itself_be_restored(place: Place) -> None:
    code, told, said = restore(place, "--yes", "--node-id", "4")
    assert code == 0, said
    data = place.path.parent / "data"
    assert {"node.sqlite", "cluster.secret", "orders-0", "__cluster_metadata-0"} <= {
        each.name for each in data.iterdir()
    }
    assert data.stat().st_mode & 0o077 == (data / "cluster.secret").stat().st_mode & 0o077 == 0, "nobody else's secret"
    assert place.do(read_marker).cluster_id == told["new_cluster_id"] != CLUSTER
    found = place.do(read_backup)
    assert [each.segment for each in found.tier[KEY].segments] == place.segments
    again = ask("cluster", "restore", "--from", place.url, "--data-dir", f"{data}-2", "--yes")
    assert again[0] == 0, again[2]
    assert again[1]["partitions"][0]["next_offset"] == 20
    assert again[1]["commits_drawn_back"] == []
    assert verify(place, "--deep")[0] == 0


def test_a_directory_that_has_topics_is_refused_and_they_are_named(place: Place) -> None:
    assert restore(place, "--yes")[0] == 0
    code, _, said = restore(place)
    assert code == CONFLICT
    assert re.search(r"is not empty: it has a node with the topics .*orders", said)


def test_a_backup_of_a_future_format_is_refused(place: Place) -> None:
    file = place.file(section_key(CLUSTER, "cluster"))
    raw = file.read_bytes()[:-64].replace(b'"format": 1', b'"format": 9')
    place.put(section_key(CLUSTER, "cluster"), raw.rstrip())
    code, _, said = restore(place)
    assert code == REFUSED
    assert "of format 9" in said
    assert "a newer one wrote it" in said
    place.put(MARKER, b'{"format": 7, "cluster_id": "x", "created_ms": 0}')
    code, _, said = restore(place)
    assert code == REFUSED
    assert "update this node" in said


@pytest.mark.parametrize("name", ["cluster", "tier-0", "groups-1", "node-1"])
def test_a_damaged_section_is_named_with_what_to_do(place: Place, name: str) -> None:
    key = section_key(CLUSTER, name)
    raw = place.do(lambda store: store.get(key))
    place.put(key, raw.replace(b'"', b"'", 1) if name == "cluster" else raw[:-9])
    code, _, said = restore(place, "--yes")
    assert code == UNHEALTHY
    assert key in said
    assert "put back an older version" in said
    assert not (place.path.parent / "data").exists()


def test_a_section_of_another_cluster_is_not_believed(place: Place) -> None:
    key = section_key(CLUSTER, "tier-0")
    raw = place.do(lambda store: store.get(key))
    section = Section.parse(raw, key)
    place.put(key, Section("tier-0", "d" * 22, 3, 0, section.body).pack())
    code, _, said = restore(place)
    assert code == UNHEALTHY
    assert "cluster dddd" in said


def test_a_bucket_without_a_backup_is_refused(place: Place) -> None:
    place.file(section_key(CLUSTER, "cluster")).unlink()
    code, _, said = restore(place)
    assert code == UNHEALTHY
    assert f"no backup of cluster {CLUSTER}" in said
    code, _, said = ask("cluster", "restore", "--from", f"file://{place.path}/x", "--data-dir", f"{place.path}/data")
    assert code == NOT_FOUND
    assert "is no cluster's place" in said


def test_what_is_damaged_in_the_bucket_is_left_out_only_if_so_wished(place: Place) -> None:
    place.put(place.name(1, MANIFEST), b"{}")
    code, _, said = restore(place, "--yes")
    assert code == UNHEALTHY
    assert f"{place.name(1, MANIFEST)} is damaged" in said
    code, told, said = restore(place, "--accept-loss", "--yes")
    assert code == 0, said
    (row,) = told["partitions"]
    assert (row["next_offset"], row["segments"]) == (10, 1)
    assert row["missing"][0].startswith("10 to 19: ")


def test_groups_are_empty_and_their_offsets_begin_their_time_anew(place: Place) -> None:
    found = restore_groups(place.do(read_backup).groups, {("orders", 0): 20}, 5000)
    assert found.groups == ("audit", "billing")
    read = [decode(key, value) for key, value in found.records[1]]
    groups = {each.group_id: each.stored for each in read if isinstance(each, GroupRecord)}
    assert groups["billing"] is not None
    assert (groups["billing"].members, groups["billing"].generation, groups["billing"].since_ms) == ((), 5, 5000)
    offsets = {each.group_id: each.committed for each in read if isinstance(each, OffsetRecord)}
    assert offsets["billing"] is not None
    assert offsets["audit"] is not None
    assert (offsets["billing"].offset, offsets["billing"].leader_epoch) == (20, -1)
    assert (offsets["audit"].offset, offsets["audit"].leader_epoch, offsets["audit"].metadata) == (7, 1, "note")
    assert {each.committed_ms for each in offsets.values() if each is not None} == {5000}
    assert len(offsets) == 2, "of topics that are gone nothing is kept"
