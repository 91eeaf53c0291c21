"""Giving back what was captured."""

from __future__ import annotations

from django.db.models import Min, Q, Sum
from django.utils import timezone

from ..exceptions import InvalidAmount, RefundExceedsCapture
from ..models import CreditAccount, CreditDraw, CreditEntry, CreditGrant
from . import budgets
from .entries import Actor, Note, checked, move_account, move_grants, name_of, new_key, once, post, share_out
from .grants import open_grant


def refund(
    captured: CreditEntry,
    amount: int | None = None,
    *,
    key: str | None = None,
    reason: str = "",
    actor: Actor = None,
) -> CreditEntry:
    """Give back a capture, or a part of it.

    It returns to the grants that paid; what they can no longer take (they have expired) opens an adjustment grant.

    Raises:
        InvalidAmount: not a whole number above zero, or the entry is no capture.
        RefundExceedsCapture: all refunds together would exceed the capture.
        KeyConflict: the key was used for something else.
    """
    if captured.kind != CreditEntry.Kind.CAPTURE or captured.resolves_id is None:
        raise InvalidAmount(f"A {captured.kind} cannot be refunded, only a capture can. Nothing was changed.")
    whole = -captured.posted_delta
    hold = CreditEntry(pk=captured.resolves_id)
    amount = whole if amount is None else checked(amount)
    account = CreditAccount(pk=captured.account_id)
    key = key or new_key("refund")
    note = Note(actor=name_of(actor), reason=reason, request_key=captured.request_key)

    def work() -> CreditEntry:
        move_account(account, posted=amount)
        before = CreditEntry.objects.filter(refunds=captured).aggregate(sum=Sum("posted_delta"))["sum"] or 0
        if before + amount > whole:
            raise RefundExceedsCapture(
                f"{whole} credits were captured and {before} refunded, so {amount} more cannot be. Nothing was changed."
            )
        draws = share_out(amount, _room(captured))
        move_grants(draws)
        uses = budgets.give_back(hold, amount)
        left = amount - sum(draws.values())
        if left:
            opened = open_grant(account, left, note, category=CreditGrant.Category.ADJUSTMENT)
            draws[opened.pk] = left
        entry = post(account, CreditEntry.Kind.REFUND, key, note, posted_delta=amount, draws=draws, refunds=captured)
        budgets.record(entry, uses)
        return entry

    def same(entry: CreditEntry) -> bool:
        return entry.refunds_id == captured.pk and entry.posted_delta == amount

    return once(key, work, same=same)


def _room(captured: CreditEntry) -> list[tuple[int, int]]:
    """What each grant that paid can take back, the last drawn first: what it paid, less what was refunded to it.

    Expired ones take nothing.
    """
    live = Q(grant__expires_at__isnull=True) | Q(grant__expires_at__gt=timezone.now())
    concerned = Q(entry=captured.resolves_id) | Q(entry=captured.pk) | Q(entry__refunds=captured.pk)
    draws = CreditDraw.objects.filter(live, concerned).values("grant_id")
    sums = draws.annotate(sum=Sum("delta"), drawn=Min("pk")).order_by("-drawn")
    return [(row["grant_id"], -row["sum"]) for row in sums]
