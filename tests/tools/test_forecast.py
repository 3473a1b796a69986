"""The evaluation: strict about time, at home with traces that it never saw, fair to the reactive balancer."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sprawl.intelligence.balance.policy import Settings
from sprawl.intelligence.foresight.grid import Array, Grid
from tools.forecast import hotspots, rolling, scores, synthetic, traces
from tools.forecast.__main__ import app
from tools.forecast.groups import groups, thinned
from tools.forecast.replay import NOW, Source, cluster_for, run, traffic
from tools.forecast.rolling import Effort, Trace, roll
from tools.forecast.traces import Family

GRID = Grid()
LITTLE = Effort((0.6, 0.8), 2_000, 10)
START = 1_700_000_100


def rows(series: str, values: Array, step: float = 300, start: float = START) -> list[str]:
    return [f"{series},{start + place * step:.0f},{value}" for place, value in enumerate(values) if not np.isnan(value)]


def wave(steps: int, seed: int = 0, per_day: int = 288) -> Array:
    rng = np.random.default_rng(seed)
    return np.asarray(
        (200 + 100 * np.sin(2 * np.pi * np.arange(steps) / per_day)) * rng.lognormal(0, 0.1, steps)
    ).round(2)


def write(path: Path, *parts: list[str], head: str = "series,timestamp,count") -> None:
    text = "\n".join([head, *(line for part in parts for line in part)]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def trace_of(values: Array) -> Trace:
    count = len(values)
    topics, taught = np.zeros(count, dtype=np.int64), np.ones(count, dtype=np.bool_)
    return Trace(GRID, np.full(count, START), values, topics, taught)


# -- reading


def test_counts_are_averaged_within_each_step_and_what_was_not_counted_stays_unknown(tmp_path: Path) -> None:
    minutes = np.arange(5 * 300.0)
    minutes[10:15] = np.nan
    write(tmp_path / "a.csv.gz", rows("s", minutes, 60, start=1_700_000_100 // 300 * 300))
    (family,) = traces.read(tmp_path).families
    assert family.grid.step_seconds == 300
    assert family.values[0, 0] == 2
    assert math.isnan(family.values[0, 2])
    assert family.values[0, 3] == 17


@pytest.mark.parametrize(
    ("of", "head"),
    [
        (lambda at, value: f"s,{at * 1000},{value}", "series,timestamp,count"),
        (lambda at, value: f"{value},s,{at}", "count,series,timestamp"),
        (lambda at, value: f"s,{np.datetime64(at, 's')}Z,{value}", "series,timestamp,count"),
    ],
    ids=["milliseconds", "columns in another order", "iso 8601"],
)
def test_times_and_columns_are_read_as_they_come(tmp_path: Path, of: Callable[[int, float], str], head: str) -> None:
    write(tmp_path / "a.csv", [of(START + 300 * place, float(place)) for place in range(300)], head=head)
    (family,) = traces.read(tmp_path).families
    assert family.starts[0] == START // 300 * 300
    assert family.values[0, 5] == 5


def test_what_cannot_be_judged_is_left_out_and_said(tmp_path: Path) -> None:
    write(tmp_path / "short.csv", rows("s", wave(50)))
    write(tmp_path / "daily.csv", rows("s", wave(400), 86_400))
    write(
        tmp_path / "bad.csv", ["s,yesterday,5", "nonsense", "s,1700000100,-4", "s,1700000100,nan"], rows("s", wave(300))
    )
    cut = gzip.compress(("series,timestamp,count\n" + "\n".join(rows("s", wave(4000)))).encode())
    (tmp_path / "cut.csv.gz").write_bytes(cut[: len(cut) // 2])
    found = traces.read(tmp_path)
    notes = "\n".join(found.notes)
    assert [family.name for family in found.families] == ["bad", "cut"]
    for said in (
        "short: left out s: shorter than",
        "daily: left out s: one value in 24.0 hours",
        "bad.csv: 4 lines",
        "cut.csv.gz: breaks off",
    ):
        assert said in notes


# -- strict about time


def test_no_forecast_depends_on_what_comes_later() -> None:
    values = np.stack([wave(4 * 288, seed) for seed in range(3)])
    later = values.copy()
    changed = 1000
    later[:, changed:] *= 5
    first, second = (roll(trace_of(each), LITTLE) for each in (values, later))
    before = slice(first.first, changed)
    np.testing.assert_array_equal(first.median[..., before], second.median[..., before])
    np.testing.assert_array_equal(first.upper[..., before], second.upper[..., before])
    assert not np.array_equal(first.median[..., changed:], second.median[..., changed:])


def test_families_of_different_times_do_not_learn_from_each_other() -> None:
    def family(name: str, start: int) -> Family:
        return Family(name, GRID, np.array([start]), ("s",), wave(600)[None])

    year, day = 365 * 86_400, 86_400
    together = groups([family("a", START), family("b", START + year), family("c", START + day // 12)], "")
    assert [[each.name for each in group.families] for group in together] == [["a", "c"], ["b"]]
    trace = together[0].trace
    assert trace.values.shape == (2, 624)
    assert np.isnan(trace.values[1, :24]).all()
    assert trace.starts[1] == trace.starts[0]


def test_a_family_that_must_not_be_learnt_from_is_not() -> None:
    families = synthetic.make(1, 2, 3)
    (group,) = groups(families, synthetic.UNTAUGHT)
    untaught = group.members[[family.name for family in families].index(synthetic.UNTAUGHT)]
    assert not group.trace.taught[untaught].any()
    assert group.trace.taught.sum() == 2 * (len(families) - 1)


def test_more_than_a_run_has_time_for_is_thinned_by_lot_and_said() -> None:
    families = synthetic.make(1, 4, 3)
    kept, notes = thinned(families, sum(family.values.size for family in families) // 2, 1)
    assert {len(family.series) for family in kept} == {2}
    assert notes == ["16 of 32 series, by lot: more do not fit in the time that a run may take"]


# -- scores


def rolled_with(median: Array, actual: Array) -> rolling.Rolled:
    shape = (3, *actual.shape)
    wide = np.broadcast_to(actual, shape).copy()
    rivals = np.broadcast_to(actual + 2.0, (3, 6, *actual.shape)).copy()
    return rolling.Rolled(
        0,
        np.broadcast_to(median, shape),
        wide + 1,
        np.zeros(shape, dtype=np.int64),
        rivals,
        wide,
        np.full((3, len(actual)), 4.0),
        (),
    )


def test_mase_is_measured_in_errors_of_the_last_value_and_of_the_best_baseline() -> None:
    actual = np.full((2, 600), 100.0)
    score = scores.score(rolled_with(actual + 1.0, actual), 0, np.arange(2), 288)
    assert score is not None
    assert (score.mase, score.ratio, score.wape, score.coverage) == pytest.approx((0.25, 0.5, 0.01, 1.0))


def test_a_series_of_which_nothing_is_known_has_no_score() -> None:
    actual = np.full((1, 600), np.nan)
    assert scores.score(rolled_with(actual, actual), 0, np.arange(1), 288) is None


def test_new_hotspots_are_found_by_who_foresees_them_and_not_by_who_sees_what_is() -> None:
    rng = np.random.default_rng(1)
    load = np.tile(10 + 0.01 * np.arange(50.0)[:, None], 1200)
    load[:9] = 100
    for start in range(20, 1150, 25):
        load[rng.integers(9, 45), start : start + 12] *= 3
    came = np.stack([np.roll(load, -horizon, axis=1) for horizon in GRID.horizons])
    seeing, blind = hotspots.judge(load, came, GRID), hotspots.judge(load, np.stack([load] * 3), GRID)
    assert seeing is not None
    assert blind is not None
    assert seeing.events > 20
    assert seeing.recall > 0.9
    assert seeing.precision > 0.9
    assert blind.recall < 0.1


# -- the replay


def a_source(steps: int = 6 * 288) -> Source:
    load = np.stack([wave(steps, seed) for seed in range(12)])
    ahead = np.stack([np.hstack([load[:, horizon:], load[:, -horizon:]]) for horizon in GRID.horizons])
    return Source(GRID, np.zeros(12, dtype=np.int64), load, load.max(axis=1), {"right": (ahead, ahead)})


def test_who_foresees_rightly_has_less_overload_than_who_reacts_and_both_less_than_nobody() -> None:
    rng = np.random.default_rng(2)
    load = traffic([a_source()], rng, 2)
    assert load is not None
    cluster = cluster_for(load.load, rng, 0.93)
    nobody, reactive, foreseeing = (
        run(load, cluster, name, Settings()).overload.sum() for name in (None, NOW, "right")
    )
    assert foreseeing < reactive < nobody


def test_a_replay_is_the_same_every_time() -> None:
    def once() -> list[object]:
        rng = np.random.default_rng(2)
        load = traffic([a_source()], rng, 2)
        assert load is not None
        return list(run(load, cluster_for(load.load, rng), "right", Settings()).log)

    assert once() == once()


def test_what_is_too_short_is_not_replayed() -> None:
    assert traffic([a_source(2 * 288)], np.random.default_rng(1)) is None


def test_a_partition_without_a_forecast_is_expected_to_go_on_as_it_is() -> None:
    source = a_source()
    unknown = np.full((3, *source.load.shape), np.nan)
    load = traffic([replace(source, expected={"none": (unknown, unknown)})], np.random.default_rng(1), 2)
    assert load is not None
    np.testing.assert_array_equal(load.expected["none"][0][2], load.load)


# -- the command


def test_odd_traces_are_judged_as_far_as_they_can_be(tmp_path: Path) -> None:
    gappy = wave(3 * 288, 1)
    gappy[100:200] = gappy[500:640] = np.nan
    write(
        tmp_path / "good.csv",
        rows("a", wave(9 * 288, 2)),
        rows("b", wave(9 * 288, 3), start=START + 40),
        rows("zero", np.zeros(9 * 288)),
    )
    write(tmp_path / "gaps.csv.gz", rows("a", gappy), rows("never changes", np.full(3 * 288, 7.0)))
    write(tmp_path / "hourly.csv", rows("a", wave(400, 4, 24), 3600))
    write(tmp_path / "constant.csv", rows("a", np.full(900, 5.0)))
    write(tmp_path / "short.csv", rows("a", wave(20)))
    found = CliRunner().invoke(app, ["--traces", str(tmp_path), "--json", "--quick"])
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert set(said["mase_ratio_to_best_baseline"]) == {"5m", "15m", "30m"}
    assert all(0.2 < ratio < 2 for ratio in said["mase_ratio_to_best_baseline"].values())
    assert "overload_minutes_ratio_to_reactive" in said["replay"]
    assert {each["family"] for each in said["families"]} == {"good", "gaps", "hourly", "constant"}
    notes = "\n".join(said["notes"])
    for part in ("short: left out a", "hourly: steps of 60 minutes", "constant: not scored"):
        assert part in notes


def test_a_directory_with_nothing_to_judge_says_so(tmp_path: Path) -> None:
    write(tmp_path / "short.csv", rows("a", wave(20)))
    found = CliRunner().invoke(app, ["--traces", str(tmp_path)])
    assert found.exit_code == 1
    assert "shorter than 200 steps" in found.stderr
    assert "Traceback" not in found.output
