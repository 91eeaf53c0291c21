"""The ledger's tables: nobody changes them by hand, and nonsense does not fit into them."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.db.models import F, ProtectedError
from django.template import Context, Template

from grokvideo_django import credits
from grokvideo_django.exceptions import CreditError
from grokvideo_django.models import CreditAccount, CreditDraw, CreditEntry, CreditGrant

pytestmark = pytest.mark.django_db


@pytest.fixture
def entry(editor):
    return credits.hold(editor, 30)


@pytest.mark.parametrize("model", [CreditEntry, CreditDraw])
def test_lines_are_added_and_never_changed(entry, model):
    rows = model.objects.order_by("pk")
    before = list(rows.values())
    first = rows.first()
    field = "posted_delta" if model is CreditEntry else "delta"
    setattr(first, field, 10**6)
    for change in (
        first.save,
        lambda: first.save(update_fields=[field]),
        lambda: rows.update(**{field: 0}),
        lambda: rows.filter(pk=first.pk).update(**{field: 0}),
        lambda: rows.bulk_update([first], [field]),
        lambda: rows.update_or_create(pk=first.pk, defaults={field: 5}),
    ):
        with pytest.raises(CreditError, match="never changed"), transaction.atomic():
            change()
    for delete in (first.delete, rows.delete, rows.filter(pk=first.pk).delete):
        with pytest.raises(CreditError, match="never deleted"), transaction.atomic():
            delete()
    assert list(rows.values()) == before


@pytest.mark.parametrize("model", [CreditEntry, CreditDraw])
def test_a_new_instance_with_an_old_key_overwrites_no_line(entry, model):
    before = list(model.objects.order_by("pk").values())
    old = model.objects.order_by("pk").first()
    values = {field.attname: getattr(old, field.attname) for field in model._meta.concrete_fields}
    copy = model(**{**values, "key": "another"} if model is CreditEntry else values)
    with pytest.raises(IntegrityError), transaction.atomic():
        copy.save()
    assert list(model.objects.order_by("pk").values()) == before


def test_no_template_deletes(entry):
    Template("{{ entry.delete }}{{ entries.delete }}").render(
        Context({"entry": entry, "entries": CreditEntry.objects.all()})
    )
    assert CreditEntry.objects.count() == 2


def test_what_has_lines_cannot_go(entry, account):
    for row in (account, CreditGrant.objects.get()):
        with pytest.raises(ProtectedError):
            row.delete()
    account.user.delete()
    assert CreditAccount.objects.get(pk=account.pk).user_name == "editor"


@pytest.mark.parametrize(
    ("model", "nonsense"),
    [
        (CreditAccount, {"held": -1}),
        (CreditAccount, {"posted": 29}),
        (CreditAccount, {"held": 101}),
        (CreditAccount, {"posted": -1, "held": -1}),
        (CreditGrant, {"amount": 0}),
        (CreditGrant, {"amount": -5, "remaining": -5}),
        (CreditGrant, {"remaining": -1}),
        (CreditGrant, {"remaining": F("amount") + 1}),
        (CreditGrant, {"amount": 69}),
    ],
    ids=str,
)
def test_the_database_refuses_nonsense(entry, model, nonsense):
    before = list(model.objects.values())
    with pytest.raises(Exception, match=r"(?i)constraint") as refused, transaction.atomic():
        model.objects.update(**nonsense)
    assert type(refused.value).__module__ == "django.db.utils"
    assert list(model.objects.values()) == before


def test_the_database_knows_one_of_each(entry, editor, account):
    CreditEntry.objects.create(account=account, kind="release", key="r", posted_after=0, held_after=0, resolves=entry)
    for values in ({"key": entry.key}, {"key": "again", "resolves": entry}):
        with pytest.raises(IntegrityError), transaction.atomic():
            CreditEntry.objects.create(
                **{"account": account, "kind": "grant", "posted_after": 0, "held_after": 0, **values}
            )
    for values in ({"user_key": account.user_key}, {"user_key": "other", "user": editor}):
        with pytest.raises(IntegrityError), transaction.atomic():
            CreditAccount.objects.create(**values)


def test_an_account_is_opened_once(editor, account, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert CreditAccount.objects.for_user(editor) == account
    assert (account.user_key, account.user_name, str(account)) == (str(editor.pk), "editor", "editor")
    other = CreditAccount.objects.for_user(get_user_model().objects.create_user("x" * 150))
    assert (other.posted, other.held, other.available, other.user_name) == (0, 0, 0, "x" * 150)


def test_their_names():
    assert str(CreditAccount(user_key="7")) == "7"
    assert str(CreditAccount(user_key="7", user_name="ada")) == "ada"
    assert str(CreditGrant(amount=5, category="purchase")) == "5 (purchase)"
    assert str(CreditEntry(kind="capture", posted_delta=-3, held_delta=-5)) == "capture -3 posted, -5 held"
    assert str(CreditDraw(delta=3)) == "+3"
