"""The end of a random run: quiet, a person decides what is in doubt, and then everything must be explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

import pytest

from grokvideo_django import reconcile, services
from grokvideo_django.models import VideoRequest

from . import words

if TYPE_CHECKING:
    from .conftest import Site

Status = VideoRequest.Status

BY_FAULTS = {"worker_died", "lost"}
"""Error codes of a doubt that any request may fall into when a worker is killed, or a connection cut, at the POST."""


class Settling:
    """Waits, decides and judges."""

    def __init__(self, site: Site, requests: list[tuple[VideoRequest, str]]) -> None:
        self.site = site
        self.requests = requests
        self.posts = 0
        """Accepted by the gateway, of all requests."""
        self.before: dict[int, tuple[str, str]] = {}
        """Status and error code of each request before anybody decided."""

    def settle(self, *, seconds: float) -> None:
        """Everything: raises AssertionError, with all that is known, for whatever is not as it should be."""
        self.site.sandbox.finish()
        self.wait_for_quiet(seconds=seconds)
        self._read()
        self.before = {request.pk: (request.status, request.error_code) for request, _word in self.requests}
        problems = [words for request, word in self.requests for words in self._misplaced(request, word)]
        self._fail_with(problems)
        self.decide()
        self.wait_for_quiet(seconds=seconds)
        self._read()
        self._fail_with([words for request, _word in self.requests for words in self._unpaid_or_paid_twice(request)])
        self._fail_with([str(finding) for finding in reconcile.findings()])
        self.site.assert_settled()

    def wait_for_quiet(self, *, seconds: float) -> None:
        """Nothing waits any more, but for what is in doubt."""

        def quiet() -> bool:
            self.site.sandbox.finish()
            self.site.fleet.supervise()
            self.site.hurry()
            self.site.ring_again_soon()
            self.site.probe_soon()
            self.site.let_dead_submissions_run_out()
            return not VideoRequest.objects.in_flight().exclude(status=Status.IN_DOUBT).exists()

        self.site.wait_for("quiet", quiet, seconds=seconds, pause=0.3)

    def decide(self) -> None:
        """A person looks at the gateway's dashboard. Nothing is on its way there any more."""
        jobs = {job.accepted.idempotency_key: job for job in self.site.sandbox.jobs.values()}
        for request, _word in self.requests:
            if request.status == Status.IN_DOUBT:
                job = jobs.get(request.key)
                if job is None:
                    services.resolve(request, "release", actor="a manager", reason="no such job there")
                elif request.error_code == "media":
                    services.resolve(request, "charge", actor="a manager", reason="paid for, but no video")
                else:
                    services.resolve(request, "attach", actor="a manager", reason="seen there", gateway_job_id=job.id)

    def tally(self, pks: Collection[int] | None = None) -> dict[str, int]:
        """How often which end, of all or of some; what a person had to decide counts as that."""
        ends = [self.before[request.pk][0] for request, _word in self.requests if pks is None or request.pk in pks]
        return dict(sorted(Counter(str(Status(end).value) for end in ends).items()))

    def words(self) -> dict[str, dict[str, int]]:
        """How often which end, by word."""
        found: dict[str, Counter[str]] = {}
        for request, word in self.requests:
            found.setdefault(word, Counter())[self.before[request.pk][0]] += 1
        return {word: dict(ends) for word, ends in found.items()}

    def _read(self) -> None:
        for request, _word in self.requests:
            request.refresh_from_db()
        accepted = Counter(post.idempotency_key for post in self.site.sandbox.accepted)
        self.posts = accepted.total()
        self._accepted = accepted

    def _misplaced(self, request: VideoRequest, word: str) -> list[str]:
        """Where it is, against what its word and its history allow."""
        kinds = {event.kind for event in request.events.all()}
        allowed = set(words.ENDS[word])
        if kinds & {"cancel_requested", "canceled"}:
            allowed.add(Status.CANCELED)
        if request.error_code in BY_FAULTS:
            allowed.add(Status.IN_DOUBT)
        if request.status in allowed:
            return []
        return [f"request {request.pk} ({word!r}) is {request.status} ({request.error_code}), not {sorted(allowed)}"]

    def _unpaid_or_paid_twice(self, request: VideoRequest) -> list[str]:
        posts = self._accepted[request.key]
        kinds = Counter(event.kind for event in request.events.all())
        endings = sum(kinds[ending] for ending in ("succeeded", "canceled", "gateway_failed", "too_old", "refused"))
        problems = []
        if not request.is_ended:
            problems.append(f"it is {request.status}")
        if posts > 1 or (request.status == Status.SUCCEEDED and posts != 1):
            problems.append(f"it is {request.status} and was accepted {posts} times")
        if endings > 1:
            problems.append(f"it ended {endings} times: {dict(kinds)}")
        if request.status in {Status.FAILED, Status.CANCELED} and self._was_made(request):
            problems.append("it was released although the gateway has a video of it")
        if request.status == Status.SUCCEEDED:
            self.site.assert_attached(request)
        return [f"request {request.pk}: {words}" for words in problems]

    def _was_made(self, request: VideoRequest) -> bool:
        """Whether the gateway has a video that nobody paid for here."""
        if request.charged_credits:
            return False
        jobs = [job for job in self.site.sandbox.jobs.values() if job.accepted.idempotency_key == request.key]
        return any(self.site.sandbox.status(job.id) == "completed" for job in jobs)

    def _fail_with(self, problems: list[str]) -> None:
        if problems:
            pytest.fail("\n".join([*problems, self.site.report()]), pytrace=False)
