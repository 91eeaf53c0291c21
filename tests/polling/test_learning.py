"""What some videos teach about the next, with completion times drawn by seeded dice."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokvideo_django.polling.curve import BINS
from grokvideo_django.polling.learning import PRIOR, Forecast, Kind, Sighting, fit, usual_seconds

KIND = Kind("xai/grok-imagine-video", "text", 5, "480p")
LARGE = Kind("xai/grok-imagine-video", "text", 15, "720p")


def videos(count: int, median: float, *, kind: Kind = KIND, seed: int = 1) -> Iterator[Sighting]:
    """Finished ones, as a poller sees them: somewhere between two looks."""
    dice = random.Random(seed)
    for _video in range(count):
        done, gap = median * math.exp(dice.gauss(0, 0.5)), dice.uniform(3, 9)
        seen = max(0.0, done - dice.random() * gap)
        yield Sighting(kind, seen, seen + gap)


def half(forecast: Forecast, kind: Kind = KIND) -> float:
    return forecast.of(kind).curve.age_at(0.5)


@pytest.mark.parametrize("kind", [KIND, LARGE])
def test_a_new_site_expects_what_is_usual(kind):
    assert half(Forecast(), kind) == pytest.approx(usual_seconds(kind), rel=0.06)
    assert Forecast().of(kind).videos == 0


def test_the_prior_is_a_distribution_with_a_long_tail():
    assert sum(PRIOR) == pytest.approx(1, abs=1e-4)
    assert min(PRIOR) >= 0
    curve = Forecast().of(KIND).curve
    assert 0.002 < 1 - curve.finished_by(20 * 45) < 0.01


@pytest.mark.parametrize("median", [4, 20, 45, 120, 400])
def test_some_hundred_videos_teach_all(median):
    forecast = Forecast(videos(300, median))
    curve = forecast.of(KIND).curve
    assert half(forecast) == pytest.approx(median, rel=0.25)
    assert curve.age_at(0.9) == pytest.approx(median * math.exp(0.5 * 1.2816), rel=0.25)
    assert forecast.of(KIND).videos == 300


def test_ten_videos_teach_a_little():
    learned = half(Forecast(videos(10, 120)))
    assert 50 < learned < 115


def test_a_kind_that_was_not_seen_learns_from_the_others_in_proportion():
    forecast = Forecast(videos(300, 90))  # twice the usual
    assert half(forecast, LARGE) == pytest.approx(2 * usual_seconds(LARGE), rel=0.15)
    assert forecast.of(LARGE).videos == 0


def test_each_kind_has_a_curve_of_its_own():
    forecast = Forecast([*videos(200, 30), *videos(200, 200, kind=LARGE, seed=2)])
    assert half(forecast) == pytest.approx(30, rel=0.2)
    assert half(forecast, LARGE) == pytest.approx(200, rel=0.2)
    assert set(forecast.kinds) == {KIND, LARGE}


def test_what_is_unfinished_keeps_the_quick_ones_from_being_all():
    """The first that are done of a batch are the fastest."""
    done = [sighting for sighting in videos(200, 45) if (sighting.done_seconds or 0) < 35]
    left = [Sighting(KIND, 32, None)] * (200 - len(done))
    assert half(Forecast(done)) < 32
    assert half(Forecast([*done, *left])) == pytest.approx(45, rel=0.25)


@pytest.mark.parametrize("factor", [0.5, 0.7, 1, 1.4, 2, 4])
def test_the_load_is_seen_in_what_was_sent_lately(factor):
    """A third of it is still unfinished."""
    dice = random.Random(3)
    cohort = []
    for sighting in videos(300, 45 * factor, seed=4):
        age = dice.uniform(0, 150 * factor)
        done = sighting.done_seconds
        cohort.append(sighting if done is not None and done < age else Sighting(KIND, max(0.0, age - 4), None))
    forecast = Forecast(videos(300, 45), cohort)
    assert forecast.load == pytest.approx(factor, rel=0.2)
    assert half(forecast) == pytest.approx(45 * factor, rel=0.25)


def test_nothing_was_sent_lately():
    assert Forecast(videos(50, 45)).load == 1


def test_one_forgotten_video_says_little_about_the_load():
    cohort = [*videos(100, 45, seed=5), Sighting(KIND, 86_400, None)]
    assert Forecast(videos(300, 45), cohort).load == pytest.approx(1, rel=0.2)


@given(
    st.lists(
        st.tuples(st.integers(0, BINS - 1), st.integers(0, BINS - 1)).map(lambda pair: (min(pair), max(pair))),
        max_size=30,
    )
)
def test_masses_stay_a_distribution_whatever_was_seen(intervals):
    counts = {interval: intervals.count(interval) for interval in intervals}
    masses = fit(counts, PRIOR, 10)
    assert min(masses) >= 0
    assert sum(masses) == pytest.approx(sum(PRIOR), abs=1e-5)
