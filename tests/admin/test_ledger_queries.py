"""The pages of the ledger cost the same queries, however long the books are."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from grokvideo_django import credits
from grokvideo_django.models import Budget


def fill(number: int) -> None:
    user = get_user_model().objects.create_user(f"payer-{number}")
    Budget.objects.create(name=f"budget {number}", scope="user", user=user, limit_credits=100)
    credits.grant(user, 100)
    for _time in range(3):
        credits.capture(credits.hold(user, 2))


@pytest.mark.parametrize("model", ["creditaccount", "creditentry", "budget"])
def test_a_list_costs_the_same_queries_for_many_as_for_few(admin_client, model):
    url, counts = reverse(f"admin:grokvideo_{model}_changelist"), []
    for numbers in (range(2), range(2, 8)):
        for number in numbers:
            fill(number)
        admin_client.get(url)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert admin_client.get(url).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
