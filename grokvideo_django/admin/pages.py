"""What a request's page shows besides its fields: price and balance, buttons, and when it reloads itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import conf, validation
from ..models import CreditAccount, VideoRequest
from . import explaining
from .telling import in_words, price_for

if TYPE_CHECKING:
    from django.http import HttpRequest

Status = VideoRequest.Status

CANCELABLE: Final = (Status.AWAITING_APPROVAL, Status.QUEUED, Status.SUBMITTING, Status.SUBMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A form of its own with one button: every change is a POST."""

    name: str
    label: str
    url: str
    hidden: dict[str, int]
    is_primary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What the page says that it costs, and what there is to pay it with."""

    credits: int | None
    words: str
    label: str
    """The same on a button, with who pays where that is not the reader."""
    owner: str
    available: int | None
    rates: str
    problems: tuple[str, ...]

    @property
    def missing(self) -> int:
        """Credits that a grant would have to add."""
        if self.credits is None or self.available is None:
            return 0
        return max(0, self.credits - self.available)


def price(http_request: HttpRequest, request: VideoRequest, payer: Any, *, is_valid: bool) -> Price:
    """The price of a draft as it is on the page, and its owner's balance. Two queries."""
    credits_ = explaining.quoted(request) if is_valid else None
    account = None if payer is None else CreditAccount.objects.filter(user_key=str(payer.pk)).first()
    return Price(
        credits=credits_,
        words="" if credits_ is None else in_words(credits_),
        label="" if credits_ is None else price_for(http_request, payer, credits_),
        owner="" if payer is None else payer.get_username(),
        available=None if payer is None else (account.available if account is not None else 0),
        rates=rates(),
        problems=tuple(sentence for _name, sentence in validation.site_problems()),
    )


def rates() -> str:
    """``480p 5 · 720p 7 · image 0.2``: the site's price list for its model."""
    listed = conf.current().PRICES.get(conf.current().MODEL, {})
    return " · ".join(f"{name} {value}" for name, value in listed.items())


def buttons(
    http_request: HttpRequest, request: VideoRequest, site: str, *, may_generate: bool, may_change: bool
) -> Iterator[Button]:
    """What can be done with a saved request now, on the admin site of this name."""
    if may_generate and request.is_draft:
        yield from _paid(http_request, "generate", _("Generate · %(price)s"), request, site, {})
    if may_change and request.status in CANCELABLE and request.cancel_requested_at is None:
        yield Button(name="cancel", label=_("Cancel"), url=_url("cancel", request, site), hidden={})
    if may_generate and request.is_ended:
        label = _("Make again · %(price)s") if request.status == Status.SUCCEEDED else _("Retry · %(price)s")
        yield from _paid(http_request, "retry", label, request, site, {"retries": request.retries.count()})


def _paid(
    http_request: HttpRequest, name: str, label: str, request: VideoRequest, site: str, hidden: dict[str, int]
) -> Iterator[Button]:
    """A button with the price on it, which it hands on: nobody pays another one unasked."""
    credits_ = explaining.quoted(request)
    if credits_ is not None and request.owner is not None:
        yield Button(
            name=name,
            label=label % {"price": price_for(http_request, request.owner, credits_)},
            url=_url(name, request, site),
            hidden={"expected_credits": credits_, **hidden},
            is_primary=name == "generate",
        )


def _url(name: str, request: VideoRequest, site: str) -> str:
    return reverse(f"admin:grokvideo_videorequest_{name}", args=[request.pk], current_app=site)


def reload_seconds(http_request: HttpRequest, request: VideoRequest) -> int | None:
    """After how many seconds the page loads itself anew; None while nothing moves, or something must be read first."""
    if not request.is_running or "still" in http_request.GET or http_request.method != "GET":
        return None
    return None if _has_bad_news(http_request) else _pause(request, timezone.now())


def _pause(request: VideoRequest, now: datetime) -> int:
    waited = (now - (request.queued_at or request.created_at)).total_seconds()
    if waited < 120:
        return 5
    return 15 if waited < 1800 else 60


def _has_bad_news(http_request: HttpRequest) -> bool:
    """Whether a warning or an error is on this page: it must not vanish. Leaves the messages for the template."""
    waiting = messages.get_messages(http_request)
    bad = any(message.level >= messages.WARNING for message in waiting)
    waiting.used = False  # type: ignore[union-attr]
    return bad
