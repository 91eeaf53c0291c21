"""What the admin's pages about credits cost, by the entries that there are."""

from __future__ import annotations

import argparse
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from grokvideo_django.models import Budget, BudgetCounter, CreditAccount, CreditDraw, CreditEntry, CreditGrant

from .stage import machine, stage, table

ACCOUNTS = 200
AT_ONCE = 5000


def books(entries: int) -> None:
    """So many entries of many accounts: one has half of them, one only the first three. Balances do not matter here."""
    now = timezone.now()
    accounts = CreditAccount.objects.bulk_create(
        CreditAccount(user_key=f"user-{number}", user_name=f"user-{number}", posted=10**9) for number in range(ACCOUNTS)
    )
    CreditGrant.objects.bulk_create(
        CreditGrant(account=account, amount=10**9, remaining=10**9, reason="for the benchmark") for account in accounts
    )
    budgets = Budget.objects.bulk_create(Budget(name=f"budget {number}", limit_credits=10**9) for number in range(20))
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    BudgetCounter.objects.bulk_create(
        BudgetCounter(budget=budget, period_start=start, used=10**6) for budget in budgets
    )

    def line(number: int) -> CreditEntry:
        account = accounts[-1] if number < 3 else accounts[0] if number % 2 else accounts[number % (ACCOUNTS - 1)]
        return CreditEntry(
            account=account,
            kind=CreditEntry.Kind.HOLD,
            key=f"k{number}-{uuid.uuid4()}",
            held_delta=5,
            posted_after=10**9,
            held_after=5,
            reason="A fox crosses a frozen lake",
            created_at=now - timedelta(seconds=entries - number),
        )

    for first in range(0, entries, AT_ONCE):
        CreditEntry.objects.bulk_create(line(number) for number in range(first, min(first + AT_ONCE, entries)))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if connection.vendor != "mysql" else f"ANALYZE TABLE {CreditEntry._meta.db_table}")


def pages() -> Iterator[tuple[str, str]]:
    busy = CreditAccount.objects.get(user_key="user-0")
    quiet = CreditAccount.objects.get(user_key=f"user-{ACCOUNTS - 1}")
    entries = reverse("admin:grokvideo_creditentry_changelist")
    yield "accounts", reverse("admin:grokvideo_creditaccount_changelist")
    for name, account in (("half of the entries", busy), ("three old entries", quiet)):
        yield f"account with {name}", reverse("admin:grokvideo_creditaccount_change", args=[account.pk])
        yield f"statement with {name}", f"{entries}?account__id__exact={account.pk}"
    yield "all entries", entries
    yield "all entries of a kind", f"{entries}?kind__exact=grant"
    yield "grants", reverse("admin:grokvideo_creditgrant_changelist")
    yield "budgets", reverse("admin:grokvideo_budget_changelist")


def measured(client: Client, url: str, times: int) -> tuple[int, float, float]:
    """Queries, milliseconds of the page, milliseconds of its slowest query; the best of some."""
    found = []
    for _time in range(times):
        with CaptureQueriesContext(connection) as queries:
            begin = time.perf_counter()
            answer = client.get(url)
            seconds = time.perf_counter() - begin
        assert answer.status_code == 200, answer.status_code
        slowest = max(float(query["time"]) for query in queries)
        found.append((len(queries), seconds * 1000, slowest * 1000))
    return min(found, key=lambda figures: figures[1])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks ledger_pages")
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000, 1_000_000])
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args(arguments)
    rows: dict[str, list[object]] = {}
    head = ["page"]
    with stage():
        print(f"{machine()}\n")
        client = Client()
        client.force_login(get_user_model().objects.create_superuser("manager"))
        for entries in options.entries:
            for model in (CreditDraw, CreditEntry, CreditGrant, CreditAccount, BudgetCounter, Budget):
                model._base_manager.all()._raw_delete("default")
            books(entries)
            head += [f"queries at {entries:,}", "ms", "ms of its slowest query"]
            for name, url in pages():
                rows.setdefault(name, [name]).extend(measured(client, url, options.times))
    table(head, rows.values())
