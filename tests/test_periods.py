"""Where days, weeks and months begin and end, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grokvideo_django import periods

BERLIN = ZoneInfo("Europe/Berlin")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")  # until 2019 its clocks skipped the midnight of a Sunday in spring
ST_JOHNS = ZoneInfo("America/St_Johns")  # until 2011 its clocks changed a minute after midnight
TORONTO = ZoneInfo("America/Toronto")  # in 1919 its clocks skipped from 23:30 to 00:30
APIA = ZoneInfo("Pacific/Apia")  # has had no 30 December 2011
AZORES = ZoneInfo("Atlantic/Azores")  # sees midnight twice in autumn
ZONES = [ZoneInfo("UTC"), BERLIN, SAO_PAULO, ST_JOHNS, TORONTO, APIA, AZORES, ZoneInfo("Australia/Lord_Howe")]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def local(zone: ZoneInfo, *parts: int) -> datetime:
    return datetime(*parts, tzinfo=zone)


@pytest.mark.parametrize(
    ("now", "period", "zone", "start", "end"),
    [
        (local(BERLIN, 2026, 7, 5, 12), "day", BERLIN, utc(2026, 7, 4, 22), utc(2026, 7, 5, 22)),
        (local(BERLIN, 2026, 7, 5, 12), "week", BERLIN, utc(2026, 6, 28, 22), utc(2026, 7, 5, 22)),  # a Sunday
        (local(BERLIN, 2026, 7, 5, 12), "month", BERLIN, utc(2026, 6, 30, 22), utc(2026, 7, 31, 22)),
        (local(BERLIN, 2026, 7, 1), "month", BERLIN, utc(2026, 6, 30, 22), utc(2026, 7, 31, 22)),  # its first instant
        (utc(2026, 6, 30, 21, 59), "month", BERLIN, utc(2026, 5, 31, 22), utc(2026, 6, 30, 22)),
        # 23 hours, and 25
        (local(BERLIN, 2026, 3, 29, 12), "day", BERLIN, utc(2026, 3, 28, 23), utc(2026, 3, 29, 22)),
        (local(BERLIN, 2026, 10, 25, 12), "day", BERLIN, utc(2026, 10, 24, 22), utc(2026, 10, 25, 23)),
        (local(BERLIN, 2026, 3, 29, 12), "week", BERLIN, utc(2026, 3, 22, 23), utc(2026, 3, 29, 22)),
        (local(BERLIN, 2026, 10, 25, 12), "month", BERLIN, utc(2026, 9, 30, 22), utc(2026, 10, 31, 23)),
        # 29 February, and the ends of years
        (utc(2028, 2, 29, 12), "day", ZONES[0], utc(2028, 2, 29), utc(2028, 3, 1)),
        (utc(2028, 2, 29, 12), "week", ZONES[0], utc(2028, 2, 28), utc(2028, 3, 6)),
        (utc(2028, 2, 29, 12), "month", ZONES[0], utc(2028, 2, 1), utc(2028, 3, 1)),
        (utc(2027, 2, 28, 23), "month", ZONES[0], utc(2027, 2, 1), utc(2027, 3, 1)),
        (utc(2026, 12, 31, 23, 59), "day", ZONES[0], utc(2026, 12, 31), utc(2027, 1, 1)),
        (utc(2026, 12, 31, 23, 59), "week", ZONES[0], utc(2026, 12, 28), utc(2027, 1, 4)),
        (utc(2026, 12, 31, 23, 59), "month", ZONES[0], utc(2026, 12, 1), utc(2027, 1, 1)),
        # midnight does not exist: the day begins at 01:00, and ends a day of 23 hours later
        (local(SAO_PAULO, 2018, 11, 4, 12), "day", SAO_PAULO, utc(2018, 11, 4, 3), utc(2018, 11, 5, 2)),
        (local(SAO_PAULO, 2018, 11, 3, 12), "day", SAO_PAULO, utc(2018, 11, 3, 3), utc(2018, 11, 4, 3)),
        (local(TORONTO, 1919, 3, 31, 12), "day", TORONTO, utc(1919, 3, 31, 4, 30), utc(1919, 4, 1, 4)),
        # it comes twice: the day begins the first time
        (local(AZORES, 2026, 10, 25, 12), "day", AZORES, utc(2026, 10, 25, 0), utc(2026, 10, 26, 1)),
        # 00:01 becomes 23:01 of the day before, which has ended
        (utc(2010, 11, 7, 2, 45), "day", ST_JOHNS, utc(2010, 11, 7, 2, 30), utc(2010, 11, 8, 3, 30)),
        # the day after the 29th is the 31st
        (utc(2011, 12, 30, 10), "day", APIA, utc(2011, 12, 30, 10), utc(2011, 12, 31, 10)),
        (utc(2011, 12, 30, 9, 59), "day", APIA, utc(2011, 12, 29, 10), utc(2011, 12, 30, 10)),
    ],
)
def test_a_period_begins_and_ends(now, period, zone, start, end):
    assert periods.bounds(now, period, zone) == (start, end)


def test_for_ever_never_ends():
    assert periods.bounds(utc(2026, 1, 1), "forever", BERLIN) == (periods.BEGINNING, None)


def test_the_first_day_of_for_ever_is_the_day_itself():
    assert periods.first_day(date(2026, 7, 5), "forever") == date(2026, 7, 5)


instants = st.datetimes(datetime(1915, 1, 1), datetime(2040, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


@given(now=instants, period=st.sampled_from(["day", "week", "month"]), zone=st.sampled_from(ZONES))
@example(now=utc(2010, 11, 7, 2, 45), period="day", zone=ST_JOHNS)
@example(now=utc(2010, 11, 1, 2, 45), period="month", zone=ST_JOHNS)
@example(now=utc(1919, 3, 31, 4, 45), period="day", zone=TORONTO)
@example(now=utc(2018, 11, 4, 3), period="day", zone=SAO_PAULO)
def test_every_instant_is_in_its_period_and_periods_touch(now, period, zone):
    start, end = periods.bounds(now, period, zone)
    assert start.tzinfo is end.tzinfo is UTC
    assert start <= now < end
    assert periods.bounds(start, period, zone) == (start, end)
    following, _end = periods.bounds(end, period, zone)
    assert following == end
    before, touching = periods.bounds(start - timedelta(microseconds=1), period, zone)
    assert before < start == touching
