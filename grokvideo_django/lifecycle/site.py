"""Transitions of the site as a whole: the pause of its submissions, and the lease of the tick."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import F, Q

from .. import conf, transactions
from ..models import GatewayState, VideoRequest
from .transition import Status, alert

FIRST_PROBE_SECONDS: Final = 15
LONGEST_PROBE_SECONDS: Final = 300

REASONS: Final = {
    401: "The gateway does not accept this site's key.",
    402: "The site's wallet at the gateway is empty.",
    403: "The gateway's key may not be used for this.",
}


def _row() -> GatewayState:
    GatewayState.objects.ensure()
    return GatewayState(pk=GatewayState.PK)


def probe_seconds(probes: int) -> int:
    """How long to wait for the next probe: 15 s, doubling, at most 5 minutes."""
    return int(min(FIRST_PROBE_SECONDS * 2 ** min(probes, 10), LONGEST_PROBE_SECONDS))


def pause(now: datetime, *, status: int, message: str) -> None:
    """Stop submitting for the whole site. Alerts once; a pause that is on keeps its beginning."""
    reason = (
        f"{REASONS.get(status, 'The gateway refuses this site.')} It says: {message}" if message else REASONS[status]
    )
    rows = GatewayState.objects.filter(pk=_row().pk)

    def work() -> bool:
        words = {"pause_status": status, "pause_reason": reason, "updated_at": now}
        first = now + timedelta(seconds=FIRST_PROBE_SECONDS)
        began = rows.filter(paused_since__isnull=True).update(paused_since=now, probes=0, probe_at=first, **words)
        if not began:
            rows.update(**words)
        return bool(began)

    if transactions.run(work):
        alert("Submissions to the gateway are paused (HTTP %s). %s They resume by themselves.", status, reason)


def claim_probe(now: datetime) -> bool:
    """Whether the caller may try one submission although the site is paused. One caller at a time gets it."""
    state = GatewayState.objects.current()
    later = now + timedelta(seconds=probe_seconds(state.probes + 1))
    rows = GatewayState.objects.filter(pk=state.pk, paused_since__isnull=False, probe_at__lte=now, probes=state.probes)
    return bool(transactions.update(rows, probe_at=later, probes=F("probes") + 1))


def resume(now: datetime, *, after: int | None = None) -> bool:
    """End the pause: the gateway accepts again. Waiting requests go now, and the pause did not age them.

    ``after`` ends only a pause for that HTTP status: a read that works proves the key, but not the wallet.
    """
    state = GatewayState.objects.current()
    since = state.paused_since
    if since is None or after not in {None, state.pause_status}:
        return False

    def work() -> bool:
        rows = GatewayState.objects.filter(pk=state.pk, paused_since=since)
        if not rows.update(paused_since=None, pause_status=None, pause_reason="", probe_at=None, probes=0):
            return False
        queued = VideoRequest.objects.filter(status=Status.QUEUED)
        whole_age = timedelta(seconds=conf.current().MAX_QUEUE_AGE)
        queued.filter(queued_at__lt=since).update(queue_expires_at=F("queue_expires_at") + (now - since), due_at=now)
        queued.filter(queued_at__gte=since).update(queue_expires_at=now + whole_age, due_at=now)
        return True

    resumed = transactions.run(work)
    if resumed:
        alert("Submissions to the gateway have resumed after a pause since %s.", since)
    return resumed


def acquire_tick(now: datetime, *, seconds: float) -> int | None:
    """Take the tick's lease; its fencing token, or None while another has it."""
    GatewayState.objects.ensure()

    def work() -> int | None:
        free = Q(tick_lease_until__isnull=True) | Q(tick_lease_until__lt=now)
        rows = GatewayState.objects.filter(free, pk=GatewayState.PK)
        until = now + timedelta(seconds=seconds)
        if not rows.update(tick_token=F("tick_token") + 1, tick_lease_until=until, ticked_at=now):
            return None
        return GatewayState.objects.values_list("tick_token", flat=True).get(pk=GatewayState.PK)

    return transactions.run(work)


def renew_tick(token: int, now: datetime, *, seconds: float) -> bool:
    """Keep the lease; False when another took it in the meantime."""
    rows = GatewayState.objects.filter(pk=GatewayState.PK, tick_token=token, tick_lease_until__isnull=False)
    return bool(transactions.update(rows, tick_lease_until=now + timedelta(seconds=seconds), ticked_at=now))


def release_tick(token: int) -> None:
    """Give the lease back, if it is still ours."""
    transactions.update(GatewayState.objects.filter(pk=GatewayState.PK, tick_token=token), tick_lease_until=None)
