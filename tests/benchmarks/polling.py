"""How late videos are seen, and what that costs in reads: the real poller beside its peers, and a bound.

A number of videos is asked for at once, with a paid key's 600 requests a minute, in real time: the constants of polling
are seconds, so faster clocks would not be honest. Every client meets a sandbox of its own, in a process of its own,
with the same completion times (``videos``). Clients that do not hinder each other run at the same time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from grokvideo_django.processes import leashed

from .. import settings as test_settings
from . import bound, ours, peers, videos
from .figures import HEAD, Figures, against, line, seen
from .stage import rich_user, stage, surroundings, table
from .videos import Times

CLIENTS = {
    "ours": "the real poller, on a site with 300 ended requests",
    "ours-new": "the real poller, on a site with none",
    "interval": "every 5 s, through our request budget",
    "patched": "the vendor's loop, patched to wait for Retry-After and to outlive a 304",
    "sdk": "the vendor's loop as it is",
    "sdk-no-304": "the same before a gateway that never answers 304",
}
WEIGHTS = {"ours": 3, "ours-new": 3, "interval": 1, "patched": 2, "sdk": 2, "sdk-no-304": 2}
"""Of one video: RQ's forks take processor time, and so do the vendor's loops, which all begin at once."""
WAVE = 1_200
"""The weight of what runs at the same time; what is heavier runs alone."""
BESIDE = ("patched", "interval", "sdk")
NO_LATER = "greedy: the best that posts no later"
NO_MORE = "greedy: the best that posts no later and reads no more"
TOLD_EVERY_SECONDS = 20.0

Run = tuple[str, int]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="polling")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[10, 100, 300, 600], help="also 2000, by itself")
    parser.add_argument("--client", nargs="+", choices=list(CLIENTS), default=list(CLIENTS))
    parser.add_argument("--seed", default="1")
    parser.add_argument("--median", type=float, default=videos.MEDIAN_SECONDS, help="seconds that a video takes")
    parser.add_argument("--workers", type=int, default=1, help="stock rqworkers of ours")
    parser.add_argument("--read-interval", type=float, default=videos.READ_INTERVAL_SECONDS, help="304 within it")
    parser.add_argument("--one-by-one", action="store_true", help="nothing runs at the same time")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)  # a child: prints its figures as JSON
    options = parser.parse_args(arguments)
    if options.alone:
        print(alone(options.client[0], options.in_flight[0], options).dump())
        return
    try:
        broken = compare(options)
    finally:
        shutil.rmtree(test_settings.SCRATCH, ignore_errors=True)
    if broken:
        sys.exit(f"These came to no end: {', '.join(f'{client} at {count}' for client, count in broken)}")


def compare(options: argparse.Namespace) -> list[Run]:
    """Run everything and print the tables; returns what broke."""
    found: dict[Run, Figures] = {}
    broken: list[Run] = []
    runs = [(client, count) for count in options.in_flight for client in options.client]
    for wave in waves(runs, one_by_one=options.one_by_one):
        for run, figures in together(wave, options):
            if figures is None:
                broken.append(run)
            else:
                found[run] = figures
                late = f", {figures.mean_delay:.1f} s late, {figures.reads_each:.1f} reads a video"
                say(f"{run[0]} at {run[1]}: {figures.delivered} delivered{late if figures.delays else ''}")
    report(found, options)
    return broken


def waves(runs: Sequence[Run], *, one_by_one: bool) -> list[list[Run]]:
    """What runs at the same time: the heaviest first, and the lighter ones where there is room."""
    made: list[tuple[int, list[Run]]] = []
    for client, count in sorted(runs, key=lightness):
        weight = -lightness((client, count))
        place = next((n for n, (sum_, _) in enumerate(made) if sum_ + weight <= WAVE and not one_by_one), None)
        if place is None:
            made.append((weight, [(client, count)]))
        else:
            made[place] = made[place][0] + weight, [*made[place][1], (client, count)]
    return [wave for _, wave in made]


def lightness(run: Run) -> int:
    """What a run weighs, negative: the order in which they are run."""
    client, count = run
    return -WEIGHTS[client] * count


def together(wave: Sequence[Run], options: argparse.Namespace) -> Iterator[tuple[Run, Figures | None]]:
    """The figures of runs that go on at the same time, each in a process of its own; None of one that broke."""
    say("running " + ", ".join(f"{client} at {count}" for client, count in wave))
    processes = [child(run, options) for run in wave]
    try:
        for run, process in zip(wave, processes, strict=True):
            answer, _ = process.communicate()
            yield run, None if process.returncode else Figures.load(answer.splitlines()[-1])
    finally:  # when this one is stopped, so are they; and they clear away what they made
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def child(run: Run, options: argparse.Namespace) -> subprocess.Popen[str]:
    """This program for one run. Its session is its own: Ctrl-C reaches it through us, once."""
    client, count = run
    command = [sys.executable, "-m", "tests.benchmarks", "polling", "--alone", "--client", client]
    command += ["--in-flight", str(count), "--seed", options.seed, "--median", str(options.median)]
    command += ["--workers", str(options.workers)]
    command += ["--read-interval", str(options.read_interval), "--database", os.environ["GROKVIDEO_TEST_DATABASE"]]
    own = {"GROKVIDEO_TEST_SCRATCH", "GROKVIDEO_TEST_NAME", "GROKVIDEO_TEST_REDIS"}
    return subprocess.Popen(
        leashed(command),
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if name not in own},
        start_new_session=True,
    )


def alone(client: str, count: int, options: argparse.Namespace) -> Figures:
    """One client with so many videos, in this process."""
    seconds = Times(options.median).draw(count, options.seed)
    told = Progress(client, count)
    if client.startswith("ours"):
        return real(client, seconds, told, options)
    interval = 0.0 if client == "sdk-no-304" else options.read_interval
    wait = {"interval": peers.interval, "patched": peers.patched}.get(client, peers.sdk)
    with surroundings(videos.gateway_options(interval)) as gateway:
        found = wait(gateway, videos.prompts(seconds), told)
        return seen(gateway.state(), found, client=client, in_flight=count)


def real(client: str, seconds: Sequence[float], told: Progress, options: argparse.Namespace) -> Figures:
    """The real poller."""
    limits = videos.gateway_options(options.read_interval)
    with stage(limits, REQUESTS_PER_MINUTE=videos.REQUESTS_PER_MINUTE) as gateway:
        owner = rich_user()
        if client == "ours":
            ours.remember(owner, Times(options.median), options.seed)
        found = ours.waited_for(
            videos.prompts(seconds), told, owner=owner, workers=options.workers, longest_seconds=max(seconds)
        )
        return seen(gateway.state(), found, client=client, in_flight=len(seconds))


class Progress:
    """Says now and then how far a run has come, on the standard error."""

    def __init__(self, client: str, count: int) -> None:
        self._name = f"{client} at {count}"
        self._count = count
        self._began_at = self._next_at = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now >= self._next_at and done < self._count:
            self._next_at = now + TOLD_EVERY_SECONDS
            say(f"{self._name}: {done} after {now - self._began_at:.0f} s")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def report(found: dict[Run, Figures], options: argparse.Namespace) -> None:
    """The tables: all clients and the bound; what the bound reaches with fewer reads; ours beside the others."""
    times = Times(options.median)
    asked = {count: times.draw(count, options.seed) for count in sorted(options.in_flight)}
    bounds = {count: [bound.best(seconds, posts, times) for posts in bound.POSTS] for count, seconds in asked.items()}
    lines = []
    for count in asked:
        lines += [found[run] for run in ((client, count) for client in options.client) if run in found]
        lines += bounds[count]
    print(f"Videos asked for at once, {videos.REQUESTS_PER_MINUTE} requests a minute, seed {options.seed}.\n")
    table(HEAD, map(line, lines))
    print("\nThe bound with slots left empty.\n")
    table(HEAD, [line(figures) for seconds in asked.values() for figures in bound.pareto(seconds, "turns", times)])
    print("\nOurs divided by the others'.\n")
    ratios = []
    for count, seconds in asked.items():
        mine = [found[client, count] for client in ("ours", "ours-new") if (client, count) in found]
        others = [found[client, count] for client in BESIDE if (client, count) in found]
        for one in mine:
            prompt = replace(bound.no_later(seconds, one, times), client=NO_LATER)
            sparing = replace(bound.no_more(seconds, one, times), client=NO_MORE)
            ratios += [against(one, other) for other in [*others, *bounds[count], prompt, sparing] if other.delivered]
    table(["in flight", "ours", "beside", "mean delay", "reads a video"], ratios)
