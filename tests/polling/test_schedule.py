"""When to ask: pure functions, over all ages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokvideo_django.polling import schedule

ages = st.floats(0, 30 * 86_400)
DAY = 86_400.0


@pytest.mark.parametrize(
    ("age", "gap"),
    [(0, 4), (119.9, 4), (120, 8), (299, 8), (300, 20), (899, 20), (900, 60), (3599, 60), (3600, 300), (80_000, 300)],
)
def test_the_gaps(age, gap):
    assert schedule.next_read(age, deadline_seconds=DAY) == gap


def test_past_the_deadline_there_is_no_next_read():
    assert schedule.next_read(DAY - 0.1, deadline_seconds=DAY) == 300
    assert schedule.next_read(DAY, deadline_seconds=DAY) is None
    assert schedule.next_read(5, deadline_seconds=5) is None


@given(ages, ages)
def test_gaps_never_shrink_and_respect_the_gateway(first, second):
    earlier, later = sorted([first, second])
    gaps = [schedule.next_read(age, deadline_seconds=60 * DAY) for age in (earlier, later)]
    assert gaps[0] <= gaps[1]
    assert gaps[0] >= schedule.MIN_GAP_SECONDS
    assert schedule.after_failed_read(earlier, None) >= gaps[0] * 2


@given(st.lists(ages, max_size=200))
def test_there_are_few_distinct_gaps(all_ages):
    """Each is a statement of its own when a round is written."""
    assert len({schedule.next_read(age, deadline_seconds=DAY) for age in all_ages}) <= 6


@pytest.mark.parametrize(
    ("age", "retry_after", "seconds"),
    [(0, None, 15), (0, 2, 15), (0, 40, 40), (3600, None, 600), (3600, 40, 600), (100, None, 15), (299, None, 16)],
)
def test_after_a_failed_read(age, retry_after, seconds):
    assert schedule.after_failed_read(age, retry_after) == seconds


def test_in_doubt_it_is_read_hourly_until_the_file_is_deleted():
    assert schedule.next_read_in_doubt(0) == 3600
    assert schedule.next_read_in_doubt(7 * DAY - 1) == 3600
    assert schedule.next_read_in_doubt(7 * DAY) is None


def test_growing():
    assert [schedule.growing(attempts) for attempts in (0, 1, 2, 3, 7, 8, 10**9)] == [5, 5, 10, 20, 300, 300, 300]
    assert schedule.growing(3, first_seconds=1, longest_seconds=3) == 3
