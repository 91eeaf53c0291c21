"""What budgets limit besides credits, what waits for approval, and who may let it go."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User

from grokvideo_django import services
from grokvideo_django.exceptions import (
    BudgetExceeded,
    InsufficientCredits,
    InvalidRequest,
    InvalidTransition,
    NotAllowed,
)
from grokvideo_django.models import Budget, CreditAccount, CreditEntry, VideoRequest

from .conftest import make_draft
from .making import Status, last_event, turn_into, unchanged

pytestmark = pytest.mark.django_db


def budget(**values: Any) -> Budget:
    return Budget.objects.create(**{"name": "site", **values})


def person(name: str, *permissions: str) -> User:
    user = User.objects.create_user(name)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def site(settings: Any, **values: Any) -> None:
    settings.GROKVIDEO = {**settings.GROKVIDEO, **values}


@pytest.fixture
def chief(db: None) -> User:
    return person("chief", "approve")


@pytest.fixture
def waiting(editor: User, settings: Any) -> VideoRequest:
    """Ten credits, where all above five waits."""
    site(settings, APPROVAL_ABOVE=5)
    row = make_draft(editor, duration_seconds=2)
    services.start(row)
    return row


def refused(row: VideoRequest, **values: Any) -> str:
    """Why it was not started; it is as it was."""
    with unchanged(), pytest.raises(BudgetExceeded) as error:
        services.start(row, **values)
    row.refresh_from_db()
    assert row.status == Status.DRAFT
    return str(error.value)


# How long, how large, how many


def test_a_video_may_not_be_longer_than_a_budget_allows(editor):
    budget(max_duration_seconds=3)
    words = "The budget “site” allows videos of at most 3 s. Nothing was charged. Shorten it, or ask someone who may"
    assert refused(make_draft(editor, duration_seconds=4)).startswith(words)
    services.start(make_draft(editor, duration_seconds=3))


def test_a_video_may_not_be_larger_than_a_budget_allows(editor):
    limit = budget(max_resolution="480p")
    words = "The budget “site” allows at most 480p. Nothing was charged. Choose a smaller resolution, or ask"
    assert refused(make_draft(editor, resolution="720p")).startswith(words)
    services.start(make_draft(editor))
    Budget.objects.filter(pk=limit.pk).update(max_resolution="720p")
    services.start(make_draft(editor, resolution="720p"))


def test_no_more_run_at_once_than_a_budget_allows(editor):
    budget(scope="user", user=editor, max_running=2)
    rows = [make_draft(editor) for _row in range(2)]
    for row in rows:
        services.start(row)
    another = make_draft(editor)
    words = (
        "The budget “site” allows 2 at once, and so many are running. Nothing was charged. Wait for one to end, or ask"
    )
    assert refused(another).startswith(words)
    turn_into(rows[0], Status.IN_DOUBT)  # nobody knows for how long: it blocks nobody
    services.start(another)
    services.cancel(another)
    services.start(make_draft(editor))


def test_others_in_the_group_run_too(editor):
    group = Group.objects.create(name="editors")
    other, stranger = person("other"), person("stranger")
    group.user_set.add(editor, other)
    budget(scope="group", group=group, max_running=1)
    for owner in (other, stranger):
        VideoRequest.objects.create(owner=owner, prompt="x", status=Status.SUBMITTED)
    assert "1 at once" in refused(make_draft(editor))
    VideoRequest.objects.filter(owner=other).update(status=Status.FAILED)
    services.start(make_draft(editor))


# Who exceeds


def test_who_may_exceed_says_why_and_that_is_on_the_record(editor):
    limit = budget(limit_credits=1, max_duration_seconds=1, max_resolution="480p", max_running=0)
    boss = person("boss", "exceed")
    row = make_draft(editor, duration_seconds=2, resolution="720p")
    services.start(row, actor=boss, exceed_reason=" the launch ")
    event = last_event(row)
    assert event.message == "Started for 14 credits. It may exceed its budgets. Reason: “the launch”."
    assert event.actor == "boss"
    held = CreditEntry.objects.get(kind="hold")
    assert held.reason.endswith("(exceeds its budgets: the launch)")
    assert limit.counters.get().used == 14


def test_others_may_not_exceed(editor, draft):
    budget(limit_credits=1)
    with unchanged(), pytest.raises(NotAllowed, match="may not exceed budgets"):
        services.start(draft, exceed_reason="please")
    assert "has 1 left" in refused(draft, actor=person("boss", "exceed"), exceed_reason="  ")  # no reason, no exception


def test_a_budget_that_is_passed_leaves_the_draft_as_it_was(draft):
    limit = budget(limit_credits=4, period="forever")
    assert "This needs 5 credits, and the budget “site” has 4 left." in refused(draft)
    assert not limit.counters.filter(used__gt=0).exists()


# What waits


def test_above_the_sites_limit_it_waits_and_holds_nothing(editor, waiting):
    limit = budget()
    assert (waiting.status, waiting.quoted_credits) == (Status.AWAITING_APPROVAL, 10)
    account = CreditAccount.objects.for_user(editor)
    assert (account.held, limit.counters.exists()) == (0, False)
    event = last_event(waiting)
    assert (event.kind, event.actor) == ("approval_asked", "editor")
    assert event.message == "It costs 10 credits, more than 5: it waits for approval. Nothing is held yet."


def test_at_the_limit_it_does_not_wait(editor, settings):
    site(settings, APPROVAL_ABOVE=5)
    row = make_draft(editor)
    services.start(row)
    assert row.status == Status.QUEUED


def test_the_lowest_limit_counts(editor, settings):
    site(settings, APPROVAL_ABOVE=50)
    budget(approval_above=40)
    budget(approval_above=9, scope="user", user=editor)
    budget(approval_above=0, is_active=False)
    small, large = make_draft(editor), make_draft(editor, duration_seconds=2)
    services.start(small)
    services.start(large)
    assert (small.status, large.status) == (Status.QUEUED, Status.AWAITING_APPROVAL)


def test_approved_it_is_held_for_and_queued(editor, waiting, chief):
    limit = budget()
    services.approve(waiting, actor=chief, reason="For the front page.")
    assert waiting.status == Status.QUEUED
    assert CreditAccount.objects.for_user(editor).held == 10
    assert limit.counters.get().used == 10
    event = last_event(waiting)
    assert (event.message, event.actor) == ("Approved for 10 credits. Reason: “For the front page.”", "chief")
    with unchanged(), pytest.raises(InvalidTransition, match="does not await approval"):
        services.approve(waiting, actor=chief)


def test_without_the_credits_it_goes_on_waiting(editor, waiting, chief):
    VideoRequest.objects.filter(pk=waiting.pk).update(quoted_credits=101)
    with unchanged(), pytest.raises(InsufficientCredits):
        services.approve(waiting, actor=chief)


@pytest.mark.parametrize("limit", [{"limit_credits": 9}, {"max_running": 0}, {"max_duration_seconds": 1}])
def test_without_room_in_a_budget_it_goes_on_waiting(waiting, chief, limit):
    budget(**limit)
    with unchanged(), pytest.raises(BudgetExceeded):
        services.approve(waiting, actor=chief)
    with unchanged(), pytest.raises(NotAllowed, match="may not exceed"):
        services.approve(waiting, actor=chief, exceed_reason="all the same")
    services.approve(waiting, actor=person("boss", "approve", "exceed"), exceed_reason="all the same")
    assert waiting.status == Status.QUEUED


def test_declined_it_ends_and_cost_nothing(editor, waiting, chief):
    services.decline(waiting, actor=chief, reason="Too long.")
    assert (waiting.status, waiting.charged_credits) == (Status.CANCELED, 0)
    assert last_event(waiting).message == "Declined. It cost nothing. Reason: “Too long.”"
    assert CreditAccount.objects.for_user(editor).posted == 100
    with pytest.raises(InvalidTransition):
        services.decline(waiting, actor=chief)


def test_who_lacks_the_permission_neither_approves_nor_declines(waiting):
    other = person("other")
    for act in (services.approve, services.decline):
        with unchanged(), pytest.raises(NotAllowed, match="may not approve or decline"):
            act(waiting, actor=other)


def test_nobody_approves_their_own_unless_the_site_says_so(editor, waiting, settings):
    editor.user_permissions.set(Permission.objects.filter(codename="approve"))
    owner = User.objects.get(pk=editor.pk)
    for act in (services.approve, services.decline):
        with unchanged(), pytest.raises(NotAllowed, match="approves their own"):
            act(waiting, actor=owner)
    site(settings, APPROVE_OWN=True)
    services.approve(waiting, actor=owner)
    assert waiting.status == Status.QUEUED


@pytest.mark.parametrize("own", [True, False])
def test_who_may_approve_does_not_wait(editor, chief, settings, own):
    site(settings, APPROVAL_ABOVE=5, APPROVE_OWN=own)
    rows = [make_draft(editor, duration_seconds=2) for _row in range(3)]
    editor.user_permissions.set(Permission.objects.filter(codename="approve"))
    for row, actor in zip(rows, [chief, "cron", User.objects.get(pk=editor.pk)], strict=True):
        services.start(row, actor=actor)
    last = Status.QUEUED if own else Status.AWAITING_APPROVAL
    assert [row.status for row in rows] == [Status.QUEUED, Status.QUEUED, last]


def test_why_it_should_exceed_is_told_to_who_approves(editor, settings):
    site(settings, APPROVAL_ABOVE=5)
    editor.user_permissions.set(Permission.objects.filter(codename="exceed"))
    row = make_draft(editor, duration_seconds=2)
    services.start(row, actor=User.objects.get(pk=editor.pk), exceed_reason="the launch")
    assert last_event(row).message.endswith("Nothing is held yet. It should exceed its budgets. Reason: “the launch”.")


def test_what_waits_can_be_canceled(editor, waiting):
    services.cancel(waiting)
    assert (waiting.status, waiting.charged_credits) == (Status.CANCELED, 0)
    assert not CreditEntry.objects.filter(kind="hold").exists()


def test_what_waits_holds_no_place_among_those_that_run(editor, waiting, settings):
    budget(max_running=1)
    services.start(make_draft(editor))


def test_a_retry_above_the_limit_waits_again(waiting, chief):
    services.decline(waiting, actor=chief)
    again = services.retry(waiting)
    assert (again.status, again.retry_of) == (Status.AWAITING_APPROVAL, waiting)
    services.decline(again, actor=chief)
    assert services.retry(again, actor=chief).status == Status.QUEUED


def test_a_retry_that_a_budget_refuses_leaves_no_row(editor, draft):
    services.start(draft)
    services.cancel(draft)
    budget(limit_credits=4)
    with unchanged(), pytest.raises(BudgetExceeded):
        services.retry(draft)


def test_a_request_whose_owner_is_gone_is_not_approved(editor, waiting, chief):
    VideoRequest.objects.filter(pk=waiting.pk).update(owner=None)
    with unchanged(), pytest.raises(InvalidRequest, match="needs an owner"):
        services.approve(waiting, actor=chief)


def test_two_who_decide_at_once_decide_once(waiting, chief, monkeypatch):
    stale = VideoRequest.objects.get(pk=waiting.pk)
    services.decline(waiting, actor=chief)
    monkeypatch.setattr(services, "_awaiting", lambda request: stale)
    for act in (services.approve, services.decline):
        with unchanged(), pytest.raises(InvalidTransition):
            act(waiting, actor=chief)
