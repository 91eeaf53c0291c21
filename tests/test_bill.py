"""Our month against the gateway's: the right requests, the right tag, and where a difference comes from."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django import bill, credits, services
from grokvideo_django.gateway import TagUsage
from grokvideo_django.lifecycle import money, reading, starting
from grokvideo_django.models import VideoRequest
from grokvideo_django.sandbox import Sandbox

from .conftest import Crank, make_draft
from .making import MODEL, Status, lease_of, put, turn_into

pytestmark = pytest.mark.django_db

MONTH = bill.this_month(timezone.now())
IN_NOVEMBER = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)


def put_(owner: User, status: str, *, at: datetime = IN_NOVEMBER, tag: str = "site", **values: Any) -> VideoRequest:
    return put(owner, status, sent_at=at, tag=tag, **values)


def captured(owner: User, amount: int, *, tag: str = "site", at: datetime = IN_NOVEMBER) -> VideoRequest:
    row = put_(owner, Status.RENDERED, tag=tag, at=at, duration_seconds=2)
    money.capture(row, amount, reason="")
    return turn_into(row, Status.SUCCEEDED)


def theirs(usd: str, tag: str = "site", requests: int | None = 1) -> TagUsage:
    return TagUsage(tag=tag, usd=Decimal(usd), requests=requests)


def line(usd: str, month: str = "2026-11") -> bill.Line:
    return next(found for found in bill.compare(month, [theirs(usd)]) if found.tag == "site")


def run(*words: str) -> str:
    out = StringIO()
    call_command("grokvideo_reconcile", "--gateway", *words, stdout=out)
    return out.getvalue()


def fails(*words: str) -> tuple[str, str]:
    out = StringIO()
    with pytest.raises(CommandError) as error:
        call_command("grokvideo_reconcile", "--gateway", *words, stdout=out)
    return out.getvalue(), str(error.value)


# What is ours


def test_only_what_was_sent_in_that_month_by_utc_counts(editor: User) -> None:
    captured(editor, 10)
    captured(editor, 10, at=datetime(2026, 11, 1, tzinfo=UTC))
    captured(editor, 10, at=datetime(2026, 12, 1, tzinfo=UTC))
    captured(editor, 10, at=datetime(2026, 10, 31, 23, 59, tzinfo=UTC))
    assert (line("0.20").credits, line("0.20").usd, line("0.20").requests) == (20, Decimal("0.20"), 2)
    assert [found.credits for found in bill.compare("2026-12", [])] == [10]


def test_each_tag_by_itself_whatever_the_setting_says_now(editor: User, settings: Any) -> None:
    captured(editor, 10, tag="before")
    captured(editor, 5, tag="now")
    settings.GROKVIDEO = {**settings.GROKVIDEO, "TAG": "now"}
    found = bill.compare("2026-11", [theirs("0.10", "before"), theirs("0.05", "now"), theirs("9", "another site's")])
    assert [(row.tag, row.difference_usd, row.is_ours) for row in found] == [
        ("before", 0, True),
        ("now", 0, True),
        ("another site's", 9, False),
    ]
    assert all(row.agrees(Decimal(0)) for row in found)


def test_a_refund_does_not_count(editor: User) -> None:
    row = captured(editor, 10)
    entry = credits.find(money.hold_key(row))
    assert entry is not None
    credits.refund(entry.resolution, 10)
    assert line("0.10").difference_usd == 0


def test_what_they_have_not_is_a_difference(editor: User) -> None:
    captured(editor, 10)
    [found] = bill.compare("2026-11", [])
    assert (found.theirs, found.difference_usd, found.agrees(Decimal("0.09"))) == (None, Decimal("-0.10"), False)


@pytest.mark.parametrize("status", [Status.SUBMITTING, Status.SUBMITTED, Status.RENDERED, Status.IN_DOUBT])
def test_what_is_undecided_may_be_on_their_bill_or_not(editor: User, status: str) -> None:
    captured(editor, 10)
    put_(editor, status, duration_seconds=3)
    for usd, agrees in (("0.09", False), ("0.10", True), ("0.25", True), ("0.26", False)):
        assert line(usd).agrees(Decimal(0)) is agrees, usd


def test_what_was_released_and_charged_there_is_a_difference_with_words(editor: User) -> None:
    row = put_(editor, Status.SUBMITTED)
    reading.ended_without_video(lease_of(row), code="moderated", message="No.")
    assert not line("0.05").agrees(Decimal(0))
    [words] = line("0.05").explained()
    assert words.startswith("1 failed: 0 credits were charged; 5 of their price were not: released; the gateway may")


def test_what_the_site_spends_on_other_things_is_not_the_gateways(editor: User) -> None:
    credits.grant(editor, 100)
    credits.capture(credits.hold(editor, 5, request_key="invoice-7"))
    credits.capture(credits.hold(editor, 5, request_key=str(uuid.uuid4())))
    assert bill._deleted_credits(*bill._bounds(MONTH)) == 0


def test_captures_of_deleted_requests_are_not_lost(editor: User) -> None:
    services_day = timezone.now()
    captured(editor, 4, at=services_day)
    captured(editor, 10, at=services_day).delete()
    [found] = bill.compare(MONTH, [theirs("0.14")])
    assert (found.credits, found.deleted_credits, found.agrees(Decimal(0))) == (4, 10, True)
    assert "10 credits were charged for requests that were deleted since." in list(found.explained())


def test_a_request_from_before_the_column_counts_by_its_submission(editor: User) -> None:
    row = captured(editor, 10)
    VideoRequest.objects.filter(pk=row.pk).update(sent_at=None, submitted_at=IN_NOVEMBER, tag="site")
    assert line("0.10").credits == 10


def test_it_takes_no_query_per_request(editor: User) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            bill.compare(MONTH, [])
        return len(seen)

    captured(editor, 1, at=timezone.now())
    few = queries()
    for _row in range(5):
        captured(editor, 1, at=timezone.now())
    assert queries() == few


# The command, against the sandbox


@pytest.mark.parametrize("words", ["", "usage-list", "usage-label"])
def test_a_month_that_agrees(sandbox: Sandbox, crank: Crank, editor: User, words: str) -> None:
    row = make_draft(editor)
    services.start(row)
    assert crank(row).status == Status.SUCCEEDED
    assert row.tag == "grokvideo"
    if words:
        sandbox.behave(words)
    said = run()
    assert f"{MONTH} in UTC, the gateway's figures beside ours:" in said
    assert (
        "grokvideo                                1         0.05          1         5         0.05         +0.00"
        in said
    )
    assert "agree with ours, within 1 % and what is undecided" in said
    assert "sk-aig" not in said


def test_a_difference_is_explained_and_fails(sandbox: Sandbox, crank: Crank, draft: VideoRequest) -> None:
    services.start(draft)
    VideoRequest.objects.filter(pk=draft.pk).update(prompt="A fox [sandbox:moderated]")
    draft = crank(draft, rounds=2)
    assert (draft.status, draft.charged_credits) == (Status.FAILED, 0)
    said, error = fails()
    assert "1 failed: 0 credits were charged; 5 of their price were not: released" in said
    assert "figures for grokvideo differ from ours by more than 1 %" in error
    assert "within 5 cents" in run("--tolerance", "5")
    fails("--tolerance", "99%")
    assert "agree" in run("--tolerance", "100%")


def test_less_than_ours_is_explained_too(sandbox: Sandbox, editor: User) -> None:
    captured(editor, 10, at=timezone.now())
    said, _error = fails()
    assert "-0.10" in said
    assert "They charged less than we did" in said


def test_a_wrong_request_or_answer_is_said_in_words(sandbox: Sandbox) -> None:
    sandbox.behave("account-html", times=1)
    assert "The gateway's usage cannot be read: it is no list of tags." in fails()[1]
    sandbox.behave("account-401", times=1)
    assert "cannot be had, so nothing was compared" in fails()[1]
    for words in (["--month", "2026-13"], ["--month", "November"], ["--tolerance", "much"], ["--tolerance", "-1"]):
        assert "Nothing was compared" in fails(*words)[1]
    with pytest.raises(CommandError, match="say --gateway too"):
        call_command("grokvideo_reconcile", "--month", MONTH, stdout=StringIO())


def test_another_month(sandbox: Sandbox) -> None:
    assert "2020-01 in UTC" in run("--month", "2020-01")


def test_a_tag_of_somebody_else_is_shown_and_not_compared(sandbox: Sandbox, crank: Crank, draft: VideoRequest) -> None:
    services.start(draft)
    crank(draft)
    VideoRequest.objects.filter(pk=draft.pk).update(sent_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert "This site has sent nothing under this tag" in run()


def test_the_tag_is_kept_as_it_is_sent(sandbox: Sandbox, crank: Crank, draft: VideoRequest, settings: Any) -> None:
    settings.GROKVIDEO = {**settings.GROKVIDEO, "TAG": "Zürich"}
    services.start(draft)
    draft = crank(draft)
    assert draft.tag == "Zrich"
    assert draft.sent_at is not None
    assert [row.tag for row in bill.billed(MONTH)] == ["Zrich"]


def test_terms_of_a_start_name_no_tag(editor: User) -> None:
    row = make_draft(editor)
    starting.start(row, starting.Terms(owner=editor, quoted=5, model=MODEL, actor=None), now=timezone.now())
    row.refresh_from_db()
    assert (row.tag, row.sent_at) == ("", None)
