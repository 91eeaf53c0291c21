"""Our month against the gateway's bill, tag by tag, and what a difference may come from.

Ours is what was captured for the requests that were sent in that month, by UTC as the gateway counts: credits at
CREDIT_USD. Refunds do not count: they are between the site and its users. What is under way or in doubt may be on
their bill and is not yet in our books, so a bill is right from what was captured up to that and what is undecided.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from django.db.models import Count, Sum, Value
from django.db.models.functions import Coalesce, Concat

from . import conf, submission
from .gateway import TagUsage
from .lifecycle.money import HOLD_PREFIX
from .models import CreditEntry, VideoRequest
from .polling import rate

Status = VideoRequest.Status

CHUNK: Final = 500
PATIENCE_SECONDS: Final = 60.0
UNDER_WAY: Final = "under way"
WORDS: Final = {
    Status.SUCCEEDED: ("ready", "shorter than was asked for"),
    Status.FAILED: ("failed", "released; the gateway may charge for some, moderated ones for example"),
    Status.CANCELED: ("canceled", "released"),
    Status.IN_DOUBT: ("in doubt", "held until somebody knows; the gateway may have charged for them"),
}
"""How a status is called, and what it means that a part of its price was not charged."""


@dataclass(slots=True, kw_only=True)
class Share:
    """The requests of one tag and status: how many, and their credits."""

    count: int = 0
    charged: int = 0
    uncharged: int = 0
    """Of their price, what was not charged: released, still held, or not delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One tag on both sides."""

    tag: str
    theirs: TagUsage | None
    shares: dict[str, Share] = field(default_factory=dict)
    deleted_credits: int = 0
    """Captured for requests that were deleted since: nobody knows under which tag."""

    @property
    def is_ours(self) -> bool:
        """Whether this site has sent anything under it. A key can serve several sites."""
        return bool(self.shares)

    @property
    def requests(self) -> int:
        """How many we have sent."""
        return sum(share.count for share in self.shares.values())

    @property
    def credits(self) -> int:
        """What was captured for them."""
        return sum(share.charged for share in self.shares.values())

    @property
    def usd(self) -> Decimal:
        """The same in dollars."""
        return in_usd(self.credits)

    @property
    def undecided_usd(self) -> Decimal:
        """The most that may be on their bill, and not yet in our books."""
        open_ = sum(
            self.shares[name].uncharged for name in (UNDER_WAY, WORDS[Status.IN_DOUBT][0]) if name in self.shares
        )
        return in_usd(open_ + self.deleted_credits)

    @property
    def billed_usd(self) -> Decimal:
        """What they say."""
        return Decimal(0) if self.theirs is None else self.theirs.usd

    @property
    def difference_usd(self) -> Decimal:
        """Theirs less ours."""
        return self.billed_usd - self.usd

    def agrees(self, tolerance_usd: Decimal) -> bool:
        """Whether the difference is small, or can be what is undecided."""
        return not self.is_ours or -tolerance_usd <= self.difference_usd <= self.undecided_usd + tolerance_usd

    def explained(self) -> Iterator[str]:
        """Which requests a difference may come from."""
        for name, share in self.shares.items():
            words = next((why for called, why in WORDS.values() if called == name), "not captured yet")
            rest = f"; {share.uncharged} of their price were not: {words}" if share.uncharged else ""
            yield f"{share.count} {name}: {share.charged} credits were charged{rest}."
        if self.deleted_credits:
            yield f"{self.deleted_credits} credits were charged for requests that were deleted since."


def this_month(now: datetime) -> str:
    """``2026-11``, by UTC."""
    return now.astimezone(UTC).strftime("%Y-%m")


def billed(month: str) -> tuple[TagUsage, ...]:
    """What the gateway says. The network: call it outside of a transaction.

    Raises:
        GatewayError: it cannot be had, or not be read.
    """
    _await_turn()
    with submission.client() as gateway:
        return gateway.usage(month)


def _await_turn() -> None:
    """Within the site's request budget, for a minute."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (permit := rate.gate().take(1, "read")).granted and time.monotonic() < until:
        time.sleep(permit.wait_seconds)


def compare(month: str, theirs: Iterable[TagUsage]) -> list[Line]:
    """Both sides of each tag, ours first. A fixed number of queries, and one more for every 500 captures."""
    start, end = _bounds(month)
    ours = _shares(start, end)
    bills = {row.tag: row for row in theirs}
    lost = _deleted_credits(start, end)
    tags = [*ours, *(tag for tag in bills if tag not in ours)]
    return [Line(tag=tag, theirs=bills.get(tag), shares=ours.get(tag, {}), deleted_credits=lost) for tag in tags]


def in_usd(credits_: int) -> Decimal:
    """By CREDIT_USD, exact."""
    return credits_ * Decimal(conf.current().CREDIT_USD)


def _bounds(month: str) -> tuple[datetime, datetime]:
    start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    return start, start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)


def _shares(start: datetime, end: datetime) -> dict[str, dict[str, Share]]:
    """By tag and by what became of them, in the order of the tags."""
    sent = VideoRequest.objects.alias(at=Coalesce("sent_at", "submitted_at")).filter(at__gte=start, at__lt=end)
    sums = sent.order_by("tag", "status").values("tag", "status")
    found: dict[str, dict[str, Share]] = {}
    for row in sums.annotate(count=Count("pk"), charged=Sum("charged_credits"), quoted=Sum("quoted_credits")):
        name = WORDS.get(Status(row["status"]), (UNDER_WAY, ""))[0]
        charged = int(row["charged"] or 0)
        share = found.setdefault(row["tag"], {}).setdefault(name, Share())
        share.count += row["count"]
        share.charged += charged
        share.uncharged += int(row["quoted"] or 0) - charged
    return found


def _deleted_credits(start: datetime, end: datetime) -> int:
    """What was captured in this month for requests that are gone: the ledger keeps what the requests forgot."""
    captures = CreditEntry.objects.filter(
        kind=CreditEntry.Kind.CAPTURE,
        resolves__key=Concat(Value(HOLD_PREFIX), "request_key"),  # others are the site's own business
        created_at__gte=start,
        created_at__lt=end,
    )
    spent = dict(captures.order_by().values_list("request_key", "posted_delta"))
    spent = {key: amount for key, amount in spent.items() if _is_uuid(key)}
    keys = list(spent)
    for begin in range(0, len(keys), CHUNK):
        some = keys[begin : begin + CHUNK]
        for found in VideoRequest.objects.filter(uuid__in=some).values_list("uuid", flat=True):
            spent.pop(str(found), None)
    return -sum(spent.values())


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
