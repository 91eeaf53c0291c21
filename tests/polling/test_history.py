"""What the rows themselves tell, and what is published of it."""

from __future__ import annotations

import math
import random
from datetime import timedelta

import pytest
from django.utils import timezone

from grokvideo_django.models import GatewayState, VideoRequest
from grokvideo_django.polling import history
from grokvideo_django.polling.schedule import Outlook

from ..making import Status, many, put

pytestmark = pytest.mark.django_db

AGES = {"submitted_at": 100, "last_read_at": 60, "rendered_at": 55}


def ago(seconds):
    return timezone.now() - timedelta(seconds=seconds)


def finished(owner, count, median, *, since=3600, **values):
    """As the poller leaves them behind."""
    dice = random.Random(1)
    rows = many(owner, count, Status.SUCCEEDED, due_at=None, **values)
    for row in rows:
        sent = ago(since)
        done = median * math.exp(dice.gauss(0, 0.4))
        row.submitted_at, row.last_read_at = sent, sent + timedelta(seconds=max(0, done - 2))
        row.rendered_at = sent + timedelta(seconds=done + 2)
    VideoRequest.objects.bulk_update(rows, ["submitted_at", "last_read_at", "rendered_at"])
    return rows


def look():
    return history.look_ahead(timezone.now(), per_minute=600)


def half(outlook, row):
    return outlook.forecast.of(history.kind_of(row)).curve.age_at(0.5)


def test_a_new_site_has_the_prior(editor):
    row = put(editor, Status.SUBMITTED)
    assert half(look(), row) == pytest.approx(half(Outlook(), row), rel=0.06)


def test_finished_videos_teach(editor):
    row = finished(editor, 200, 120)[0]
    assert half(look(), row) == pytest.approx(120, rel=0.15)
    assert look().forecast.of(history.kind_of(row)).videos == 200


def test_the_newest_count(editor, monkeypatch):
    monkeypatch.setattr(history, "HISTORY_VIDEOS", 100)
    finished(editor, 100, 400, since=90_000)
    row = finished(editor, 100, 60)[0]
    assert half(look(), row) == pytest.approx(60, rel=0.15)


def test_what_ended_without_a_video_teaches_nothing(editor):
    many(editor, 50, Status.FAILED, due_at=None, submitted_at=ago(100), last_read_at=ago(99))
    assert not list(look().forecast.kinds)


@pytest.mark.parametrize(
    "ages", [{**AGES, "submitted_at": 50}, {**AGES, "last_read_at": 10}, {**AGES, "submitted_at": 55}]
)
def test_what_cannot_be_teaches_nothing(ages, editor):
    """It was sent anew by a decision, or a clock was set back."""
    now = timezone.now()
    moments = {name: now - timedelta(seconds=seconds) for name, seconds in ages.items()}
    many(editor, 20, Status.SUCCEEDED, due_at=None, **moments)
    assert not list(look().forecast.kinds)


def test_what_was_asked_about_again_teaches_nothing(editor):
    """Its job is older than what is now called its submission."""
    now = timezone.now()
    found = {"submitted_at": now - timedelta(seconds=5), "rendered_at": now - timedelta(seconds=3)}
    many(editor, 20, Status.SUCCEEDED, due_at=None, sent_at=now - timedelta(hours=2), **found)
    assert not list(look().forecast.kinds)


def test_what_is_unfinished_now_says_how_fast_the_gateway_is(editor):
    row = finished(editor, 200, 45)[0]
    many(editor, 100, submitted_at=ago(200), last_read_at=ago(2))
    assert look().forecast.load > 2
    assert half(look(), row) > 90


def test_patience_grows_with_what_is_in_flight(editor):
    assert look().patience_seconds == pytest.approx(0.3)
    many(editor, 120)
    assert look().patience_seconds == pytest.approx(0.5)
    assert history.look_ahead(timezone.now(), per_minute=60_000).patience_seconds == pytest.approx(0.3)


@pytest.mark.parametrize("count", [3, 60])
def test_it_takes_three_queries(count, editor, django_assert_num_queries):
    finished(editor, count, 45)
    many(editor, count)
    with django_assert_num_queries(3):
        look()


def test_what_is_usual_is_published_once(editor, django_assert_num_queries):
    GatewayState.objects.ensure()
    row = finished(editor, 200, 45)[0]
    outlook = look()
    with django_assert_num_queries(2):
        history.publish(outlook)
    with django_assert_num_queries(1):
        history.publish(outlook)
    usual = history.usual(history.kind_of(row), GatewayState.objects.current())
    assert (usual.videos, usual.half) == (200, pytest.approx(45, rel=0.1))
    assert usual.first_read < usual.half < usual.most


def test_what_was_never_seen_is_guessed_and_says_so(editor):
    row = put(editor, Status.SUBMITTED)
    usual = history.usual(history.kind_of(row), GatewayState.objects.current())
    assert usual.videos == 0
    assert 3 <= usual.first_read < usual.half < usual.most


@pytest.mark.parametrize(
    "found",
    [
        {"half": 45},
        {"half": 45, "other": 1},
        None,
        [45],
        {"first_read": None, "half": 45, "most": 80, "videos": 3},
        {"first_read": -5, "half": 45, "most": 80, "videos": 3},
    ],
)
def test_what_another_release_published_is_no_trouble(found, editor):
    row = put(editor, Status.SUBMITTED)
    state = GatewayState(usual={"|".join(map(str, history.kind_of(row))): found})
    assert history.usual(history.kind_of(row), state).videos == 0


def test_nothing_is_published_of_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        history.publish(Outlook())
