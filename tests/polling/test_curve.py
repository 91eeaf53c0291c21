"""Completion times on their grid, against the same numbers worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokvideo_django.polling.curve import BINS, EDGES, SHORTEST, Curve, bin_of, masses_of

GRID_END = EDGES[-1]


def uniform(until: float) -> Curve:
    """Every age up to ``until`` units is equally likely; a unit is 10 s."""
    return Curve(masses_of(lambda age: max(0.0, 1 - age / until)), unit_seconds=10)


def never() -> Curve:
    return Curve([0.0] * BINS, unit_seconds=10)


@given(st.floats(0, 10 * GRID_END))
def test_every_age_is_in_its_bin(age):
    number = bin_of(age)
    assert 0 <= number < BINS
    if number:
        assert EDGES[number - 1] * (1 - 1e-9) <= age
    if number < BINS - 1:
        assert age <= EDGES[number] * (1 + 1e-9)


def test_the_first_bin_begins_at_nothing():
    assert [bin_of(age) for age in (-1, 0, SHORTEST / 2, SHORTEST, SHORTEST * 1.01)] == [0, 0, 0, 0, 1]


def test_masses_add_up_to_what_is_finished_on_the_grid():
    assert sum(masses_of(lambda age: 1 / (1 + age))) == pytest.approx(1 - 1 / (1 + GRID_END))


@given(st.floats(0, 300))
def test_the_share_that_is_finished(age):
    assert uniform(20).finished_by(age) == pytest.approx(min(1, age / 200), abs=0.015)


@given(st.floats(0, 150), st.floats(0, 300))
def test_lateness_is_the_mean_time_since_it_was_finished(seen, more):
    """Unfinished at ``seen``, uniform up to 200 s: the share of the rest that is done, half of the gap ago."""
    age = seen + more
    done = min(more, 200 - seen)
    expected = done / (200 - seen) * (done / 2 + (more - done))
    assert uniform(20).lateness(seen, age) == pytest.approx(expected, abs=0.5, rel=0.05)


def test_what_is_certainly_finished_is_as_late_as_it_was_left_alone():
    assert uniform(20).lateness(250, 260) == 10


def test_what_is_never_finished_is_never_late():
    assert never().lateness(0, 1e9) == pytest.approx(0, abs=1e-3)
    assert never().finished_by(1e12) == 0
    assert never().ripe(5, 1) > GRID_END * 10
    assert never().age_at(0.5) == pytest.approx(GRID_END * 10)


def test_nothing_is_late_before_it_was_seen():
    assert uniform(20).lateness(50, 40) == 0


@given(st.floats(0, 199), st.floats(0.05, 30))
def test_it_is_ripe_when_it_is_so_late(seen, lateness):
    curve = uniform(20)
    assert curve.lateness(seen, curve.ripe(seen, lateness)) == pytest.approx(lateness, rel=0.02, abs=0.01)


@pytest.mark.parametrize(("share", "age"), [(0.1, 20), (0.5, 100), (0.9, 180)])
def test_the_age_at_which_a_share_is_finished(share, age):
    assert uniform(20).age_at(share) == pytest.approx(age, rel=0.06)
