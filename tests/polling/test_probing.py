"""Whether a paused site may resume, asked of the sandbox at no cost."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from grokvideo_django.lifecycle import site
from grokvideo_django.models import GatewayState, VideoRequest
from grokvideo_django.polling import rate
from grokvideo_django.polling import tick as ticking

from ..making import Status, overdue, put, seconds_until
from ..timing import about

pytestmark = pytest.mark.django_db


def state():
    return GatewayState.objects.current()


def paused(status, *, probes=0):
    site.pause(timezone.now() - timedelta(minutes=1), status=status, message="No.")
    GatewayState.objects.update(probes=probes)


def asked(sandbox):
    return sum(count for what, count in sandbox.answers.items() if what.startswith("account "))


@pytest.fixture
def waiting(editor):
    row = put(editor, Status.QUEUED)
    overdue(row)
    return row


def test_after_402_an_empty_wallet_keeps_the_pause_and_a_filled_one_ends_it(tick, bell, sandbox, waiting, caplog):
    sandbox.options.wallet_cents = 0
    paused(402)
    tick()
    assert (state().is_paused, state().probes, state().let_one_through) == (True, 1, False)
    assert (state().balance_usd, bell.submitted) == (Decimal(0), [])
    assert seconds_until(state().probe_at) == about(30)
    sandbox.options.wallet_cents = 1234
    site.probe_now(timezone.now())
    overdue(waiting)
    tick()
    assert not state().is_paused
    assert (state().balance_usd, bell.submitted) == (Decimal("12.34"), [waiting.pk])
    assert seconds_until(state().balance_at) == about(0)
    assert len(caplog.records) == 1  # the end is announced with the first submission that is accepted
    assert sandbox.accepted == []


def test_with_nothing_in_flight_it_is_probed_all_the_same(tick, bell, sandbox):
    sandbox.options.wallet_cents = 100
    paused(402)
    began = time.monotonic()
    tick(60)
    assert time.monotonic() - began < 30
    assert not state().is_paused
    assert bell.rings == []  # and nothing keeps the ticks coming


def test_it_is_not_probed_before_it_is_due_nor_without_a_pause(tick, sandbox, waiting):
    tick()
    site.pause(timezone.now(), status=402, message="")
    tick()
    assert asked(sandbox) == 0
    assert state().probes == 0


@pytest.mark.parametrize("fault", ["", "account-html"])
def test_after_401_a_balance_of_any_kind_proves_the_key_and_a_page_of_html_nothing(fault, tick, sandbox):
    if fault:
        sandbox.behave(fault)
    paused(401)
    tick()
    assert state().is_paused == state().let_one_through == bool(fault)


def test_after_401_a_key_that_is_still_refused_keeps_the_pause(tick, bell, sandbox, waiting, caplog):
    sandbox.options.key_revoked = True
    paused(401)
    caplog.clear()
    tick()
    assert (state().is_paused, state().pause_status, state().let_one_through) == (True, 401, False)
    assert bell.submitted == []
    assert not caplog.records


def test_a_pause_for_a_key_becomes_one_for_the_wallet(tick, sandbox):
    sandbox.behave("account-402", match="balance")
    paused(401)
    tick()
    assert (state().is_paused, state().pause_status) == (True, 402)


def test_after_403_the_balance_is_not_asked_and_one_submission_tries(tick, bell, sandbox, waiting, editor):
    other = put(editor, Status.QUEUED)
    overdue(other)
    paused(403)
    tick()
    assert (state().is_paused, state().let_one_through, bell.submitted) == (True, True, [waiting.pk])
    assert asked(sandbox) == 0


@pytest.mark.parametrize("word", ["account-403", "account-404", "account-html"])
def test_a_balance_that_cannot_be_read_lets_one_submission_try(word, tick, bell, sandbox, waiting):
    sandbox.behave(word, match="balance")
    paused(402)
    tick()
    assert (state().is_paused, state().let_one_through, bell.submitted) == (True, True, [waiting.pk])


def test_an_endless_balance_says_nothing(tick, bell, sandbox, waiting):
    paused(402)
    tick()
    assert (state().is_paused, state().balance_at, bell.submitted) == (True, None, [waiting.pk])


@pytest.mark.parametrize("word", ["account-500", "account-503", "account-504"])
def test_a_gateway_that_is_down_lets_nobody_through_at_first(word, tick, bell, sandbox, waiting):
    sandbox.behave(word, match="balance")
    paused(402)
    for probes in (1, 2, 3):
        site.probe_now(timezone.now())
        tick()
        assert (state().probes, state().let_one_through) == (probes, probes == 3)


def test_429_blocks_everything_and_proves_nothing(tick, bell, sandbox, waiting):
    sandbox.behave("account-429=40")
    paused(402, probes=5)
    tick()
    assert (state().is_paused, state().let_one_through) == (True, False)
    assert rate.gate().take(1, "submit").wait_seconds == about(40)


def test_it_asks_the_gate_first(tick, sandbox, waiting):
    rate.gate().block(30)
    paused(402)
    tick()
    assert (asked(sandbox), state().probes) == (0, 0)


def test_while_the_balance_is_waited_for_the_lease_goes_on_and_no_transaction_is_open(tick, sandbox, monkeypatch):
    sandbox.behave("account-stall=2.5")
    monkeypatch.setattr(ticking, "LEASE_SECONDS", 1.5)
    paused(402)
    began = timezone.now()
    ends = []
    real = site.renew_tick

    def look(token, now, *, seconds):
        ends.append(now)
        return real(token, now, seconds=seconds)

    monkeypatch.setattr(site, "renew_tick", look)
    tick()
    assert len(ends) >= 2
    assert ends[-1] > began + timedelta(seconds=1.5)


def test_a_pause_by_hand_is_not_probed(tick, bell, sandbox, waiting):
    paused(402)
    site.pause_by_hand(timezone.now(), actor="cron", reason="Enough")
    tick()
    waiting.refresh_from_db()
    assert (asked(sandbox), bell.submitted, waiting.status) == (0, [], Status.QUEUED)
    assert waiting.due_at > timezone.now()


def test_a_probe_that_raises_stops_nothing(tick, bell, at_gateway, editor, monkeypatch, caplog):
    def broken(state, now):
        raise RuntimeError("boom")

    monkeypatch.setattr(site, "announce", broken)
    row = at_gateway(editor, "delay=0")
    tick()
    assert VideoRequest.objects.get(pk=row.pk).status == Status.RENDERED
    assert "could not be probed" in caplog.text
