"""What waits for approval: told to its owner, queued for those who may approve, decided once; and exceeding budgets."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from grokvideo_django import services
from grokvideo_django.models import Budget, CreditAccount, VideoRequest
from tests.making import many, put

from .conftest import ADD, LIST, allow, as_, buttons_of, form_of, generate, page, person, press, said, text_of

pytestmark = pytest.mark.django_db

QUEUE = f"{LIST}?status__exact=awaiting_approval"
Status = VideoRequest.Status


@pytest.fixture(autouse=True)
def limit(settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "APPROVAL_ABOVE": 20}


@pytest.fixture
def approver(db):
    """May approve, and nothing else."""
    return person("approver", "approve")


@pytest.fixture
def draft(editor):
    """25 credits."""
    return VideoRequest.objects.create(owner=editor, prompt="A fox crosses a frozen lake")


@pytest.fixture
def waiting(draft):
    services.start(draft)
    assert draft.status == Status.AWAITING_APPROVAL
    return draft


def account(user):
    return CreditAccount.objects.for_user(user)


def read(obj):
    obj.refresh_from_db()
    return obj


# Its owner


def test_the_owner_is_told_that_it_waits_and_that_nothing_is_held(client, editor, draft):
    response = generate(client, draft)
    words = "It costs 25 credits, about $0.25 and waits for approval; nothing is held yet. You can close this page."
    assert said(response) == [("success", words)]
    assert "It waits for approval. Nothing is held yet." in text_of(response)
    assert "25 if approved" in text_of(response)
    assert "Decline" not in text_of(response)
    assert account(editor).held == 0


def test_save_and_generate_says_so_too(client):
    data = form_of(client.get(ADD), prompt="A fox")
    response = client.post(ADD, {**data, "_generate": "1"}, follow=True)
    assert "waits for approval; nothing is held yet" in said(response)[-1][1]


def test_a_retry_says_so_too(client, waiting):
    services.cancel(waiting)
    response = client.post(*press(client.get(page(waiting)), "retry"), follow=True)
    words = "Made again as a new request of 25 credits, about $0.25. It waits for approval; nothing is held yet."
    assert said(response) == [("success", words)]


def test_generating_several_counts_only_what_is_held(client, editor, draft):
    cheap = VideoRequest.objects.create(owner=editor, prompt="A hare", duration_seconds=1)
    data = {
        "action": "generate_selected", "confirmed": "1", "_selected_action": [draft.pk, cheap.pk],
        f"expected_{draft.pk}": 25, f"expected_{cheap.pk}": 5,
    }  # fmt: skip
    told = [words for _level, words in said(client.post(LIST, data, follow=True))]
    assert "“A fox crosses a frozen lake” waits for approval; nothing is held for it yet." in told
    assert "1 request was started. Held: 5 credits, about $0.05." in told


def test_the_owner_cancels_what_waits(client, editor, waiting):
    client.post(*press(client.get(page(waiting)), "cancel"))
    assert read(waiting).status == Status.CANCELED


# The queue


def test_an_approver_finds_what_waits_and_only_that(approver, editor, colleague, waiting):
    put(colleague, "queued")
    client = as_(approver)
    assert list(client.get(LIST).context["cl"].result_list) == [waiting]
    response = client.get(QUEUE)
    assert "1 awaits approval" in text_of(response)
    assert QUEUE in response.content.decode()
    assert list(response.context["cl"].result_list) == [waiting]


@pytest.mark.parametrize("permissions", [[], ["add_videorequest", "view_videorequest"]])
def test_the_way_to_the_queue_is_there_once(approver, waiting, permissions):
    allow(approver, *permissions)
    html = as_(approver).get(LIST).content.decode()
    assert html.count("1 awaits approval") == 1
    assert html.count('class="object-tools"') == 1


def test_others_see_no_queue(client, manager):
    for browser in (client, as_(manager)):
        assert "awaits approval" not in text_of(browser.get(LIST))


def test_the_queue_takes_no_query_per_row(approver, editor, colleague, waiting):
    client = as_(approver)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert client.get(QUEUE).status_code == 200
        return len(captured)

    queries()
    few = queries()
    many(colleague, 30, "awaiting_approval", due_at=None)
    assert queries() == few


def test_the_page_shows_price_and_balance(approver, waiting):
    response = as_(approver).get(page(waiting))
    words = "Held at once if you approve it: 25 credits, about $0.25. Available to editor: 100."
    assert words in text_of(response)
    assert buttons_of(response) == []


# Deciding


def test_approving_holds_and_sends(approver, editor, waiting):
    response = as_(approver).post(page(waiting, "approve"), {"reason": "For the autumn"}, follow=True)
    assert said(response) == [
        ("success", "Approved, and a worker sends it. Held: 25 credits, about $0.25 (paid by editor).")
    ]
    assert response.redirect_chain == [(QUEUE, 302)]
    assert read(waiting).status == Status.QUEUED
    assert account(editor).held == 25
    event = waiting.events.last()
    assert (event.actor, "For the autumn" in event.message) == ("approver", True)


def test_who_sees_all_stays_on_the_page(manager, waiting):
    allow(manager, "approve")
    response = as_(manager).post(page(waiting, "approve"), follow=True)
    assert response.redirect_chain == [(page(waiting), 302)]


def test_approving_twice_holds_once(approver, editor, waiting):
    client = as_(approver)
    for _twice in range(2):
        response = client.post(page(waiting, "approve"), follow=True)
    assert said(response) == [("info", "It does not await approval any more. Nothing was changed.")]
    assert account(editor).held == 25


def test_a_second_decision_of_who_sees_all_changes_nothing(manager, editor, waiting):
    allow(manager, "approve")
    client = as_(manager)
    client.post(page(waiting, "approve"), follow=True)
    response = client.post(page(waiting, "decline"), {"reason": "no"}, follow=True)
    assert said(response)[0][0] == "info"
    assert read(waiting).status == Status.QUEUED


def test_declining_ends_it_for_nothing_with_a_reason(approver, client, editor, waiting):
    response = as_(approver).post(page(waiting, "decline"), {"reason": "Too long"}, follow=True)
    assert said(response) == [("success", "Declined. It cost nothing; its owner finds the reason on its page.")]
    assert read(waiting).status == Status.CANCELED
    assert account(editor).held == 0
    assert "Too long" in text_of(client.get(page(waiting)))


def test_declining_needs_a_reason(approver, waiting):
    response = as_(approver).post(page(waiting, "decline"), {"reason": " "}, follow=True)
    words = "It was not declined and goes on waiting. Give a reason, which its owner reads."
    assert said(response) == [("error", words)]
    assert response.redirect_chain == [(page(waiting), 302)]
    assert read(waiting).status == Status.AWAITING_APPROVAL


@pytest.mark.parametrize("name", ["approve", "decline"])
def test_a_reason_with_a_nul_is_kept_without_it(approver, waiting, name):
    as_(approver).post(page(waiting, name), {"reason": "For\0 June"})
    assert "For June" in waiting.events.last().message


def test_what_cannot_be_paid_goes_on_waiting(approver, editor, waiting):
    CreditAccount.objects.filter(user=editor).update(posted=0)
    account(editor).grants.update(remaining=0)
    response = as_(approver).post(page(waiting, "approve"), follow=True)
    assert said(response)[0][0] == "error"
    assert said(response)[0][1].startswith("It was not approved and goes on waiting. This needs 25 credits")
    assert read(waiting).status == Status.AWAITING_APPROVAL


def test_what_no_budget_allows_goes_on_waiting(approver, waiting):
    Budget.objects.create(name="Site", limit_credits=10)
    response = as_(approver).post(page(waiting, "approve"), follow=True)
    assert "the budget “Site” has 10 left" in said(response)[0][1]
    assert response.redirect_chain == [(page(waiting), 302)]
    assert read(waiting).status == Status.AWAITING_APPROVAL


def test_nobody_approves_their_own(editor, waiting):
    allow(editor, "approve")
    client = as_(editor)
    response = client.get(page(waiting))
    assert "Nobody approves their own requests here; another site manager can." in text_of(response)
    assert page(waiting, "approve") not in response.content.decode()
    for name in ("approve", "decline"):
        response = client.post(page(waiting, name), {"reason": "x"}, follow=True)
        assert "Nobody approves their own requests here." in said(response)[0][1]
    assert read(waiting).status == Status.AWAITING_APPROVAL


def test_unless_the_site_lets_them(editor, waiting, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "APPROVE_OWN": True}
    allow(editor, "approve")
    client = as_(editor)
    assert page(waiting, "approve") in client.get(page(waiting)).content.decode()
    client.post(page(waiting, "approve"))
    assert read(waiting).status == Status.QUEUED


@pytest.mark.parametrize("name", ["approve", "decline"])
def test_who_may_not_approve_may_not(client, manager, waiting, name):
    for browser in (client, as_(manager)):
        assert browser.post(page(waiting, name), {"reason": "x"}).status_code == 403
    assert read(waiting).status == Status.AWAITING_APPROVAL


@pytest.mark.parametrize("name", ["approve", "decline"])
def test_opening_the_address_decides_nothing(approver, waiting, name):
    assert as_(approver).get(page(waiting, name)).url == page(waiting)
    assert read(waiting).status == Status.AWAITING_APPROVAL


@pytest.mark.parametrize("name", ["cancel", "generate", "retry", "delete"])
def test_an_approver_does_nothing_else_with_it(waiting, name):
    approver = person("both", "approve", "add_videorequest", "change_videorequest", "delete_videorequest")
    response = as_(approver).post(page(waiting, name), {"post": "yes"})
    assert response.status_code in {302, 403}
    assert read(waiting).status == Status.AWAITING_APPROVAL


@pytest.mark.parametrize("name", ["approve", "decline", "exceed"])
def test_csrf_is_enforced(approver, waiting, name):
    allow(approver, "exceed")
    client = as_(approver, enforce_csrf_checks=True)
    assert client.post(page(waiting, name), {"reason": "x"}).status_code == 403
    assert read(waiting).status == Status.AWAITING_APPROVAL
    client.get(page(waiting))
    token = client.cookies["csrftoken"].value
    assert client.post(page(waiting, name), {"reason": "x", "csrfmiddlewaretoken": token}).status_code == 302


# Exceeding a budget


@pytest.fixture
def cheap(editor):
    return VideoRequest.objects.create(owner=editor, prompt="A hare", duration_seconds=2)


@pytest.fixture
def tight(db):
    return Budget.objects.create(name="Site", limit_credits=5)


def test_who_may_exceed_is_asked_why(editor, cheap, tight):
    allow(editor, "exceed")
    client = as_(editor)
    response = generate(client, cheap)
    assert response.redirect_chain == [(page(cheap, "exceed"), 302)]
    assert "the budget “Site” has 5 left" in said(response)[0][1]
    assert "It costs 10 credits, about $0.10." in text_of(response)
    refused = client.post(page(cheap, "exceed"), {"expected_credits": 10, "reason": " "})
    assert "reason" in refused.context["form"].errors
    assert read(cheap).is_draft
    response = client.post(page(cheap, "exceed"), {"expected_credits": 10, "reason": "The fair"}, follow=True)
    assert "Started. Held until the video is stored: 10 credits" in said(response)[0][1]
    assert read(cheap).status == Status.QUEUED
    assert "The fair" in cheap.events.last().message
    response = client.post(page(cheap, "exceed"), {"expected_credits": 10, "reason": "The fair"}, follow=True)
    assert said(response) == [("info", "It was started before. Nothing was charged again.")]
    assert account(editor).held == 10


def test_who_does_not_see_the_page_exceeds_nothing(cheap, tight):
    writer = as_(person("writer", "add_videorequest", "change_all", "exceed"))
    assert writer.get(page(cheap, "exceed")).status_code == 403
    assert writer.post(page(cheap, "exceed"), {"expected_credits": 10, "reason": "x"}).status_code == 403
    assert read(cheap).is_draft


def test_a_price_that_was_not_shown_is_not_paid(editor, cheap, tight):
    allow(editor, "exceed")
    response = as_(editor).post(page(cheap, "exceed"), {"expected_credits": "", "reason": "x"}, follow=True)
    assert said(response)[0][0] == "warning"
    assert read(cheap).is_draft


def test_who_may_not_exceed_is_told_only(client, cheap, tight):
    response = generate(client, cheap)
    assert response.redirect_chain == [(page(cheap), 302)]
    assert client.post(page(cheap, "exceed"), {"expected_credits": 10, "reason": "x"}).status_code == 403
    assert read(cheap).is_draft


def test_an_approver_who_may_exceed_is_asked_too(approver, editor, waiting, tight):
    allow(approver, "exceed")
    client = as_(approver)
    response = client.post(page(waiting, "approve"), follow=True)
    assert response.redirect_chain == [(page(waiting, "exceed"), 302)]
    response = client.post(page(waiting, "exceed"), {"reason": "The fair"}, follow=True)
    assert said(response)[0][0] == "success"
    assert read(waiting).status == Status.QUEUED
    assert account(editor).held == 25


def test_nobody_exceeds_for_what_is_not_theirs_to_start(editor, approver, waiting, tight):
    allow(editor, "exceed")
    assert as_(editor).post(page(waiting, "exceed"), {"reason": "x"}).status_code == 403
    assert as_(approver).post(page(waiting, "exceed"), {"reason": "x"}).status_code == 403
    assert as_(person("outsider", "exceed")).post(page(waiting, "exceed"), {"reason": "x"}).url == "/admin/"
    assert read(waiting).status == Status.AWAITING_APPROVAL
