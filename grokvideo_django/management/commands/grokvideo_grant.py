"""``manage.py grokvideo_grant``: credits from a shell or from cron, for all who are meant or for nobody."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from grokvideo_django import credits, people, pricing, transactions
from grokvideo_django.exceptions import GrokVideoError
from grokvideo_django.models import CreditAccount, CreditEntry, CreditGrant

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

ACTOR = "grokvideo_grant"
LONGEST_KEY = 100
MOST_DAYS = 100 * 366


class Command(BaseCommand):
    """One transaction: whatever is refused, nobody has got anything."""

    help = (
        "Give credits to users. All of them get theirs, or nobody does. With --key the same line can be run again and "
        "again: who has had it gets nothing more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Whom, how much, and why."""
        parser.add_argument("users", nargs="*", metavar="USER", help="Usernames.")
        parser.add_argument("amount", metavar="AMOUNT", help="Whole credits for each.")
        parser.add_argument("--group", action="append", default=[], help="And every active member of this group.")
        parser.add_argument("--all-active", action="store_true", help="And every active user.")
        parser.add_argument("--reason", default="", help="Shown on the statement.")
        parser.add_argument(
            "--expires",
            metavar="WHEN",
            help="2026-12-31 (the end of that day), 2026-12-31T18:00, or 30d (days from now), in the site's time zone.",
        )
        parser.add_argument("--category", choices=CreditGrant.Category.values, default=CreditGrant.Category.ADJUSTMENT)
        parser.add_argument(
            "--key", default="", help="Grants each user once under this key: for cron, with the month in it."
        )
        parser.add_argument("--dry-run", action="store_true", help="Say who would get what, and change nothing.")

    def handle(self, *, users: Sequence[str], amount: str, key: str, dry_run: bool = False, **options: Any) -> None:
        """Look at everything first, then grant."""
        credits_each = _amount(amount)
        expires_at = _expiry(options["expires"])
        if len(key) > LONGEST_KEY or not key.isprintable():
            raise CommandError(f"A --key has at most {LONGEST_KEY} printable characters. Nothing was granted.")
        meant = _meant(users, options["group"], all_active=options["all_active"])
        keys = {user.pk: f"command-grant:{key or uuid.uuid4()}:{user.pk}" for user in meant}
        had = set(CreditEntry.objects.filter(key__in=keys.values()).values_list("key", flat=True))
        if not dry_run:
            words = {name: options[name] for name in ("reason", "category")}
            _grant_all(meant, keys, credits_each, expires_at=expires_at, **words)
        self._tell([(user, keys[user.pk] not in had) for user in meant], credits_each, dry_run=dry_run)

    def _tell(self, meant: Sequence[tuple[AbstractBaseUser, bool]], each: int, *, dry_run: bool) -> None:
        for user, is_new in meant:
            words = _counted(each, "credit") if is_new else "nothing more: this key was granted before"
            self.stdout.write(f"{user.get_username()}: {words}")
        new = sum(is_new for _user, is_new in meant)
        total = each * new
        verb = "Would grant" if dry_run else "Granted"
        ending = " Nothing was changed." if dry_run else ""
        what = f"{_counted(total, 'credit')}, about {pricing.in_dollars(total)}"
        self.stdout.write(f"{verb} {what}, to {_counted(new, 'user')}.{ending}")


def _grant_all(
    meant: Iterable[AbstractBaseUser], keys: dict[Any, str], each: int, *, expires_at: datetime | None, **words: Any
) -> None:
    """All in one transaction, in the accounts' order, so that two of these cannot deadlock.

    Raises:
        CommandError: somebody's grant was refused; nobody has got anything.
    """
    accounts = [(CreditAccount.objects.for_user(user), keys[user.pk]) for user in meant]

    def work() -> None:
        for account, key in sorted(accounts, key=lambda pair: pair[0].pk):
            try:
                credits.grant(account, each, key=key, expires_at=expires_at, actor=ACTOR, **words)
            except GrokVideoError as error:
                raise CommandError(f"{account}: {error} Nothing was granted to anybody.") from error

    transactions.run(work)


def _meant(names: Sequence[str], groups: Sequence[str], *, all_active: bool) -> list[AbstractBaseUser]:
    """Everybody who is meant, each once.

    Raises:
        CommandError: somebody does not exist, or nobody is meant.
    """
    named, unknown = _named(names)
    by_name = {group.name: group for group in Group.objects.filter(name__in=groups)}
    problems = [f"user {name!r}" for name in unknown] + [f"group {name!r}" for name in groups if name not in by_name]
    if problems:
        raise CommandError(f"There is no {', no '.join(problems)}. Nothing was granted to anybody.")
    found = {user.pk: user for user in named}
    if all_active:
        found |= {user.pk: user for user in people.active()}
    elif groups:
        members = people.members([group.pk for group in by_name.values()])
        found |= {user.pk: user for user in people.active(members)}
    if not found:
        raise CommandError("Nobody is meant: name users, a --group with active members, or --all-active.")
    return sorted(found.values(), key=lambda user: user.get_username())


def _named(names: Sequence[str]) -> tuple[list[AbstractBaseUser], list[str]]:
    model = get_user_model()
    found: list[AbstractBaseUser] = []
    unknown: list[str] = []
    for name in dict.fromkeys(names):
        try:
            found.append(model._default_manager.get_by_natural_key(name))
        except model.DoesNotExist:
            unknown.append(name)
    return found, unknown


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _amount(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", str(text)) or not int(text):
        raise CommandError(
            f"{text!r} is not a whole number of credits above zero; the amount comes after the users. "
            "Nothing was granted."
        )
    return int(text)


def _expiry(text: str | None) -> datetime | None:
    """A moment in the future; a day alone means its end.

    Raises:
        CommandError: it is neither, or past.
    """
    if not text:
        return None
    moment = _moment(text)
    if moment is None:
        raise CommandError(
            f"--expires {text!r} is no moment: 2026-12-31, 2026-12-31T18:00 or 30d. Nothing was granted."
        )
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, timezone.get_default_timezone())
    if moment <= timezone.now():
        raise CommandError(f"--expires {text!r} is past. Nothing was granted.")
    return moment


def _moment(text: str) -> datetime | None:
    if days := re.fullmatch(r"([0-9]{1,5})d", text):
        return timezone.now() + timedelta(days=min(int(days[1]), MOST_DAYS))
    try:
        day = parse_date(text)
        return parse_datetime(text) if day is None else datetime.combine(day + timedelta(days=1), time())
    except (ValueError, OverflowError):
        return None
