"""What all verbs share: amounts, keys, balances, draws."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError
from django.db.models import Case, F, Value, When
from django.utils import timezone

from .. import transactions
from ..exceptions import CreditError, InvalidAmount, KeyConflict
from ..models import CreditAccount, CreditDraw, CreditEntry, CreditGrant

Actor: TypeAlias = AbstractBaseUser | str | None
"""Who does something: a user, a name, or None for the machine."""

MAX_AMOUNT: Final = 10**12
"""The most that one entry moves: far below what a 64-bit balance holds, so that no sum of them overflows."""
MAX_KEY_LENGTH: Final = 200
MAX_REQUEST_KEY_LENGTH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Who did it, why, and for which request: the words on an entry."""

    actor: str = ""
    reason: str = ""
    request_key: str = ""


def name_of(actor: Actor) -> str:
    """The text that an entry keeps when the user is gone."""
    if isinstance(actor, AbstractBaseUser):
        return actor.get_username()[:255]
    return (actor or "")[:255]


def account_of(user: AbstractBaseUser | CreditAccount) -> CreditAccount:
    """The account of a user, or the account itself."""
    return user if isinstance(user, CreditAccount) else CreditAccount.objects.for_user(user)


def checked(amount: int) -> int:
    """The amount, if it is a whole number above zero.

    Raises:
        InvalidAmount: it is not.
    """
    if type(amount) is not int or amount <= 0:
        raise InvalidAmount(f"{amount!r} is not a whole number of credits above zero. Nothing was changed.")
    if amount > MAX_AMOUNT:
        raise InvalidAmount(f"{amount} credits are more than one entry can move ({MAX_AMOUNT}). Nothing was changed.")
    return amount


def checked_key(key: str, *, limit: int = MAX_KEY_LENGTH) -> str:
    """The key, if the database can keep it whole.

    Raises:
        CreditError: it is too long.
    """
    if len(key) > limit:
        raise CreditError(f"A key has at most {limit} characters, this one has {len(key)}. Nothing was changed.")
    return key


def new_key(verb: str) -> str:
    """A key for a caller who needs no idempotency."""
    return f"{verb}:{uuid.uuid4()}"


def once(key: str, work: Callable[[], CreditEntry], *, same: Callable[[CreditEntry], bool]) -> CreditEntry:
    """Run a verb; if its key was used already, return what it did then.

    Raises:
        KeyConflict: the key was used for something else.
        CreditError: the verb refused, and its key is new.
    """
    checked_key(key)
    try:
        return transactions.run(work)
    except (IntegrityError, CreditError) as error:
        existing = CreditEntry.objects.filter(key=key).first()
        if existing is None:
            raise
        if existing.key != key or not same(existing):  # some collations think that "A" is "a"
            raise KeyConflict from error
        return existing


def post(
    account: CreditAccount,
    kind: CreditEntry.Kind,
    key: str,
    note: Note,
    *,
    posted_delta: int = 0,
    held_delta: int = 0,
    later_posted_delta: int = 0,
    draws: Mapping[int, int] | None = None,
    resolves: CreditEntry | None = None,
    refunds: CreditEntry | None = None,
) -> CreditEntry:
    """Insert an entry whose account and grants were updated before it in this transaction.

    ``later_posted_delta`` is what entries that follow in this transaction will post: the account has it already, the
    balance after this entry has not.
    """
    posted, held = CreditAccount.objects.values_list("posted", "held").get(pk=account.pk)
    entry = CreditEntry.objects.create(
        account=account,
        kind=kind,
        key=key,
        posted_delta=posted_delta,
        held_delta=held_delta,
        posted_after=posted - later_posted_delta,
        held_after=held,
        resolves=resolves,
        refunds=refunds,
        request_key=note.request_key,
        actor=note.actor,
        reason=note.reason[:255],
        created_at=timezone.now(),
    )
    CreditDraw.objects.bulk_create(
        [CreditDraw(entry=entry, grant_id=grant_id, delta=delta) for grant_id, delta in (draws or {}).items() if delta]
    )
    return entry


def move_account(account: CreditAccount, *, posted: int = 0, held: int = 0, **guard: object) -> bool:
    """The conditional UPDATE that every verb begins with; it takes the account's lock. False: no row matched."""
    rows = CreditAccount.objects.filter(pk=account.pk, **guard)
    return bool(rows.update(posted=F("posted") + posted, held=F("held") + held))


def move_grants(deltas: Mapping[int, int]) -> None:
    """Change what is left of grants whose account is locked, in one statement."""
    deltas = {grant_id: delta for grant_id, delta in deltas.items() if delta}
    if deltas:
        change = Case(*[When(pk=grant_id, then=Value(delta)) for grant_id, delta in sorted(deltas.items())])
        CreditGrant.objects.filter(pk__in=sorted(deltas)).update(remaining=F("remaining") + change)


def share_out(amount: int, shares: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Distribute an amount over ``(grant id, room)`` pairs in their order; less comes back when the room is short."""
    taken: dict[int, int] = {}
    for grant_id, room in shares:
        part = min(amount, room)
        if part > 0:
            taken[grant_id] = taken.get(grant_id, 0) + part
            amount -= part
    return taken
