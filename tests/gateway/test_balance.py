"""Reading a balance of any shape."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokvideo_django.gateway import parse_balance


@pytest.mark.parametrize(
    ("payload", "usd"),
    [
        ({"balance_cents": 1234}, "12.34"),
        ({"balance_cents": 75, "balance": 0.75, "spent_cents": 25}, "0.75"),
        ({"balance": 12.5, "currency": "usd"}, "12.5"),
        ({"balance": "12.50"}, "12.5"),
        ({"balance": 0}, "0"),
        ({"balance": -3}, "-3"),
        ({"data": {"balance_usd": "7"}}, "7"),
        ({"balance": {"amount": 4, "currency": "usd"}}, "4"),
        ({"wallet": {"cents": 5}}, "0.05"),
        ({"balance_cents": None, "balance": 3}, "3"),
        ({"credit_balance": 1.00004}, "1"),
    ],
)
def test_what_says_how_much_is_left(payload, usd):
    assert parse_balance(payload) == Decimal(usd)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "12",
        {},
        {"balance": None, "balance_cents": None, "spent_cents": 25},
        {"balance": True},
        {"balance": "plenty"},
        {"balance": float("nan")},
        {"balance": "inf"},
        {"balance": "1e1000000"},
        {"balance_cents": "-1e999999"},
        {"balance": 10**5000},
        {"balance": "1e400"},
        {"balance": 2 * 10**9},
        {"balance_cents": 2 * 10**11},
        {"spent_usd": 3},
        {"data": [1]},
    ],
)
def test_what_does_not(payload):
    assert parse_balance(payload) is None


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["balance", "balance_cents", "data", "wallet", "cents", "amount"]), inner)
    ),
    max_leaves=10,
)


@given(json)
def test_whatever_comes_it_fits_the_column(payload):
    balance = parse_balance(payload)
    assert balance is None or (balance.is_finite() and abs(balance) < 10**10 and balance.as_tuple().exponent == -4)
