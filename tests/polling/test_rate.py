"""The site's request budget, with a real Redis and its real clock."""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from itertools import pairwise

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from grokvideo_django import conf
from grokvideo_django.gateway import RateLimit
from grokvideo_django.polling import rate
from grokvideo_django.polling.rate import RateGate

from ..timing import about


@pytest.fixture
def client(redis_server):
    with redis.Redis.from_url(redis_server.url) as connection:
        yield connection


@pytest.fixture
def gate(client):
    def make(per_minute=600, api_key="sk-aig-one"):
        return RateGate(client, api_key=api_key, per_minute=per_minute)

    return make


@pytest.fixture
def nowhere():
    """A Redis that refuses every connection."""
    with redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0)) as connection:
        yield connection


def all_of(gate, kind="read"):
    return gate.take(10**6, kind).granted


def clock(client):
    seconds, micros = client.time()
    return seconds + micros / 1e6


def most_in_any_window(moments, seconds):
    """``moments`` are sorted; the window is half-open, as a sliding one is."""
    return max(bisect_left(moments, start + seconds) - at for at, start in enumerate(moments))


# -- the limit


@settings(max_examples=25)
@given(
    limit=st.sampled_from([1, 2, 10, 60, 600, 3000]),
    steps=st.lists(st.tuples(st.sampled_from([0.0, 0.05, 1.0, 7.0, 30.0, 61.0]), st.integers(1, 200)), max_size=40),
)
def test_no_window_of_a_minute_has_more_than_the_limit(limit, steps, gate, client):
    """Time passes by moving the one number that Redis keeps."""
    client.flushall()
    mine, now, moments = gate(limit), 0.0, []
    began = clock(client)
    for pause, wanted in steps:
        now += pause
        if (kept := client.get(mine._keys[0])) is not None:
            client.set(mine._keys[0], f"{float(kept) - pause * 1000:.3f}")
        before = clock(client) - began
        moments += [now + before] * mine.take(wanted, "read").granted
    if moments:
        assert most_in_any_window(moments, 59.9) <= limit


@pytest.mark.parametrize(("limit", "burst"), [(1, 1), (10, 1), (99, 1), (100, 2), (600, 12), (1000, 20)])
def test_the_first_burst_is_a_fiftieth_of_the_limit(limit, burst, gate):
    assert all_of(gate(limit)) == burst
    permit = gate(limit).take(1, "read")
    assert permit.granted == 0
    assert 0 < permit.wait_seconds <= 60 / max(1, limit - burst) + 0.002


def test_it_never_grants_more_than_the_limit_over_any_window(gate, client):
    """12,000 a minute for two seconds: 240 at once, then 196 a second."""
    mine, takes = gate(12_000), []
    end = clock(client) + 2
    while (before := clock(client)) < end:
        granted = mine.take(7, "read").granted
        takes.append((before, granted, clock(client)))
    allowed = 240 + (takes[-1][2] - takes[0][0]) * 196
    assert sum(granted for _before, granted, _after in takes) >= allowed * 0.9
    for first, (began, _granted, _after) in enumerate(takes):
        in_window = 0
        for _before, granted, ended in takes[first:]:
            in_window += granted
            assert in_window <= 240 + (ended - began) * 196 + 1


def test_the_next_is_granted_after_the_time_that_was_named(gate):
    mine = gate(3000)
    all_of(mine)
    permit = mine.take(1, "read")
    time.sleep(permit.wait_seconds)
    assert mine.take(1, "read").granted == 1


def test_all_that_is_granted_moves_the_next_by_its_interval(gate, client):
    mine = gate(600)
    before = clock(client)
    assert mine.take(5, "read").granted == 5
    next_at = float(client.get(mine._keys[0])) / 1000
    assert next_at - before == pytest.approx(5 * 60 / 588, abs=0.05)
    assert 1 <= client.pttl(mine._keys[0]) <= 5 * 60_000 / 588 + 1100


def test_two_gates_of_a_key_share_and_other_keys_have_their_own(gate):
    assert gate(600).take(8, "read").granted == 8
    assert gate(600).take(8, "read").granted == 4
    assert gate(600, api_key="sk-aig-two").take(8, "read").granted == 8


def test_no_key_is_written_to_redis(gate, client):
    mine = gate(600, api_key="sk-aig-secret")
    mine.take(1, "submit")
    mine.block(5)
    mine.learn(RateLimit(limit=10))
    assert len(client.keys("*")) == 7
    assert not [name for name in client.keys("*") if b"secret" in name]


@pytest.mark.parametrize("wanted", [0, -1])
def test_wanting_nothing_asks_nobody(wanted, nowhere):
    permit = RateGate(nowhere, api_key="k", per_minute=1).take(wanted, "read")
    assert (permit.granted, permit.wait_seconds) == (0, 0)


def test_a_limit_of_nothing_is_one(gate):
    assert all_of(gate(0)) == 1


# -- turns


@pytest.mark.parametrize("kinds", [("read", "submit"), ("submit", "read")])
def test_submissions_and_reads_take_turns(kinds, gate, client):
    """Both wait all the time, and each time there is room for one."""
    mine, order = gate(2), []
    all_of(mine)
    for _minute in range(8):
        client.delete(mine._keys[0])
        order += [kind for kind in (*kinds, *kinds) if mine.take(1, kind).granted]
    assert order[-6:] in (["read", "submit"] * 3, ["submit", "read"] * 3)
    assert len(order) == 8


def test_a_submission_that_waits_goes_before_the_next_read(gate, client):
    mine = gate(600)
    all_of(mine, "read")
    assert mine.take(1, "submit").granted == 0
    client.delete(mine._keys[0])  # there is room again
    assert mine.take(5, "read").granted == 0
    assert mine.take(1, "submit").granted == 1
    assert mine.take(5, "read").granted == 5


def test_a_read_goes_between_two_submissions(gate, client):
    mine = gate(600)
    all_of(mine, "submit")
    assert mine.take(1, "submit").granted == 0
    client.delete(mine._keys[0])
    assert mine.take(1, "read").granted == 1
    assert mine.take(1, "read").granted == 0
    assert mine.take(1, "submit").granted == 1


def test_a_submission_that_gave_up_does_not_stop_reads_for_ever(gate, client):
    mine = gate(600)
    all_of(mine, "read")
    mine.take(1, "submit")
    assert 0 < client.pttl(mine._keys[3]) <= 15_000


def test_reads_that_gave_up_do_not_stop_submissions_for_long(gate, client):
    """A worker that is alone with the queue does not ask for reads while it waits for its turn to submit."""
    mine = gate(600)
    all_of(mine, "submit")
    mine.take(1, "read")
    assert 0 < client.pttl(mine._keys[4]) <= 1500
    slow = gate(10, api_key="sk-aig-free")
    all_of(slow, "submit")
    slow.take(1, "read")
    assert 10_000 < client.pttl(slow._keys[4]) <= 15_000


# -- what the gateway says


def test_a_block_stops_everything_for_its_time(gate, client):
    mine = gate(600)
    mine.block(30)
    for kind in ("read", "submit"):
        permit = mine.take(1, kind)
        assert permit.granted == 0
        assert permit.wait_seconds == about(30)
    assert client.pttl(mine._keys[1]) / 1000 == about(30)


def test_a_block_ends(gate):
    mine = gate(600)
    mine.block(0.05)
    assert mine.take(1, "read").granted == 0
    time.sleep(0.06)
    assert mine.take(1, "read").granted == 1


def test_no_block_is_longer_than_an_hour(gate):
    mine = gate()
    mine.block(86_400)
    assert mine.take(1, "read").wait_seconds == pytest.approx(3600, abs=5)


def test_a_shorter_block_does_not_end_a_longer_one(gate):
    mine = gate(600)
    mine.block(30)
    mine.block(1)
    assert mine.take(1, "read").wait_seconds == about(30)
    mine.block(60)
    assert mine.take(1, "read").wait_seconds == about(60)


def test_a_lower_limit_is_learned_for_ten_minutes(gate, client):
    mine = gate(600)
    mine.learn(RateLimit(limit=100))
    permit = mine.take(10**6, "read")
    assert (permit.granted, permit.per_minute) == (2, 100)
    assert 590 < client.ttl(mine._keys[2]) <= 600


@pytest.mark.parametrize("limit", [None, 0, -5, 600, 601])
def test_no_other_limit_is_learned(limit, gate):
    mine = gate(600)
    mine.learn(RateLimit(limit=limit))
    mine.learn(None)
    assert all_of(mine) == 12


# -- others with the same key


def test_a_refusal_halves_the_pace(gate):
    mine = gate(600)
    mine.block(0.05)
    time.sleep(0.06)
    permit = mine.take(10**6, "read")
    assert (permit.granted, permit.per_minute) == (6, pytest.approx(300, abs=1))


def test_of_many_refusals_at_once_only_the_first_counts(gate):
    mine = gate(600)
    for _answer in range(50):
        mine.block(30)
    assert mine.take(1, "read").per_minute == pytest.approx(300, abs=1)


def test_refusals_one_after_the_other_halve_it_again_down_to_one(gate):
    mine = gate(10)
    paces = []
    for _time in range(5):
        mine.block(0.01)
        time.sleep(0.015)
        paces.append(mine.take(1, "read").per_minute)
    assert paces == [5, 2, 1, 1, 1]


def test_the_pace_doubles_every_ten_minutes_until_it_is_whole(gate, client):
    """Time passes by moving the moment that Redis keeps."""
    mine = gate(600)
    mine.block(0.01)
    time.sleep(0.015)
    begun = float(client.get(mine._keys[7]))
    paces = []
    for minutes in (0, 5, 9.99, 20):
        client.set(mine._keys[7], begun - minutes * 60_000)
        paces.append(mine.take(1, "read").per_minute)
    assert paces == [pytest.approx(300, abs=1), pytest.approx(424, abs=1), pytest.approx(599, abs=1), 600]
    assert 0 < client.pttl(mine._keys[6]) <= 600_000


@pytest.mark.parametrize(
    ("seen", "seconds"),
    [
        (RateLimit(limit=600, remaining=0, reset_seconds=20), 20),
        (RateLimit(remaining=0, reset_seconds=3600), 60),
        (RateLimit(remaining=0), 0),
        (RateLimit(remaining=1, reset_seconds=20), 0),
    ],
)
def test_nothing_goes_out_until_the_reset_when_nothing_is_left(seen, seconds, gate):
    mine = gate(600)
    mine.learn(seen)
    permit = mine.take(1, "read")
    assert permit.per_minute == 600
    assert permit.granted == (0 if seconds else 1)
    assert not seconds or permit.wait_seconds == about(seconds)


def test_an_emptied_redis_grants_one_burst_more(gate, client):
    mine = gate(600)
    assert all_of(mine) == 12
    client.flushall()
    assert all_of(mine) == 12
    assert all_of(mine) == 0


# -- without Redis


def test_without_redis_each_process_paces_itself_and_says_so(nowhere, caplog):
    mine = RateGate(nowhere, api_key="sk-aig-alone", per_minute=1200)
    granted = []
    while len(granted) < 8:
        before = time.monotonic()
        permit = mine.take(50, "read")
        granted += [(before, time.monotonic())] * permit.granted
        if not permit.granted:
            assert permit.wait_seconds <= 0.05
            time.sleep(permit.wait_seconds)
    assert all(after - before >= 0.05 for (before, _), (_, after) in pairwise(granted))
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert "paces its requests alone" in caplog.text


def test_without_redis_a_low_limit_is_kept_too(nowhere):
    first, second = (RateGate(nowhere, api_key="sk-aig-slow", per_minute=6) for _ in range(2))
    assert first.take(5, "read").granted == 1
    permit = second.take(5, "submit")
    assert (permit.granted, permit.wait_seconds) == (0, about(10))


def test_without_redis_nothing_is_learned_or_blocked_and_nothing_raises(nowhere, caplog):
    mine = RateGate(nowhere, api_key="k", per_minute=60)
    mine.block(5)
    mine.learn(RateLimit(limit=5))
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


def test_the_gate_of_the_site(settings, redis_server):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "REQUESTS_PER_MINUTE": 100}
    assert all_of(rate.gate()) == 2
    assert rate.gate()._keys == RateGate(rate.queue.connection(), api_key=conf.current().API_KEY, per_minute=1)._keys
