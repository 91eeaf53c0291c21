"""Each kind of damage is found, and nothing in books that are right."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, models
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django import credits, reconcile, services
from grokvideo_django.lifecycle import money, submitting
from grokvideo_django.models import (
    Budget,
    BudgetCounter,
    BudgetUse,
    CreditAccount,
    CreditDraw,
    CreditEntry,
    CreditGrant,
    VideoRequest,
    VideoRequestEvent,
)

Kind = CreditEntry.Kind
Status = VideoRequest.Status


def raw(model: type[models.Model], **filters: Any) -> models.QuerySet[Any]:
    """Rows that can be damaged: without the refusals of the model's own queryset."""
    return models.QuerySet(model).filter(**filters)


def started(owner: User) -> VideoRequest:
    request = VideoRequest.objects.create(owner=owner, prompt="A fox crosses a frozen lake", duration_seconds=2)
    services.start(request)
    return request


class Books:
    """One of everything, with every verb of the ledger in it."""

    def __init__(self, name: str = "editor") -> None:
        self.owner = User.objects.create_user(name)
        self.account = CreditAccount.objects.for_user(self.owner)
        Budget.objects.create(name="a ceiling", scope="user", user=self.owner, limit_credits=1000)
        self.given = credits.grant(self.owner, 100, reason="to spend")
        self.open = started(self.owner)
        self.failed = started(self.owner)
        assert submitting.unsendable(self.failed.pk, code="gone", message="The image is gone.")
        self.succeeded = started(self.owner)
        money.capture(self.succeeded, 6, reason="3 s")
        raw(VideoRequest, pk=self.succeeded.pk).update(status=Status.SUCCEEDED, due_at=None)
        self.refund = credits.refund(self.entry(Kind.CAPTURE), 2)
        self._expired()
        given = credits.grant(self.owner, 7)
        credits.void(CreditGrant.objects.get(draws__entry=given), reason="by mistake")
        credits.hold(self.owner, 3, key=f"mine:{name}")  # the site's own, for no request
        credits.hold(self.owner, 3, request_key=f"order-{name}")
        VideoRequest.objects.create(owner=self.owner, prompt="A draft")

    def _expired(self) -> None:
        given = credits.grant(self.owner, 9, expires_at=timezone.now() + timedelta(hours=1), priority=1)
        held = credits.hold(self.owner, 4)
        raw(CreditGrant, draws__entry=given).update(expires_at=timezone.now() - timedelta(hours=1))
        credits.capture(held, 1)  # what comes back has expired
        assert credits.expire_due(timezone.now()) == 1

    def entry(self, kind: str) -> CreditEntry:
        """The first of its kind."""
        return CreditEntry.objects.filter(account=self.account, kind=kind).earliest("pk")

    def hold(self, request: VideoRequest) -> CreditEntry:
        return CreditEntry.objects.get(key=money.hold_key(request))


@pytest.fixture
def books(db: None) -> Books:
    return Books()


def kinds() -> set[str]:
    return {finding.kind for finding in reconcile.findings()}


def test_nothing_is_wrong_with_no_books(db: None) -> None:
    assert list(reconcile.findings()) == []


def test_nothing_is_wrong_with_right_books(books: Books) -> None:
    Books("other")
    assert list(reconcile.findings()) == []


def damage_account(books: Books, **values: Any) -> None:
    raw(CreditAccount, pk=books.account.pk).update(**values)


def damage_entry(first: str, **values: Any) -> Callable[[Books], object]:
    return lambda books: raw(CreditEntry, pk=books.entry(first).pk).update(**values)


def damage_request(which: str, **values: Any) -> Callable[[Books], object]:
    return lambda books: raw(VideoRequest, pk=getattr(books, which).pk).update(**values)


def another_accounts_grant(books: Books) -> None:
    other = CreditGrant.objects.get(draws__entry=Books("other").given)
    raw(CreditDraw, entry=books.given).update(grant=other)


def another_accounts_hold(books: Books) -> None:
    other = Books("other")
    raw(CreditEntry, pk=books.entry(Kind.RELEASE).pk).update(resolves=other.hold(other.open))


def another_accounts_capture(books: Books) -> None:
    raw(CreditEntry, pk=books.refund.pk).update(refunds=Books("other").entry(Kind.CAPTURE))


def a_request_without_a_hold(books: Books) -> None:
    VideoRequest.objects.create(owner=books.owner, prompt="x", status=Status.SUBMITTED, quoted_credits=10)


def a_hold_for_another_price(books: Books) -> None:
    raw(CreditEntry, pk=books.hold(books.open).pk).update(held_delta=11)


def a_hold_without_a_request(books: Books) -> None:
    raw(VideoRequestEvent, request=books.open).delete()
    raw(VideoRequest, pk=books.open.pk).delete()


def a_hold_under_another_key(books: Books) -> None:
    raw(CreditEntry, pk=books.hold(books.open).pk).update(key="hold:other")


def a_lost_entry(books: Books) -> None:
    raw(BudgetUse, entry=books.refund).delete()
    raw(CreditDraw, entry=books.refund).delete()
    raw(CreditEntry, pk=books.refund.pk).delete()


def counter(books: Books) -> int:
    return BudgetCounter.objects.filter(budget__user=books.owner).earliest("pk").pk


def a_lost_use(books: Books) -> None:
    raw(BudgetUse, entry=books.entry(Kind.RELEASE), counter=counter(books)).delete()


def a_use_twice(books: Books) -> None:
    entry = books.entry(Kind.RELEASE)
    BudgetUse.objects.create(entry=entry, counter_id=counter(books), delta=entry.held_delta)


def another_counter(books: Books) -> None:
    raw(BudgetUse, entry=books.refund, counter=counter(books)).update(counter=counter(Books("other")))


DAMAGE: dict[str, tuple[Callable[[Books], object], set[str]]] = {
    "posted": (lambda books: damage_account(books, posted=F("posted") + 1), {"posted", "grants"}),
    "held": (lambda books: damage_account(books, held=F("held") + 1), {"held", "open holds", "grants"}),
    "posted and held": (
        lambda books: damage_account(books, posted=F("posted") + 1, held=F("held") + 1),
        {"posted", "held", "open holds"},
    ),
    "remaining": (
        lambda books: raw(CreditGrant, draws__entry=books.given).update(remaining=F("remaining") - 1),
        {"remaining", "grants"},
    ),
    "a draw": (lambda books: raw(CreditDraw, entry=books.given).update(delta=99), {"remaining", "draws"}),
    "no draw": (lambda books: raw(CreditDraw, entry=books.given).delete(), {"remaining", "draws"}),
    "another's grant": (another_accounts_grant, {"draw", "remaining"}),
    "an amount": (damage_entry(Kind.GRANT, posted_delta=101), {"posted", "posted after", "draws"}),
    "posted after": (damage_entry(Kind.RELEASE, posted_after=F("posted_after") + 1), {"posted after"}),
    "held after": (damage_entry(Kind.HOLD, held_after=F("held_after") - 1), {"held after"}),
    "a kind": (damage_entry(Kind.RELEASE, kind=Kind.CAPTURE), {"entry"}),
    "no kind": (damage_entry(Kind.VOID, kind=""), {"entry"}),
    "a grant that takes": (damage_entry(Kind.EXPIRE, kind=Kind.GRANT), {"entry"}),
    "nothing resolved": (damage_entry(Kind.RELEASE, resolves=None), {"entry", "open holds", "hold"}),
    "a grant resolved": (
        lambda books: raw(CreditEntry, pk=books.entry(Kind.RELEASE).pk).update(resolves=books.given),
        {"resolution", "open holds", "hold", "budget use", "budget uses"},
    ),
    "another's hold resolved": (another_accounts_hold, {"resolution", "open holds", "hold", "budget use"}),
    "another request's hold resolved": (damage_entry(Kind.RELEASE, request_key="other"), {"resolution"}),
    "more spent than held": (
        damage_entry(Kind.CAPTURE, posted_delta=-11),
        {"resolution", "posted", "posted after", "draws", "charged", "budget use"},
    ),
    "a part resolved": (
        damage_entry(Kind.RELEASE, held_delta=-9),
        {"resolution", "held", "held after", "draws", "budget use"},
    ),
    "a hold refunded": (
        lambda books: raw(CreditEntry, pk=books.refund.pk).update(refunds=books.entry(Kind.HOLD)),
        {"refund", "refunds"},
    ),
    "another's capture refunded": (another_accounts_capture, {"refund", "budget use"}),
    "more refunded than captured": (
        damage_entry(Kind.REFUND, posted_delta=7),
        {"refunds", "posted", "posted after", "draws", "budget use"},
    ),
    "nothing refunded": (damage_entry(Kind.REFUND, refunds=None), {"entry"}),
    "a lost entry": (a_lost_entry, {"posted", "posted after", "remaining", "counter"}),
    "a counter": (lambda books: raw(BudgetCounter).update(used=F("used") + 1), {"counter"}),
    "a lost use": (lambda books: raw(BudgetUse, entry=books.refund).delete(), {"counter", "budget uses"}),
    "a use": (
        lambda books: raw(BudgetUse, entry=books.refund).update(delta=F("delta") + 1),
        {"counter", "budget use"},
    ),
    "ended with an open hold": (damage_request("open", status=Status.FAILED, due_at=None), {"hold"}),
    "under way with a resolved hold": (damage_request("failed", status=Status.IN_DOUBT), {"hold"}),
    "under way without a hold": (a_request_without_a_hold, {"hold"}),
    "another quote": (damage_request("open", quoted_credits=11), {"hold"}),
    "another amount held": (
        a_hold_for_another_price,
        {"hold", "held", "held after", "open holds", "draws", "budget use"},
    ),
    "no request": (a_hold_without_a_request, {"hold"}),
    "another key": (a_hold_under_another_key, {"hold"}),
    "charged more": (damage_request("succeeded", charged_credits=7), {"charged"}),
    "charged nothing": (damage_request("succeeded", charged_credits=None), {"charged"}),
    "charged a failure": (damage_request("failed", charged_credits=1), {"charged"}),
    "no use of a release": (a_lost_use, {"budget uses", "counter"}),
    "a use twice": (a_use_twice, {"budget uses", "counter"}),
    "another counter": (another_counter, {"budget use", "counter"}),
    "charged under way": (damage_request("open", charged_credits=1), {"charged"}),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found(books: Books, name: str) -> None:
    damage, expected = DAMAGE[name]
    damage(books)
    assert kinds() == expected


def test_every_kind_of_finding_is_provoked_here() -> None:
    found = set().union(*(expected for _damage, expected in DAMAGE.values()))
    assert found == {
        "posted", "held", "open holds", "grants", "remaining", "draw", "draws", "entry", "posted after", "held after",
        "resolution", "refund", "refunds", "hold", "charged", "counter", "budget use",
        "budget uses",
    }  # fmt: skip


def test_a_request_without_a_price_needs_no_hold(books: Books) -> None:
    VideoRequest.objects.create(owner=books.owner, prompt="x", status=Status.SUBMITTED)
    assert kinds() == set()


def test_findings_say_what_was_expected_and_what_is_there(books: Books) -> None:
    raw(VideoRequest, pk=books.open.pk).update(quoted_credits=11, charged_credits=1)
    hold, charged = reconcile.findings()
    where = f"request {books.open.pk} (queued)"
    assert hold == reconcile.Finding(kind="hold", what=where, expected="an open hold of 11", found="an open hold of 10")
    assert charged == reconcile.Finding(kind="charged", what=where, expected="0", found="1")


def test_a_hold_is_found_by_its_key(books: Books) -> None:
    assert money.hold_key(books.open) == f"{reconcile.HOLD_PREFIX}{books.open.uuid}"
    with_keys = VideoRequest.objects.annotate(hold_key=reconcile._hold_key()).values_list("uuid", "hold_key")
    assert all(key == f"hold:{uuid}" for uuid, key in with_keys)


def test_the_number_of_queries_does_not_grow_with_the_books(books: Books) -> None:
    with CaptureQueriesContext(connection) as few:
        assert kinds() == set()
    for number in range(3):
        Books(f"other {number}")
    raw(CreditAccount).update(posted=F("posted") + 1)
    with CaptureQueriesContext(connection) as many:
        assert kinds() == {"posted", "grants"}
    assert len(many) == len(few) <= 20


def test_the_command_says_in_one_line_that_all_is_right(books: Books) -> None:
    out = StringIO()
    call_command("grokvideo_reconcile", stdout=out)
    (line,) = out.getvalue().splitlines()
    assert line.startswith("The books are right: 1 credit accounts, ")


def test_the_command_lists_what_is_wrong_and_fails(books: Books) -> None:
    damage_account(books, posted=F("posted") + 1)
    out = StringIO()
    with pytest.raises(CommandError, match="wrong in 2 places") as raised:
        call_command("grokvideo_reconcile", stdout=out)
    assert raised.value.returncode == 1
    header, *lines = out.getvalue().splitlines()
    assert header.split() == ["KIND", "WHAT", "EXPECTED", "FOUND"]
    posted = books.account.entries.aggregate(sum=models.Sum("posted_delta"))["sum"]
    assert lines[0].split() == ["posted", "account", str(books.account.pk), "(editor)", str(posted), str(posted + 1)]


@pytest.mark.parametrize("is_native", [True, False])
def test_a_key_is_made_of_a_uuid_as_the_database_writes_it(is_native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.features, "has_native_uuid_field", is_native)
    sql = str(VideoRequest.objects.annotate(hold_key=reconcile._hold_key()).values("hold_key").query)
    assert ("SUBSTR" in sql.upper()) != is_native


@pytest.mark.django_db(transaction=True)
def test_the_books_are_read_in_a_transaction_of_their_own() -> None:
    books = Books()
    assert kinds() == set()
    damage_account(books, posted=F("posted") + 1)
    assert kinds() == {"posted", "grants"}
    assert not connection.in_atomic_block


@pytest.mark.django_db(transaction=True)
def test_what_is_written_meanwhile_is_not_seen() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("on SQLite the writer waits for the reader")
    books = Books()

    def spend() -> None:
        credits.hold(books.owner, 1)
        connection.close()

    found = []
    with reconcile._one_moment():
        for proof in reconcile.PROOFS:
            found += list(proof())
            spender = threading.Thread(target=spend)
            spender.start()
            spender.join()
    assert found == []
    assert kinds() == set()
    assert CreditAccount.objects.get(pk=books.account.pk).held == 16 + len(reconcile.PROOFS)


REPAIRABLE = ["posted", "held", "posted and held", "remaining", "a counter"]


@pytest.mark.parametrize("name", REPAIRABLE)
def test_what_follows_from_the_entries_is_repaired(books: Books, name: str) -> None:
    before = list(raw(CreditEntry).order_by("pk").values())
    DAMAGE[name][0](books)
    out = StringIO()
    call_command("grokvideo_reconcile", "--repair", stdout=out)
    *repaired, last = out.getvalue().splitlines()
    assert repaired
    assert all(line.startswith("Repaired: ") for line in repaired)
    assert last.startswith("The books are right: ")
    assert list(raw(CreditEntry).order_by("pk").values()) == before


def test_a_repair_says_what_it_wrote_and_does_nothing_the_second_time(books: Books) -> None:
    damage_account(books, posted=F("posted") + 1)
    found = CreditAccount.objects.get(pk=books.account.pk).posted
    what = f"account {books.account.pk}"
    expected = reconcile.Finding(kind="posted", what=what, expected=str(found - 1), found=str(found))
    assert list(reconcile.repair()) == [expected]
    out = StringIO()
    call_command("grokvideo_reconcile", "--repair", stdout=out)
    assert out.getvalue().startswith("There was nothing to repair.\nThe books are right")


def test_entries_are_never_repaired(books: Books) -> None:
    DAMAGE["a part resolved"][0](books)
    with pytest.raises(CommandError, match="The books are wrong"):
        call_command("grokvideo_reconcile", "--repair", stdout=StringIO())
    assert "resolution" in kinds()


@pytest.mark.django_db(transaction=True)
def test_entries_that_make_no_sense_are_no_reason_to_write_anything() -> None:
    books = Books()
    raw(CreditEntry, pk=books.given.pk).update(posted_delta=-100)
    before = CreditAccount.objects.values().get(pk=books.account.pk)
    with pytest.raises(CommandError, match="nothing was repaired"):
        call_command("grokvideo_reconcile", "--repair", stdout=StringIO())
    assert CreditAccount.objects.values().get(pk=books.account.pk) == before
