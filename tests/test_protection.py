"""The ledger behind triggers: nobody changes a line, and everything else goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from grokvideo_django import credits, protection, reconcile
from grokvideo_django.models import Budget, BudgetUse, CreditAccount, CreditDraw, CreditEntry, CreditGrant

pytestmark = pytest.mark.django_db(transaction=True)

COLUMNS = {CreditEntry: "posted_delta", CreditDraw: "delta", BudgetUse: "delta"}
TABLES = [model._meta.db_table for model in protection.PROTECTED]


@pytest.fixture
def protected(db):
    """The command's own output is what the test gets."""
    yield protection.protect()
    protection.unprotect()


def change(model):
    """As somebody with a database shell would."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {model._meta.db_table} SET {COLUMNS[model]} = 1000000")


def spend(user):
    """A line of every kind."""
    Budget.objects.create(name="site", limit_credits=1000)
    credits.grant(user, 100)
    credits.refund(credits.capture(credits.hold(user, 10), 7), 3)
    credits.release(credits.hold(user, 5))
    brief = credits.grant(user, 10, priority=1, expires_at=timezone.now() + timedelta(hours=1))
    late = credits.hold(user, 4)
    CreditGrant.objects.filter(draws__entry=brief).update(expires_at=timezone.now() - timedelta(seconds=1))
    credits.release(late)
    credits.expire_due(timezone.now())
    credits.void(CreditGrant.objects.exclude(draws__entry=brief).first(), reason="over")


def test_no_line_can_be_changed(editor, protected):
    assert protected == TABLES
    spend(editor)
    for model in protection.PROTECTED:
        before = list(model.objects.order_by("pk").values_list())
        with pytest.raises(DatabaseError, match="never changed"):
            change(model)
        assert list(model.objects.order_by("pk").values_list()) == before


def test_everything_else_goes_on(editor, protected):
    spend(editor)
    kinds = set(CreditEntry.objects.values_list("kind", flat=True))
    assert kinds == set(CreditEntry.Kind.values)
    assert list(reconcile.findings()) == []
    CreditAccount.objects.update(posted=10**6)
    list(reconcile.repair())
    assert list(reconcile.findings()) == []
    editor.delete()
    assert CreditEntry.objects.exists()


def test_it_can_be_repeated_and_taken_back(editor, capsys):
    spend(editor)
    try:
        call_command("grokvideo_protect_ledger")
        call_command("grokvideo_protect_ledger")
        assert protection.protected() == TABLES
    finally:
        call_command("grokvideo_protect_ledger", remove=True)
    call_command("grokvideo_protect_ledger", remove=True)
    assert protection.protected() == []
    said = capsys.readouterr().out.splitlines()
    assert said == [
        *[f"Rows of {table} can no longer be changed." for table in TABLES],
        "Everything was protected already.",
        *[f"Rows of {table} can be changed again." for table in TABLES],
        "Nothing was protected.",
    ]
    change(CreditEntry)
    assert set(CreditEntry.objects.values_list("posted_delta", flat=True)) == {1_000_000}


def test_what_is_missing_is_installed(editor):
    try:
        protection.protect()
        template = protection.DROP[connection.vendor]
        with connection.cursor() as cursor:
            cursor.execute(template.format(trigger=f"{TABLES[1]}_no_update", table=TABLES[1]))
        assert protection.protected() == [TABLES[0], TABLES[2]]
        assert protection.protect() == [TABLES[1]]
    finally:
        protection.unprotect()


def test_other_databases_are_refused_in_words(monkeypatch):
    monkeypatch.setattr(connection, "vendor", "oracle")
    for remove in (False, True):
        with pytest.raises(CommandError, match="not on oracle"):
            call_command("grokvideo_protect_ledger", remove=remove)


def test_what_the_database_does_not_allow_is_said(monkeypatch):
    monkeypatch.setitem(protection.CREATE, connection.vendor, "CREATE NONSENSE")
    with pytest.raises(CommandError, match="does not allow that"):
        call_command("grokvideo_protect_ledger")
