"""What people should know of the gateway: whether submissions are paused, since when, until when, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import PermissionsMixin
from django.db.models import Count, Min, Sum
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from . import conf
from .lifecycle import expiring, site
from .models import GatewayState, VideoRequest

if TYPE_CHECKING:
    from django.http import HttpRequest

Status = VideoRequest.Status

REMEDIES: Final[dict[int, Any]] = {
    401: gettext_lazy(
        'Change the key: GROKVIDEO["API_KEY"], or AIGATEWAY_API_KEY in the environment; then restart the workers.'
    ),
    402: gettext_lazy("Fill the wallet in the gateway's dashboard. Nothing has to be restarted."),
    403: gettext_lazy(
        "Widen the key's scope in the gateway's dashboard: it must be allowed to make videos. Or change the key, and "
        "restart the workers."
    ),
}
NO_TICK_AFTER: Final = timedelta(minutes=2)
OVERDUE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The banner on the pages of the admin while submissions are paused."""

    state: GatewayState
    is_detailed: bool
    """For those who may see the gateway's state; others get a plain sentence."""
    url: str
    """Of the page about it; empty for those who may not see it, or where it has none."""
    remedy: str
    next_look_is_soon: bool


def notice(request: HttpRequest) -> Notice | None:
    """What the banner says to this user; None while nothing is paused, or to somebody who has no business here.

    One query.
    """
    state = GatewayState.objects.current()
    if not state.is_paused or not _has_business(request.user):
        return None
    detailed = _may_look(request.user)
    return Notice(
        state=state,
        is_detailed=detailed,
        url=_url(request) if detailed else "",
        remedy=remedy(state),
        next_look_is_soon=is_soon(state, timezone.now()),
    )


def remedy(state: GatewayState) -> str:
    """What somebody must do about a pause of the gateway's; empty where nothing is known."""
    return str(REMEDIES.get(state.pause_status or 0, ""))


def is_soon(state: GatewayState, now: datetime) -> bool:
    """Whether the next look is a matter of seconds."""
    return state.let_one_through or state.is_probe_due(now + timedelta(seconds=5))


def _has_business(user: Any) -> bool:
    if not isinstance(user, AbstractBaseUser) or not user.is_active:
        return False
    return not isinstance(user, PermissionsMixin) or user.has_module_perms("grokvideo")


def _may_look(user: Any) -> bool:
    names = ("grokvideo.view_gatewaystate", "grokvideo.change_gatewaystate")
    return isinstance(user, PermissionsMixin) and any(user.has_perm(name) for name in names)


def _url(request: HttpRequest) -> str:
    site = getattr(request, "current_app", None) or getattr(request.resolver_match, "namespace", None)
    try:
        return reverse("admin:grokvideo_gatewaystate_changelist", current_app=site)
    except NoReverseMatch:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The page about the gateway. Credits are those that are held."""

    state: GatewayState
    remedy: str
    next_look_is_soon: bool
    waiting: int
    waiting_credits: int
    in_doubt: int
    in_doubt_credits: int
    expiring: int
    """Finished videos, not stored here, that the gateway deletes within a day."""
    first_expires_at: datetime | None
    idle_since: datetime | None
    """When a worker last looked after the requests; None: never."""
    overdue: int
    """Requests that should have been looked after; 0 while a worker does."""
    queue: str


def report(now: datetime) -> Report:
    """All that the page shows, in four queries."""
    state = GatewayState.objects.current()
    counts = {
        status: (number, credits or 0)
        for status, number, credits in VideoRequest.objects.filter(status__in=[Status.QUEUED, Status.IN_DOUBT])
        .order_by()
        .values_list("status")
        .annotate(number=Count("pk"), credits=Sum("quoted_credits"))
    }
    (waiting, waiting_credits), (in_doubt, doubt_credits) = (
        counts.get(status, (0, 0)) for status in (Status.QUEUED, Status.IN_DOUBT)
    )
    soon = VideoRequest.objects.filter(
        status__in=expiring.AT_RISK, file_expires_at__gt=now, file_expires_at__lte=now + timedelta(days=1)
    ).aggregate(number=Count("pk"), first=Min("file_expires_at"))
    idle = state.ticked_at is None or now - state.ticked_at > NO_TICK_AFTER
    return Report(
        state=state,
        remedy=remedy(state),
        next_look_is_soon=is_soon(state, now),
        waiting=waiting,
        waiting_credits=waiting_credits,
        in_doubt=in_doubt,
        in_doubt_credits=doubt_credits,
        expiring=soon["number"],
        first_expires_at=soon["first"],
        idle_since=state.ticked_at,
        overdue=VideoRequest.objects.due(now - OVERDUE).count() if idle else 0,
        queue=conf.current().QUEUE,
    )


def cause(state: GatewayState) -> str:
    """Why the gateway refuses, in the user's language and without its own words: for everybody."""
    return _(site.REASONS.get(state.pause_status or 0, site.UNKNOWN_REASON))


def reason(state: GatewayState) -> str:
    """Why submissions are paused, in the user's language where it is ours, with the gateway's or a person's words."""
    _ours, said, words = state.pause_reason.partition(" It says: ")
    ours = site.REASONS.get(state.pause_status or 0)
    if ours is None:
        return state.pause_reason
    return _("%(reason)s It says: %(words)s") % {"reason": _(ours), "words": words} if said else _(ours)
