"""Transitions of the site as a whole: the pause of its submissions, and the lease of the tick."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_noop

from .. import conf, signals, transactions
from ..credits.entries import Actor, name_of
from ..models import GatewayState, VideoRequest
from .transition import Status, alert, log

FIRST_PROBE_SECONDS: Final = 15
LONGEST_PROBE_SECONDS: Final = 300
FLAPPING: Final = timedelta(minutes=10)
"""The same pause again so soon after the last is no news: it alerts only if it lasts as long, or comes too often."""
LOUD_FLAPS: Final = 3
BY_CODE: Final = "the site's code"
FAR_SECONDS: Final = 60.0
"""A tick's lease is for seconds. One that ends so far ahead was taken by a clock that was wrong."""

REASONS: Final = {
    401: gettext_noop("The gateway does not accept this site's key."),
    402: gettext_noop("The site's wallet at the gateway is empty."),
    403: gettext_noop("The gateway's key may not be used for this."),
}
"""Stored in English, shown in the reader's language."""
UNKNOWN_REASON: Final = gettext_noop("The gateway refuses this site.")


def _row() -> GatewayState:
    GatewayState.objects.ensure()
    return GatewayState(pk=GatewayState.PK)


def probe_seconds(probes: int) -> int:
    """How long to wait for the next probe: 15 s, doubling, at most 5 minutes."""
    return int(min(FIRST_PROBE_SECONDS * 2 ** min(probes, 10), LONGEST_PROBE_SECONDS))


def pause(now: datetime, *, status: int, message: str) -> None:
    """Stop submitting for the whole site, because the gateway refuses it.

    Alerts once: not for a pause that is on (it keeps its beginning, or stays a pause by hand), and not for the same
    again soon after the last, unless that lasts (``announce``) or keeps coming back.
    """
    reason = REASONS.get(status, UNKNOWN_REASON)
    if message:
        reason = f"{reason} It says: {message}"
    rows = GatewayState.objects.filter(pk=_row().pk)
    state = GatewayState.objects.current()
    recent = state.resumed_at is not None and now - state.resumed_at < FLAPPING
    again = recent and state.resumed_status == status
    flaps = state.flaps + 1 if again else 0
    news = not again or (flaps >= LOUD_FLAPS and not state.is_announced)
    announced = {"is_announced": True} if news else {}
    words = {"pause_status": status, "pause_reason": reason, "updated_at": now}

    def work() -> bool:
        began = rows.filter(paused_since__isnull=True).update(
            paused_since=now,
            probes=0,
            probe_at=now + timedelta(seconds=probe_seconds(flaps)),
            let_one_through=False,
            flaps=flaps,
            **announced,
            **words,
        )
        if not began:
            rows.filter(paused_by="").update(**words)
        return bool(began)

    if transactions.run(work):
        signals.send_after_commit(signals.gateway_paused, GatewayState, status=status, reason=reason)
        if news:
            _announce(status, reason)


def _announce(status: int | None, reason: str) -> None:
    alert("Submissions to the gateway are paused (HTTP %s). %s They resume by themselves.", status, reason)


def announce(state: GatewayState, now: datetime) -> bool:
    """Alert about a pause that began without, because another had just ended, and that has lasted since.

    Or about its end, if a look at the gateway has ended it and nothing was refused since.
    """
    since = state.paused_since
    if since is None:
        ended_at = state.resumed_at
        return ended_at is not None and now - ended_at >= FLAPPING and _announce_end(state)
    if state.is_announced or state.is_paused_by_hand or now - since < FLAPPING:
        return False
    rows = GatewayState.objects.filter(pk=state.pk, paused_since=since, is_announced=False)
    if not transactions.update(rows, is_announced=True):
        return False
    _announce(state.pause_status, state.pause_reason)
    return True


def _announce_end(state: GatewayState) -> bool:
    rows = GatewayState.objects.filter(pk=state.pk, paused_since__isnull=True, is_announced=True)
    if not state.is_announced or not transactions.update(rows, is_announced=False):
        return False
    alert("Submissions to the gateway have resumed at %s.", state.resumed_at)
    return True


def claim_probe(now: datetime) -> bool:
    """Whether the caller may try, although the site is paused, if the gateway accepts. One caller at a time gets it."""
    state = GatewayState.objects.current()
    later = now + timedelta(seconds=probe_seconds(state.probes + state.flaps + 1))
    rows = GatewayState.objects.filter(pk=state.pk, paused_since__isnull=False, probe_at__lte=now, probes=state.probes)
    return bool(transactions.update(rows, probe_at=later, probes=F("probes") + 1))


def let_one_through(now: datetime) -> bool:
    """A probe that costs nothing says nothing here: the submission whose turn it is tries."""
    rows = GatewayState.objects.filter(pk=GatewayState.PK, paused_since__isnull=False, paused_by="")
    if not transactions.update(rows, let_one_through=True):
        return False
    queued = VideoRequest.objects.filter(status=Status.QUEUED)
    first = first_to_try(queued)
    if first is not None:
        transactions.update(queued.filter(pk=first, due_at__gt=now), due_at=now)
    return True


def first_to_try(queued: QuerySet[VideoRequest]) -> int | None:
    """Which of these tries first during a pause: of those that were tried the least, the one that waits the longest.

    What is refused may be one request alone, by a firewall that dislikes its prompt: it must not keep all others out.
    """
    return queued.order_by("submit_attempts", "queued_at", "pk").values_list("pk", flat=True).first()


def may_submit(now: datetime) -> bool:
    """Whether the caller may submit now.

    During a pause one caller at a time may: if no other way is left to probe, or if a probe is due that no tick has
    claimed.
    """
    if not GatewayState.objects.current().is_paused:
        return True
    rows = GatewayState.objects.filter(pk=GatewayState.PK, paused_since__isnull=False, let_one_through=True)
    return bool(transactions.update(rows, let_one_through=False)) or claim_probe(now)


def probe_now(now: datetime) -> bool:
    """Make the next probe due at once; False if the gateway has not paused the site."""
    rows = GatewayState.objects.filter(pk=GatewayState.PK, paused_since__isnull=False, paused_by="")
    return bool(transactions.update(rows, probe_at=now))


def note_balance(balance_usd: Decimal, now: datetime) -> None:
    """Remember what a probe read of the wallet."""
    rows = GatewayState.objects.filter(pk=GatewayState.PK)
    transactions.update(rows, balance_usd=balance_usd, balance_at=now)


def key_works(now: datetime) -> bool:
    """A read was answered, which ends a pause for a bad key.

    A pause that came back soon waits for its next probe: the key may read, and not submit.
    """
    state = GatewayState.objects.current()
    if not state.is_paused or state.pause_status != 401 or (state.flaps and not claim_probe(now)):
        return False
    return resume(now, after=401)


def resume(now: datetime, *, after: int | None = None) -> bool:
    """End the gateway's pause: it accepts again. Waiting requests go now, and the pause did not age them.

    ``after`` ends only a pause for that HTTP status: a read that works proves the key, but not the wallet. It is the
    word of a look, not of a submission: the end is announced once that has held. A pause by hand stays: see
    ``resume_by_hand``.
    """
    state = GatewayState.objects.current()
    since = state.paused_since
    if since is None and after is None:
        _announce_end(state)
    if since is None or after not in {None, state.pause_status}:
        return False
    rows = GatewayState.objects.filter(pk=state.pk, paused_since=since, pause_status=state.pause_status, paused_by="")
    keeps = {"is_announced": F("is_announced")} if after is not None else {}
    return _end(rows, since, now, resumed_at=now, resumed_status=state.pause_status, **keeps)


def pause_by_hand(now: datetime, *, actor: Actor, reason: str) -> bool:
    """Stop all submissions until a person resumes them; a pause of the gateway's becomes one. False: it was one."""
    by = name_of(actor) or BY_CODE
    stopped = transactions.update(
        GatewayState.objects.filter(pk=_row().pk, paused_by=""),
        paused_since=Coalesce(F("paused_since"), Value(now)),
        paused_by=by,
        pause_status=None,
        pause_reason=reason,
        probe_at=None,
        probes=0,
        let_one_through=False,
        updated_at=now,
    )
    if stopped:
        signals.send_after_commit(signals.gateway_paused, GatewayState, status=None, reason=reason)
        log.warning("Submissions to the gateway were paused by %s: %s", by, reason)
    return bool(stopped)


def resume_by_hand(now: datetime, *, actor: Actor, reason: str) -> bool:
    """End a pause by hand. False: there is none. If the gateway still refuses, the next submission pauses it again."""
    state = GatewayState.objects.current()
    since = state.paused_since
    if since is None or not state.paused_by:
        return False
    rows = GatewayState.objects.filter(pk=state.pk, paused_since=since, paused_by=state.paused_by)
    ended = _end(rows, since, now, resumed_at=None, resumed_status=None)
    if ended:
        by = name_of(actor) or BY_CODE
        log.warning("Submissions to the gateway were resumed by %s. %s", by, reason)
    return ended


def _end(rows: QuerySet[GatewayState], since: datetime, now: datetime, **values: Any) -> bool:
    """End the pause in ``rows``; alerts if its beginning did."""
    ended = {
        "paused_since": None, "pause_status": None, "pause_reason": "", "paused_by": "", "probe_at": None, "probes": 0,
        "let_one_through": False, "is_announced": False, "updated_at": now, **values,
    }  # fmt: skip

    def work() -> str:
        announced = rows.filter(is_announced=True).update(**ended)
        if not announced and not rows.filter(is_announced=False).update(**ended):
            return ""
        _make_due(since, now)
        return "announced" if announced else "quiet"

    how = transactions.run(work)
    if how:
        signals.send_after_commit(signals.gateway_resumed, GatewayState, since=since)
    if how == "announced" and "is_announced" not in values:
        alert("Submissions to the gateway have resumed after a pause since %s.", since)
    return bool(how)


def _make_due(since: datetime, now: datetime) -> None:
    queued = VideoRequest.objects.filter(status=Status.QUEUED)
    whole_age = timedelta(seconds=conf.current().MAX_QUEUE_AGE)
    queued.filter(queued_at__lt=since).update(queue_expires_at=F("queue_expires_at") + (now - since), due_at=now)
    queued.filter(queued_at__gte=since).update(queue_expires_at=now + whole_age, due_at=now)


def acquire_tick(now: datetime, *, seconds: float, idle_seconds: float = 0) -> int | None:
    """Take the tick's lease; its fencing token, or None while another has it.

    ``idle_seconds``: also None if somebody has had it within that time.
    """
    GatewayState.objects.ensure()
    free = Q(tick_lease_until__isnull=True) | Q(tick_lease_until__lt=now)
    if idle_seconds:
        free &= Q(ticked_at__isnull=True) | Q(ticked_at__lt=now - timedelta(seconds=idle_seconds))
    token = _take_tick(free, now, seconds=seconds)
    if token is not None:
        return token
    absurd = Q(tick_lease_until__gt=transactions.database_now() + timedelta(seconds=seconds + FAR_SECONDS))
    if not GatewayState.objects.filter(absurd, pk=GatewayState.PK).exists():
        return None
    return _take_tick(absurd, now, seconds=seconds)


def _take_tick(free: Q, now: datetime, *, seconds: float) -> int | None:
    def work() -> int | None:
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
