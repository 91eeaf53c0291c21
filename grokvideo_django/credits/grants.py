"""Giving credits, and taking back what was not spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from ..exceptions import CreditError, InvalidAmount
from ..models import CreditAccount, CreditEntry, CreditGrant
from . import rows
from .entries import (
    Actor,
    Note,
    account_of,
    checked,
    known,
    name_of,
    new_key,
    once,
    post,
)

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.base_user import AbstractBaseUser

Category = CreditGrant.Category

MAX_PRIORITY: Final = 32767
EXPIRED: Final = "The grant expired."


def grant(
    user: AbstractBaseUser | CreditAccount,
    amount: int,
    *,
    reason: str = "",
    key: str | None = None,
    expires_at: datetime | None = None,
    category: str = Category.ADJUSTMENT,
    priority: int = 100,
    actor: Actor = None,
) -> CreditEntry:
    """Give credits to a user.

    Args:
        user: a user, or an account.
        amount: whole credits, above zero.
        reason: shown on the statement.
        key: the same key grants once, however often it is called.
        expires_at: what is left then expires; aware, in the future.
        category: allowance, purchase, promotion or adjustment.
        priority: the lowest is spent first.
        actor: who grants.

    Returns:
        The entry; its draw points to the grant.

    Raises:
        InvalidAmount: not a whole number above zero, expired already, or no such category or priority.
        KeyConflict: the key was used for something else.
    """
    checked(amount)
    if category not in Category.values:
        raise InvalidAmount(f"{category!r} is not a category of grants: {', '.join(Category.values)}.")
    if type(priority) is not int or abs(priority) > MAX_PRIORITY:
        raise InvalidAmount(f"{priority!r} is not a priority: a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}.")
    if expires_at is not None and timezone.is_aware(expires_at) != timezone.is_aware(timezone.now()):
        raise InvalidAmount("The expiry needs a time zone, as all times of this site. Nothing was changed.")
    account = account_of(user)
    key = key or new_key("grant")
    note = Note(actor=name_of(actor), reason=reason)

    def work() -> CreditEntry:
        if expires_at is not None and expires_at <= timezone.now():
            raise InvalidAmount(
                _("The grant would have expired already. Nothing was changed; choose a time in the future.")
            )
        if not rows.move_account(account.pk, posted=amount):
            raise CreditError(_("This account does not exist any more. Nothing was changed."))
        given = open_grant(account, amount, note, category=category, priority=priority, expires_at=expires_at)
        return post(account, CreditEntry.Kind.GRANT, key, note, posted_delta=amount, draws={given.pk: amount})

    def same(entry: CreditEntry) -> bool:
        return entry.kind == CreditEntry.Kind.GRANT and entry.account_id == account.pk and entry.posted_delta == amount

    return once(key, work, same=same)


def open_grant(
    account: CreditAccount,
    amount: int,
    note: Note,
    *,
    category: str,
    priority: int = 100,
    expires_at: datetime | None = None,
) -> CreditGrant:
    """Insert a grant on an account that was credited in this transaction."""
    return CreditGrant.objects.create(
        account=account,
        amount=amount,
        remaining=amount,
        category=category,
        priority=priority,
        expires_at=expires_at,
        reason=note.reason[:255],
        actor=note.actor,
    )


def expire(given: CreditGrant, *, key: str | None = None, reason: str = "", actor: Actor = None) -> CreditEntry | None:
    """Expire what is left of a grant whose time has come; None if nothing is left or its time has not come.

    Raises:
        KeyConflict: the key was used for something else.
    """
    note = Note(actor=name_of(actor), reason=reason or EXPIRED)
    return _take_back(given, CreditEntry.Kind.EXPIRE, note, key=key, if_=Q(expires_at__lte=timezone.now()))


def void(given: CreditGrant, *, reason: str, key: str | None = None, actor: Actor = None) -> CreditEntry | None:
    """Take back what is left of a grant; None if nothing is left. What is held stays held.

    Raises:
        KeyConflict: the key was used for something else.
    """
    return _take_back(given, CreditEntry.Kind.VOID, Note(actor=name_of(actor), reason=reason), key=key, if_=Q())


def expire_due(now: datetime, *, limit: int = 100) -> int:
    """Expire grants whose time has come; returns how many. For the sweep: a bounded bite at a time."""
    due = CreditGrant.objects.filter(expires_at__lte=now, remaining__gt=0).order_by("expires_at", "pk")[:limit]
    kind, note = CreditEntry.Kind.EXPIRE, Note(reason=EXPIRED)
    return sum(_take_back(given, kind, note, if_=Q(expires_at__lte=now)) is not None for given in due)


def _take_back(
    given: CreditGrant, kind: CreditEntry.Kind, note: Note, *, if_: Q, key: str | None = None
) -> CreditEntry | None:
    account = CreditAccount(pk=given.account_id)
    own_key = key or new_key(kind)
    # Not only its key: a grant that was rolled back may have left that to another.
    whose = {name: getattr(given, name) for name in ("pk", "account_id", "amount", "created_at")}

    def work() -> CreditEntry | None:
        if not rows.move_account(account.pk):  # takes the lock, so that what is left stays what is left
            return None
        left = CreditGrant.objects.filter(if_, **whose).values_list("remaining", flat=True).first()
        if not left:
            return None
        rows.move_account(account.pk, posted=-left)
        rows.move_grants({given.pk: -left})
        return post(account, kind, own_key, note, posted_delta=-left, draws={given.pk: -left})

    def same(entry: CreditEntry) -> bool:
        return entry.kind == kind and entry.draws.filter(grant=given).exists()

    taken = once(own_key, work, same=same)
    return known(own_key, same=same) if taken is None and key else taken
