"""The gateway's bill: both shapes are read, and nothing is guessed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from grokvideo_django.gateway import AnswerLost, TagUsage
from grokvideo_django.gateway.usage import parse_usage
from tests.gateway.conftest import KEY
from tests.gateway.server import reply

ROWS = [{"tag": "b", "requests": 2, "cost_usd": 0.1}, {"tag": "a", "requests": 1, "cost_cents": 20}]
READ = (
    TagUsage(tag="a", usd=Decimal("0.20"), requests=1),
    TagUsage(tag="b", usd=Decimal("0.1"), requests=2),
)


@pytest.mark.parametrize(
    "payload",
    [
        ROWS,
        {"data": ROWS},
        {"object": "list", "month": "2026-11", "data": ROWS},
        [{"label": row["tag"], **{name: row[name] for name in row if name != "tag"}} for row in ROWS],
        [{**ROWS[0], "cost_usd": "0.1"}, {**ROWS[1], "cost_cents": 20.0}],
    ],
)
def test_both_shapes_are_read(payload):
    usage = parse_usage(payload, month="2026-11")
    assert (usage.rows, usage.problem) == (READ, "")


def test_a_month_without_costs():
    assert parse_usage({"data": []}, month="2026-11").rows == ()


def test_what_was_sent_without_a_tag():
    for row in ({"tag": None, "cost_usd": 1}, {"tag": "", "cost_usd": 1}, {"tag": None, "label": "", "cost_usd": 1}):
        assert parse_usage([row], month="2026-11").rows == (TagUsage(tag="", usd=Decimal(1)),)


def test_several_rows_of_a_tag_are_one():
    rows = [{"tag": "a", "cost_usd": "0.1", "requests": 1}, {"tag": "a", "cost_usd": "0.2", "requests": 2}]
    assert parse_usage(rows, month="2026-11").rows == (TagUsage(tag="a", usd=Decimal("0.3"), requests=3),)
    assert parse_usage([*rows, {"tag": "a", "cost_usd": 0}], month="2026-11").rows[0].requests is None


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (None, "it is no list of tags"),
        ("nothing", "it is no list of tags"),
        ({"data": {"a": 1}}, "it is no list of tags"),
        ({"rows": ROWS}, "it is no list of tags"),
        ({"month": "2026-10", "data": ROWS}, "it is about 2026-10, and 2026-11 was asked for"),
        ({"month": [], "data": ROWS}, "it is about something else, and 2026-11 was asked for"),
        (["a"], "row 1 of 1 has no tag and cost that can be read"),
        ([ROWS[0], {"tag": "a"}], "row 2 of 2 has no tag and cost"),
        ([{"cost_usd": 1}], "row 1 of 1 has no tag and cost"),
        ([{"tag": 5, "cost_usd": 1}], "row 1 of 1 has no tag and cost"),
        ([{"tag": "a", "cost_usd": True}], "row 1 of 1 has no tag and cost"),
        ([{"tag": "a", "cost_usd": "much"}], "row 1 of 1 has no tag and cost"),
        ([{"tag": "a", "cost_usd": float("inf")}], "row 1 of 1 has no tag and cost"),
        ([{"tag": "a", "cost_usd": float("nan"), "cost_cents": 1}], "row 1 of 1 has no tag and cost"),
        ([{"tag": "a", "cost_cents": 10**5000}], "row 1 of 1 has no tag and cost"),
        ([{"tag": "a", "cost_usd": 1e13}], "row 1 of 1 has no tag and cost"),
    ],
)
def test_garbage_is_refused_in_words(payload, problem):
    usage = parse_usage(payload, month="2026-11")
    assert usage.rows == ()
    assert problem in usage.problem


def test_the_client_asks_for_the_month(server, client):
    server.answer(reply(200, {"data": ROWS}))
    assert client.usage("2026-11") == READ
    assert server.received[0].target == "/v1/usage/by-tag?month=2026-11"


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"data": 1}'])
def test_an_answer_that_cannot_be_read(server, client, body):
    server.answer(reply(200, body))
    with pytest.raises(AnswerLost, match="The gateway's usage cannot be read: it is no list of tags") as lost:
        client.usage("2026-11")
    assert KEY not in str(lost.value)
