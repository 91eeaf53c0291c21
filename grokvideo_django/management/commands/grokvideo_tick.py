"""``manage.py grokvideo_tick``: one tick and sweep at once, for cron or for a person."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import Count, Max
from django.utils import timezone

from grokvideo_django import jobs, queue
from grokvideo_django.models import GatewayState, VideoRequest, VideoRequestEvent


class Command(BaseCommand):
    """One round, without waiting for anything."""

    help = "Ask once about all videos that are due, and look after every request that nobody looks after."

    def handle(self, **_options: Any) -> None:
        """Tick, and say what happened."""
        trouble = queue.trouble()
        if trouble is not None:
            self.stderr.write(
                f"Redis cannot be reached ({trouble}). Finished videos are noticed, but nothing is sent or downloaded "
                "until it answers; nothing is lost."
            )
        due = VideoRequest.objects.due(timezone.now()).count()
        newest = VideoRequestEvent.objects.aggregate(pk=Max("pk"))["pk"] or 0
        if not jobs.tick(loop_seconds=0):
            self.stdout.write("Another worker is ticking: it has the lease, and does the same work. Nothing was done.")
            return
        self.stdout.write(f"{due} due. {self._events(newest)} {self._left()}")

    def _events(self, after: int) -> str:
        """What was written in the meantime, by kind."""
        new = VideoRequestEvent.objects.filter(pk__gt=after).order_by("kind").values_list("kind")
        counts = [f"{count} {kind}" for kind, count in new.annotate(count=Count("pk"))]
        return f"What happened: {', '.join(counts)}." if counts else "Nothing happened."

    def _left(self) -> str:
        state = GatewayState.objects.current()
        by = f" by {state.paused_by}" if state.is_paused_by_hand else ""
        paused = f" Submissions are paused{by}: {state.pause_reason}" if state.is_paused else ""
        return f"{VideoRequest.objects.in_flight().count()} in flight.{paused}"
