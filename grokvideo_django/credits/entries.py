"""What all verbs share: amounts, keys, balances, draws."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import signals, transactions
from ..exceptions import CreditError, InvalidAmount, KeyConflict
from ..models import CreditAccount, CreditDraw, CreditEntry
from . import rows

Actor: TypeAlias = AbstractBaseUser | str | None
"""Who does something: a user, a name, or None for the machine."""

Posted = TypeVar("Posted", bound=CreditEntry | None)

MAX_AMOUNT: Final = 10**12
"""The most that one entry moves: far below what a 64-bit balance holds, so that no sum of them overflows."""
MAX_KEY_LENGTH: Final = 200
MAX_REQUEST_KEY_LENGTH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Who did it, why, and for which request: the words on an entry.

    Raises:
        CreditError: no database can keep them.
    """

    actor: str = ""
    reason: str = ""
    request_key: str = ""

    def __post_init__(self) -> None:
        for words in (self.actor, self.reason, self.request_key):
            checked_words(words)


def name_of(actor: Actor) -> str:
    """The text that an entry keeps when the user is gone.

    Raises:
        CreditError: the actor is neither a user nor a name.
    """
    if isinstance(actor, AbstractBaseUser):
        return actor.get_username()[:255]
    return checked_words("" if actor is None else actor)[:255]


def account_of(user: AbstractBaseUser | CreditAccount) -> CreditAccount:
    """The account of a user, opened if there is none, or the account itself. Only its key is sure to be there."""
    if isinstance(user, CreditAccount):
        return user
    known = rows.account_id(str(user.pk)) if user.pk is not None else None
    return CreditAccount.objects.for_user(user) if known is None else CreditAccount(pk=known)


def checked(amount: int) -> int:
    """The amount, if it is a whole number above zero.

    Raises:
        InvalidAmount: it is not.
    """
    if type(amount) is not int or amount <= 0:
        raise InvalidAmount(
            _("%(amount)s is not a whole number of credits above zero. Nothing was changed.") % {"amount": repr(amount)}
        )
    if amount > MAX_AMOUNT:
        raise InvalidAmount(
            _("%(amount)d credits are more than one entry can move (%(limit)d). Nothing was changed.")
            % {"amount": amount, "limit": MAX_AMOUNT}
        )
    return amount


def checked_words(words: str) -> str:
    """The words, if every database can keep them.

    Raises:
        CreditError: no text, or it has a NUL or half of a pair of surrogates.
    """
    if not isinstance(words, str):
        raise CreditError(f"{words!r} is no text. Nothing was changed.")
    try:
        words.encode()
    except UnicodeEncodeError:
        raise CreditError("A text with half a character cannot be kept. Nothing was changed.") from None
    if "\0" in words:
        raise CreditError("A text with a NUL cannot be kept. Nothing was changed.")
    return words


def checked_key(key: str, *, limit: int = MAX_KEY_LENGTH) -> str:
    """The key, if the database can keep it whole.

    Raises:
        CreditError: it is too long, or cannot be kept.
    """
    if len(checked_words(key)) > limit:
        raise CreditError(f"A key has at most {limit} characters, this one has {len(key)}. Nothing was changed.")
    return key


def new_key(verb: str) -> str:
    """A key for a caller who needs no idempotency."""
    return f"{verb}:{uuid.uuid4()}"


def once(key: str, work: Callable[[], Posted], *, same: Callable[[CreditEntry], bool]) -> Posted | CreditEntry:
    """Run a verb; if its key was used already, return what it did then.

    Raises:
        KeyConflict: the key was used for something else.
        CreditError: the verb refused, and its key is new.
    """
    checked_key(key)
    try:
        return transactions.run(work)
    except (IntegrityError, CreditError) as error:
        existing = known(key, same=same, conflict_with=error)
        if existing is None:
            raise
        return existing


def known(
    key: str, *, same: Callable[[CreditEntry], bool], conflict_with: Exception | None = None
) -> CreditEntry | None:
    """The entry that was posted with a key before; None if the key is new.

    Raises:
        KeyConflict: the key was used for something else.
    """
    existing = CreditEntry.objects.filter(key=key).first()
    if existing is not None and (existing.key != key or not same(existing)):  # some collations think that "A" is "a"
        raise KeyConflict from conflict_with
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
    balance: tuple[int, int] | None = None,
    draws: Mapping[int, int] | None = None,
    resolves: CreditEntry | None = None,
    refunds: CreditEntry | None = None,
) -> CreditEntry:
    """Insert an entry whose account and grants were updated before it in this transaction.

    ``later_posted_delta`` is what entries that follow in this transaction will post: the account has it already, the
    balance after this entry has not. ``balance`` is the account's, posted and held, if the caller has read it already.
    """
    posted, held = balance or rows.balance(account.pk)
    entry = CreditEntry(
        account_id=account.pk,  # the instance may be a mere key
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
    rows.insert_one(entry)
    drawn = draws or {}
    rows.insert([CreditDraw(entry=entry, grant_id=grant_id, delta=delta) for grant_id, delta in drawn.items() if delta])
    signals.send_after_commit(signals.credits_posted, CreditEntry, entry=entry)
    return entry


def share_out(amount: int, shares: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Distribute an amount over ``(grant id, room)`` pairs in their order; less comes back when the room is short."""
    taken: dict[int, int] = {}
    for grant_id, room in shares:
        part = min(amount, room)
        if part > 0:
            taken[grant_id] = taken.get(grant_id, 0) + part
            amount -= part
    return taken
