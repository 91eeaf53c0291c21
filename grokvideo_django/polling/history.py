"""What the site's own requests tell about completion times, and where that is written down for everybody to see."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet

from ..models import GatewayState, VideoRequest
from . import schedule
from .learning import Forecast, Kind, Sighting
from .schedule import Outlook

HISTORY_VIDEOS: Final = 400
COHORT_VIDEOS: Final = 1000
COHORT_SECONDS: Final = 300.0
"""What was sent so lately tells how fast the gateway is at present."""
CROWD: Final = 1000
"""So many in flight need all the patience there is; more are not counted."""

KIND_COLUMNS: Final = ("model", "operation", "duration_seconds", "resolution")
COLUMNS: Final = (*KIND_COLUMNS, "sent_at", "submitted_at", "last_read_at", "rendered_at")
LATEST_ANSWER: Final = timedelta(minutes=5)
"""What is submitted so long after it was sent was asked about again by a person: its job is older than that."""

Status = VideoRequest.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What is usual for one kind of video: seconds from its submission."""

    first_read: float
    half: float
    """Half of them are ready by then."""
    most: float
    """Nine of ten are."""
    videos: int
    """How many of this kind were seen; 0: a guess."""


def kind_of(request: VideoRequest) -> Kind:
    """What the completion time of a request depends on."""
    return Kind(*(getattr(request, name) for name in KIND_COLUMNS))


def look_ahead(now: datetime, *, per_minute: int) -> Outlook:
    """What is expected of the videos in flight. Three queries, however many requests there are."""
    finished = VideoRequest.objects.filter(rendered_at__isnull=False, submitted_at__isnull=False)
    history = [*_sightings(finished.order_by("-rendered_at")[:HISTORY_VIDEOS])]
    # What has ended without a video says nothing about when a video is ready.
    lately = VideoRequest.objects.filter(submitted_at__gte=now - timedelta(seconds=COHORT_SECONDS))
    lately = lately.filter(status__in=[Status.SUBMITTED, Status.RENDERED, Status.SUCCEEDED])
    cohort = [*_sightings(lately.order_by("-submitted_at")[:COHORT_VIDEOS])]
    in_flight = VideoRequest.objects.filter(status=Status.SUBMITTED).order_by()[:CROWD].count()
    unfinished = [sighting for sighting in cohort if sighting.done_seconds is None]
    return Outlook(
        forecast=Forecast([*history, *unfinished], cohort),
        patience_seconds=schedule.patience(in_flight, per_minute),
    )


def _sightings(rows: QuerySet[VideoRequest]) -> Iterator[Sighting]:
    for *kind, sent_at, submitted_at, seen_at, done_at in rows.values_list(*COLUMNS):
        if sent_at is not None and submitted_at - sent_at > LATEST_ANSWER:
            continue
        seen = 0.0 if seen_at is None else (seen_at - submitted_at).total_seconds()
        done = None if done_at is None else (done_at - submitted_at).total_seconds()
        if seen < 0 or (done is not None and (done <= 0 or done < seen)):  # asked about again, or a clock was set back
            continue
        yield Sighting(Kind(*kind), seen, done)


def publish(outlook: Outlook) -> None:
    """Write down what is usual, for those who submit and for the screen. One query, and another if it has changed."""
    found = {"|".join(map(str, kind)): asdict(_usual(outlook, kind)) for kind in outlook.forecast.kinds}
    rows = GatewayState.objects.filter(pk=GatewayState.PK)
    if found and rows.values_list("usual", flat=True).first() != found:
        rows.update(usual=found)


def _usual(outlook: Outlook, kind: Kind) -> Usual:
    learned = outlook.forecast.of(kind)
    return Usual(
        first_read=schedule.stepped(outlook.first_read(kind)),
        half=_rounded(learned.curve.age_at(0.5)),
        most=_rounded(learned.curve.age_at(0.9)),
        videos=learned.videos,
    )


def _rounded(seconds: float) -> float:
    """As people say it; and what changes seldom is seldom written."""
    return float(f"{seconds:.2g}")


def usual(kind: Kind, state: GatewayState) -> Usual:
    """What is usual for a kind, as last published; a guess for what nobody has seen yet. No query."""
    try:
        found = Usual(**state.usual["|".join(map(str, kind))])
        if all(math.isfinite(value) and value >= 0 for value in astuple(found)):
            return found
    except (KeyError, TypeError):  # not seen, or published by another release
        pass
    return _usual(Outlook(), kind)
