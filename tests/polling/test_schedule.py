"""When to ask: pure functions, over all ages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokvideo_django.polling import schedule
from grokvideo_django.polling.learning import Forecast, Kind, Sighting
from grokvideo_django.polling.schedule import Outlook

ages = st.floats(0, 30 * 86_400)
DAY = 86_400.0


KIND = Kind("xai/grok-imagine-video", "text", 5, "480p")


@pytest.mark.parametrize(
    ("in_flight", "per_minute", "seconds"),
    [(0, 600, 0.3), (30, 600, 0.3), (45, 600, 0.45), (50, 600, 0.5), (9**9, 600, 0.5), (5, 10, 0.5), (5, 0, 0.5)],
)
def test_the_more_videos_share_the_budget_the_more_patience(in_flight, per_minute, seconds):
    assert schedule.patience(in_flight, per_minute) == pytest.approx(seconds)


@given(ages)
def test_a_video_is_read_when_it_is_ripe(age):
    """Rounded down to one of the few gaps, so at most 15 % early; and never sooner than the gateway allows."""
    outlook = Outlook(patience_seconds=0.3)
    gap = outlook.next_read(KIND, age, deadline_seconds=60 * DAY)
    assert schedule.MIN_GAP_SECONDS <= gap <= schedule.GAPS_SECONDS[-1]
    if schedule.MIN_GAP_SECONDS < gap < 260:
        assert outlook.lateness(KIND, age, age + gap) <= 0.31
        assert outlook.lateness(KIND, age, age + gap * 1.17) >= 0.29


def test_the_first_read_waits_until_something_can_be_ready():
    outlook = Outlook(patience_seconds=0.3)
    assert outlook.lateness(KIND, 0, outlook.first_read(KIND)) == pytest.approx(0.3, abs=0.01)
    slow = KIND._replace(duration_seconds=15)
    assert outlook.first_read(slow) > outlook.first_read(KIND)


def test_nothing_is_read_sooner_than_the_gateway_allows():
    quick = Forecast([Sighting(KIND, 0.5, 1.0)] * 300)
    outlook = Outlook(forecast=quick)
    assert outlook.first_read(KIND) == 3
    assert outlook.next_read(KIND, 1, deadline_seconds=DAY) >= 3


def test_past_the_deadline_there_is_no_next_read():
    outlook = Outlook()
    assert outlook.next_read(KIND, DAY - 0.1, deadline_seconds=DAY) > 100
    assert outlook.next_read(KIND, DAY, deadline_seconds=DAY) is None
    assert outlook.next_read(KIND, 5, deadline_seconds=5) is None


def test_what_is_overdue_for_long_is_read_more_and_more_slowly():
    outlook = Outlook()
    gaps = [outlook.next_read(KIND, age, deadline_seconds=60 * DAY) for age in (200, 600, 3600, 8 * 3600, 30 * DAY)]
    assert gaps == sorted(gaps)
    assert gaps[0] < 20
    assert gaps[-1] == schedule.GAPS_SECONDS[-1]


@given(st.lists(st.floats(0, 10_000), max_size=200))
def test_there_are_few_distinct_gaps(gaps):
    """Each is a statement of its own when a round is written."""
    steps = {schedule.stepped(gap) for gap in gaps}
    assert len(steps) <= 34
    assert all(schedule.stepped(step) == step for step in steps)


@given(st.floats(3, 263))
def test_a_gap_is_rounded_down_by_less_than_a_step(gap):
    assert gap / 1.17 <= schedule.stepped(gap) <= gap


@given(ages)
def test_after_a_failed_read_it_is_read_more_slowly(age):
    assert schedule.after_failed_read(age, None) >= 15


@pytest.mark.parametrize(
    ("age", "retry_after", "seconds"),
    [(0, None, 15), (0, 2, 15), (0, 40, 40), (3600, None, 600), (3600, 40, 600), (100, None, 15), (299, None, 16)],
)
def test_after_a_failed_read(age, retry_after, seconds):
    assert schedule.after_failed_read(age, retry_after) == seconds


def test_each_failure_in_a_row_doubles_the_pause():
    pauses = [schedule.after_failed_read(0, None, failures=failures) for failures in (1, 2, 3, 6, 7, 10**6)]
    assert pauses == [15, 30, 60, 480, 600, 600]
    assert schedule.after_failed_read(3600, None, failures=2) == 600
    assert schedule.after_failed_read(0, 90, failures=2) == 90


@given(ages, st.integers(1, 50), st.none() | st.floats(0, 86_400), st.floats(0, 1))
def test_the_spread_makes_it_later_and_never_earlier(age, failures, retry_after, spread):
    least = schedule.after_failed_read(age, retry_after, failures=failures)
    assert least <= schedule.after_failed_read(age, retry_after, failures=failures, spread=spread) <= least * 1.5
    assert least >= (retry_after or 15)


@pytest.mark.parametrize(("hours", "gap"), [(0, 1), (30, 1), (36, 2), (60, 4), (100, 8), (120, 12), (167.9, 12)])
def test_in_doubt_it_is_read_ever_more_slowly(hours, gap):
    assert schedule.next_read_in_doubt(hours * 3600) == gap * 3600


def test_in_doubt_it_is_read_until_the_file_is_deleted():
    assert schedule.next_read_in_doubt(7 * DAY - 1) is not None
    assert schedule.next_read_in_doubt(7 * DAY) is None


def test_growing():
    assert [schedule.growing(attempts) for attempts in (0, 1, 2, 3, 7, 8, 10**9)] == [5, 5, 10, 20, 300, 300, 300]
    assert schedule.growing(3, first_seconds=1, longest_seconds=3) == 3
