"""Giving back what was captured."""

from __future__ import annotations

from django.db.models import Min, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from ..exceptions import InvalidAmount, RefundExceedsCapture, UnknownEntry
from ..models import CreditAccount, CreditDraw, CreditEntry, CreditGrant
from . import budgets, rows
from .entries import Actor, Note, checked, name_of, new_key, once, post, share_out
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
        UnknownEntry: the ledger has no such capture; its transaction was rolled back, say.
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
        rows.move_account(account.pk, posted=amount)
        before = _refunded(captured)
        if before + amount > whole:
            raise RefundExceedsCapture(
                _(
                    "At most %(left)d of the %(whole)d that were charged can still be refunded, not %(amount)d. "
                    "Nothing was changed."
                )
                % {"whole": whole, "left": whole - before, "amount": amount}
            )
        draws = share_out(amount, _room(captured))
        rows.move_grants(draws)
        uses = budgets.give_back(hold, amount)
        left = amount - sum(draws.values())
        if left:
            opened = open_grant(account, left, note, category=CreditGrant.Category.ADJUSTMENT)
            draws[opened.pk] = left
        entry = post(account, CreditEntry.Kind.REFUND, key, note, posted_delta=amount, draws=draws, refunds=captured)
        budgets.record(entry, uses)
        return entry

    def same(entry: CreditEntry) -> bool:
        _refunded(captured)
        return entry.refunds_id == captured.pk and entry.posted_delta == amount

    return once(key, work, same=same)


def _refunded(captured: CreditEntry) -> int:
    """What was given back of a capture so far.

    Raises:
        UnknownEntry: the ledger has no such capture.
    """
    whose = ("pk", "key", "kind", "account_id", "resolves_id", "posted_delta")
    row = CreditEntry.objects.filter(**{name: getattr(captured, name) for name in whose}).order_by()
    found = row.annotate(refunded=Sum("refunded_by__posted_delta")).values_list("refunded").first()
    if found is None:
        raise UnknownEntry
    return found[0] or 0


def _room(captured: CreditEntry) -> list[tuple[int, int]]:
    """What each grant that paid can take back, the last drawn first: what it paid, less what was refunded to it.

    Expired ones take nothing.
    """
    live = Q(grant__expires_at__isnull=True) | Q(grant__expires_at__gt=timezone.now())
    concerned = Q(entry=captured.resolves_id) | Q(entry=captured.pk) | Q(entry__refunds=captured.pk)
    draws = CreditDraw.objects.filter(live, concerned).values("grant_id")
    sums = draws.annotate(sum=Sum("delta"), drawn=Min("pk")).order_by("-drawn")
    return [(row["grant_id"], -row["sum"]) for row in sums]
