"""Two-phase spending: a hold first, then one resolution of it, captured or released."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from ..exceptions import AlreadyResolved, InsufficientCredits, InvalidAmount, KeyConflict, UnknownEntry
from ..models import CreditAccount, CreditEntry
from . import budgets, rows
from .entries import (
    MAX_REQUEST_KEY_LENGTH,
    Actor,
    Note,
    account_of,
    checked,
    checked_key,
    name_of,
    new_key,
    once,
    post,
    share_out,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django.contrib.auth.base_user import AbstractBaseUser

    from .budgets import Ceiling


def find(key: str) -> CreditEntry | None:
    """The entry with this key."""
    return CreditEntry.objects.select_related("account").filter(key=key).first()


def hold(
    user: AbstractBaseUser | CreditAccount,
    amount: int,
    *,
    key: str | None = None,
    request_key: str = "",
    reason: str = "",
    actor: Actor = None,
    ceilings: Sequence[Ceiling] | None = None,
    exceed: bool = False,
) -> CreditEntry:
    """Set credits aside. It draws on the user's grants by priority, then expiry, then age, and remembers which.

    It counts at once under every budget of the site, the user's groups and the user. Constant queries: account, budgets
    and their counters read; account, grants read with the balance, grants written, each counter; entry, draws, uses;
    after the commit the counters, for the warnings.

    Args:
        user: a user, or an account.
        amount: whole credits, above zero.
        key: the same key holds once, however often it is called.
        request_key: what the credits are for.
        reason: shown on the statement.
        actor: who asks for it.
        ceilings: what ``ceilings`` found, for callers inside a transaction of their own.
        exceed: pass the budgets' ceilings; the caller has checked who may.

    Raises:
        InvalidAmount: not a whole number above zero.
        InsufficientCredits: nothing was changed.
        BudgetExceeded: a budget's ceiling would be passed; nothing was changed.
        KeyConflict: the key was used for something else.
    """
    checked(amount)
    checked_key(request_key, limit=MAX_REQUEST_KEY_LENGTH)
    account = account_of(user)
    key = key or new_key("hold")
    note = Note(actor=name_of(actor), reason=reason, request_key=request_key)
    found = _ceilings_of(user) if ceilings is None else ceilings

    def work() -> CreditEntry:
        if not rows.move_account(account.pk, held=amount, free=amount):
            raise InsufficientCredits(needed=amount, available=0)
        shares, balance = rows.spendable(account.pk, timezone.now())
        drawn = share_out(amount, shares)
        if sum(drawn.values()) < amount:
            raise InsufficientCredits(needed=amount, available=0)
        drawn = {grant_id: -part for grant_id, part in drawn.items()}
        rows.move_grants(drawn)
        uses = budgets.use(found, amount, exceed=exceed)
        entry = post(account, CreditEntry.Kind.HOLD, key, note, held_delta=amount, balance=balance, draws=drawn)
        budgets.record(entry, uses)
        if found:
            transaction.on_commit(lambda: budgets.warn_safely(found))
        return entry

    def same(entry: CreditEntry) -> bool:
        whose = (entry.kind, entry.account_id, entry.request_key)
        return whose == (CreditEntry.Kind.HOLD, account.pk, request_key) and entry.held_delta == amount

    try:
        return once(key, work, same=same)
    except InsufficientCredits:
        current = CreditAccount.objects.filter(pk=account.pk).first()
        available = 0 if current is None else current.available
        raise InsufficientCredits(needed=amount, available=available) from None


def _ceilings_of(user: AbstractBaseUser | CreditAccount) -> Sequence[Ceiling]:
    """Those of the site alone for the account of a user who is gone."""
    owner: AbstractBaseUser | None
    if isinstance(user, CreditAccount):  # maybe a mere key
        owner = get_user_model()._base_manager.filter(credit_account=user.pk).first()
    else:
        owner = user
    return budgets.ceilings(owner, timezone.now())


def capture(
    held: CreditEntry,
    amount: int | None = None,
    *,
    key: str | None = None,
    reason: str = "",
    actor: Actor = None,
) -> CreditEntry:
    """Spend a hold, or a part of it; the rest comes back in the same entry.

    Raises:
        InvalidAmount: not a whole number above zero, or more than was held.
        AlreadyResolved: the hold was captured or released before.
        UnknownEntry: the ledger has no such hold; its transaction was rolled back, say.
        KeyConflict: the key was used for something else.
    """
    amount = held.held_delta if amount is None else checked(amount)
    if amount > held.held_delta:
        raise InvalidAmount(
            f"{held.held_delta} credits were held, so {amount} cannot be captured. Nothing was changed."
        )
    return _resolve(held, CreditEntry.Kind.CAPTURE, amount, key, Note(actor=name_of(actor), reason=reason))


def release(
    held: CreditEntry,
    *,
    key: str | None = None,
    reason: str = "",
    actor: Actor = None,
) -> CreditEntry:
    """Give a whole hold back.

    Raises:
        AlreadyResolved: the hold was captured or released before.
        UnknownEntry: the ledger has no such hold; its transaction was rolled back, say.
        KeyConflict: the key was used for something else.
    """
    return _resolve(held, CreditEntry.Kind.RELEASE, 0, key, Note(actor=name_of(actor), reason=reason))


def _resolve(held: CreditEntry, kind: CreditEntry.Kind, spent: int, key: str | None, note: Note) -> CreditEntry:
    if held.kind != CreditEntry.Kind.HOLD:
        raise InvalidAmount(f"A {held.kind} cannot be resolved, only a hold can. Nothing was changed.")
    account = CreditAccount(pk=held.account_id)
    own_key = key or f"{kind}:{held.pk}"
    note = Note(actor=note.actor, reason=note.reason, request_key=held.request_key)

    def work() -> CreditEntry:
        moved = rows.move_account(account.pk, posted=-spent, held=-held.held_delta, held_before=held.held_delta)
        if _is_resolved(held) or not moved:
            raise AlreadyResolved
        back, expired = _give_back(held, held.held_delta - spent)
        lost = sum(expired.values())
        if lost:
            rows.move_account(account.pk, posted=-lost)
        rows.move_grants(back)
        uses = budgets.give_back(held, held.held_delta - spent)
        entry = post(
            account,
            kind,
            own_key,
            note,
            posted_delta=-spent,
            held_delta=-held.held_delta,
            later_posted_delta=-lost,
            draws={**back, **expired},
            resolves=held,
        )
        budgets.record(entry, uses)
        if lost:
            _post_expired(account, expired, held.request_key)
        return entry

    def same(entry: CreditEntry) -> bool:
        return _is_resolved(held) and (entry.kind, entry.resolves_id, entry.posted_delta) == (kind, held.pk, -spent)

    try:
        return once(own_key, work, same=same)
    except KeyConflict:
        if key:
            raise
        raise AlreadyResolved from None  # captured before, and for another amount


def _is_resolved(held: CreditEntry) -> bool:
    """Whether it was captured or released.

    Raises:
        UnknownEntry: the ledger has no such hold.
    """
    resolved = rows.is_resolved(held.pk, held.key, held.account_id, held.held_delta)
    if resolved is None:
        raise UnknownEntry
    return resolved


def _give_back(held: CreditEntry, amount: int) -> tuple[dict[int, int], dict[int, int]]:
    """What returns to which grant: the last drawn first, so that the first to expire stays spent. Live and expired."""
    drawn = list(held.draws.order_by("-pk").values_list("grant_id", "delta", "grant__expires_at"))
    back = share_out(amount, [(grant_id, -delta) for grant_id, delta, _expires in drawn])
    now = timezone.now()
    dead = {grant_id for grant_id, _delta, expires in drawn if expires is not None and expires <= now}
    live = {grant_id: part for grant_id, part in back.items() if grant_id not in dead}
    return live, {grant_id: part for grant_id, part in back.items() if grant_id in dead}


def _post_expired(account: CreditAccount, expired: Mapping[int, int], request_key: str) -> None:
    """What returned to an expired grant expires at once, visibly: its remainder does not change, the account's does."""
    left_to_post = sum(expired.values())
    for grant_id, part in sorted(expired.items()):
        left_to_post -= part
        post(
            account,
            CreditEntry.Kind.EXPIRE,
            new_key("expire"),
            Note(reason="It came back to a grant that had expired.", request_key=request_key),
            posted_delta=-part,
            later_posted_delta=-left_to_post,
            draws={grant_id: -part},
        )
