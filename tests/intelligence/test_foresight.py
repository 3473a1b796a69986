"""Forecasts: nothing from the future, unknown is unknown, the better answer is followed, promises are kept."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from sprawl.intelligence.foresight import trees
from sprawl.intelligence.foresight.baselines import CANDIDATES, Baselines, Kind, tuned
from sprawl.intelligence.foresight.conformal import Calibration
from sprawl.intelligence.foresight.features import ahead, look_back, names, topic_context
from sprawl.intelligence.foresight.grid import Array, Grid
from sprawl.intelligence.foresight.judge import Answers, Judge
from sprawl.intelligence.foresight.rings import SeriesRings, filled
from sprawl.intelligence.foresight.selection import Selection, Source

GRID = Grid()
NAN = float("nan")


def waves(series: int, steps: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    day = 1 + 0.5 * np.sin(2 * np.pi * np.arange(steps) / GRID.day)
    return rng.uniform(50, 500, (series, 1)) * day * rng.lognormal(0, 0.05, (series, steps))


def features_at(values: Array, step: int, horizon: int) -> Array:
    padded = np.hstack([np.full((len(values), GRID.history), NAN), filled(values)])
    window = padded[:, step + 1 : step + 1 + GRID.history]
    topic = topic_context(window[:, -37:], np.zeros(len(values), dtype=np.int64))
    times = np.full(len(values), 300.0 * step)
    return ahead(look_back(window, GRID), times, horizon, GRID, topic, window[:, -1:])


def test_features_do_not_change_with_what_comes_later() -> None:
    values = waves(3, 2 * GRID.day)
    other = values.copy()
    other[:, GRID.day + 1 :] *= 7
    for horizon in GRID.horizons:
        np.testing.assert_array_equal(features_at(values, GRID.day, horizon), features_at(other, GRID.day, horizon))
    assert not np.array_equal(features_at(values, GRID.day + 1, 1), features_at(other, GRID.day + 1, 1), equal_nan=True)


def test_every_feature_has_a_name() -> None:
    assert features_at(waves(2, GRID.day), 100, 1).shape == (2, len(names(1)))


def test_features_are_the_same_for_a_load_a_thousand_times_as_large() -> None:
    values = waves(2, 2 * GRID.day)
    small, large = (features_at(each, GRID.day, 3) for each in (values, 1000 * values))
    by_size = [number for number, name in enumerate(names(1)) if name == "log day's mean"]
    np.testing.assert_allclose(np.delete(small, by_size, 1), np.delete(large, by_size, 1), rtol=1e-5, atol=1e-5)


def test_what_nobody_counted_is_the_newest_known_value_and_before_a_beginning_unknown() -> None:
    np.testing.assert_array_equal(filled(np.array([[NAN, 2.0, NAN, NAN, 0.0]])), [[NAN, 2.0, 2.0, 2.0, 0.0]])


def test_rings_hold_what_filled_holds_and_know_who_is_silent() -> None:
    values = np.array([[NAN, 1.0, NAN, 4.0], [2.0, NAN, NAN, NAN]])
    rings = SeriesRings(2, 4)
    for step in range(4):
        rings.add(values[:, step])
    np.testing.assert_array_equal(rings.window(), filled(values))
    np.testing.assert_array_equal(rings.silent(2), [False, True])


def test_baselines_expect_what_they_are_named_after() -> None:
    baselines = Baselines(1, GRID)
    for step in range(GRID.day + 10):
        expected = baselines.observe(np.array([float(step % GRID.day)]))
    rows = {candidate: number for number, candidate in enumerate(CANDIDATES)}
    found = {(each.kind, each.setting): expected[number, :, 0] for each, number in rows.items()}
    now = 9.0
    assert list(found[Kind.LAST, ""]) == [now, now, now]
    assert list(found[Kind.SEASONAL, "day"]) == [now + horizon for horizon in GRID.horizons]
    assert list(found[Kind.MEDIAN, "of 5"]) == [7, 7, 7]
    assert list(found[Kind.LINEAR, "over 4"]) == pytest.approx([now + horizon for horizon in GRID.horizons])


def test_baselines_expect_nothing_of_what_was_never_counted_and_hold_the_last_value_through_a_gap() -> None:
    baselines = Baselines(2, GRID)
    for value in (5.0, 5.0, NAN, NAN):
        expected = baselines.observe(np.array([value, NAN]))
    np.testing.assert_allclose(expected[:, :, 0], 5.0)
    assert np.isnan(expected[:, :, 1]).all()


def test_tuning_keeps_the_best_setting_of_each_kind() -> None:
    losses = np.arange(len(CANDIDATES), 0, -1, dtype=np.float64)
    last = {candidate.kind: number for number, candidate in enumerate(CANDIDATES)}
    assert tuned(losses) == last


def follow(errors_of_model: list[float]) -> list[Source]:
    selection = Selection(1, 1, 1, GRID)
    followed = []
    for error in errors_of_model:
        selection.learn(0, np.array([[11.0]]), np.array([10.0 + error]), np.array([10.0]))
        followed.append(Source(int(selection.sources(0)[0])))
    return followed


def test_a_model_that_is_right_is_followed() -> None:
    assert follow([0.1] * GRID.day)[-1] is Source.MODEL


def test_a_model_that_a_change_has_made_worse_loses_its_place_within_a_day_and_wins_it_back() -> None:
    followed = follow([0.1] * (2 * GRID.day) + [5.0] * GRID.day + [0.1] * (6 * GRID.day))
    assert followed[2 * GRID.day - 1] is Source.MODEL
    assert followed[3 * GRID.day - 1] is Source.BASELINE
    assert followed[-1] is Source.MODEL


def test_without_a_model_the_baseline_serves() -> None:
    judge = Judge(1, 1, GRID)
    nothing = np.full((3, 1), NAN)
    forecast = judge.step(np.array([4.0]), Answers(np.full((3, 1, 1), 4.0), nothing, np.zeros((3, 1)), np.ones(1)))
    np.testing.assert_array_equal(forecast.median, np.full((3, 1), 4.0))
    assert (forecast.source == Source.BASELINE).all()


def test_nothing_is_judged_before_its_time() -> None:
    """What is expected half an hour ahead must not be held against what comes in five minutes."""
    judge = Judge(1, 2, GRID)
    answers = Answers(np.tile(np.array([[1.0], [9.0]]), (3, 1, 1)), np.full((3, 1), NAN), np.zeros((3, 1)), np.ones(1))
    best = [judge.step(np.array([9.0]), answers).baseline[:, 0].tolist() for _ in range(7)]
    assert best[0] == [0, 0, 0]
    assert best[1] == [1, 0, 0]
    assert best[3] == [1, 1, 0]
    assert best[6] == [1, 1, 1]


@pytest.mark.parametrize("promise", [0.0, 5.0], ids=["too low", "too high"])
def test_calibration_comes_to_one_in_ten_whatever_was_promised(promise: float) -> None:
    rng = np.random.default_rng(3)
    calibration = Calibration(1, 1)
    above = []
    for came in rng.normal(0, 1, 6000):
        promised = promise + calibration.offset[0]
        above.append(came > promised[0])
        calibration.learn(0, promised, np.array([came]), np.ones(1))
    assert 0.08 <= np.mean(above[2000:]) <= 0.12


def test_calibration_learns_nothing_from_what_nobody_counted() -> None:
    calibration = Calibration(1, 1)
    calibration.learn(0, np.array([1.0]), np.array([NAN]), np.ones(1))
    assert calibration.offset[0, 0] == 0


def some_rows(seed: int = 0) -> trees.Rows:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(1500, 4))
    return trees.Rows(features, features[:, 0] * 3 + rng.normal(size=1500), np.ones(1500))


def test_the_same_rows_give_the_same_trees_and_text_gives_them_back() -> None:
    first, second = (trees.learn([some_rows()], 15) for _ in range(2))
    assert first.to_text() == second.to_text()
    assert first.to_text().count("=== horizon") == len(trees.QUANTILES)
    again, features = trees.Trees.from_text(first.to_text()), some_rows(1).features
    for one, other in zip(first.quantiles(0, features), again.quantiles(0, features), strict=True):
        np.testing.assert_allclose(one, other)


def test_nine_in_ten_stay_below_the_upper_quantile_of_new_rows() -> None:
    new = some_rows(1)
    median, upper = trees.learn([some_rows()], 60).quantiles(0, new.features)
    assert 0.85 <= np.mean(new.target <= upper) <= 0.95
    assert np.mean(np.abs(new.target - median)) < 0.5 * np.mean(np.abs(new.target - np.median(new.target)))


def test_a_text_without_trees_is_refused() -> None:
    with pytest.raises(ValueError, match="no trees"):
        trees.Trees.from_text("tree\n")


def test_without_its_system_library_lightgbm_is_named_and_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(trees.TreesUnavailableError, match=r"baselines serve.*libgomp"):
        trees.learn([some_rows()], 1)


def test_lightgbm_is_not_imported_by_a_process_that_neither_learns_nor_predicts() -> None:
    code = (
        "import sys, sprawl.intelligence.foresight.trees, sprawl.intelligence.foresight.judge; "
        "sys.exit('lightgbm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
