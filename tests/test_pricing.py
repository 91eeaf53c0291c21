"""Prices: rounded up, never zero by accident, never above the quote."""

from decimal import Decimal

import pytest

from grokvideo_django import pricing
from grokvideo_django.exceptions import UnknownPrice

MODEL = "xai/grok-imagine-video"


def price(resolution="480p", seconds=1, has_image=False, model=MODEL):
    return pricing.price(model=model, resolution=resolution, seconds=seconds, has_image=has_image)


@pytest.fixture
def listed(settings):
    """Set the price list of the model."""

    def set_prices(prices):
        settings.GROKVIDEO = {**settings.GROKVIDEO, "PRICES": prices}

    return set_prices


@pytest.mark.parametrize(
    ("resolution", "seconds", "has_image", "credits"),
    [
        ("480p", 1, False, 5),
        ("480p", 15, False, 75),
        ("720p", 1, False, 7),
        ("720p", 10, False, 70),
        ("480p", 1, True, 6),  # 5.2
        ("720p", 15, True, 106),  # 105.2
    ],
)
def test_the_default_list(resolution, seconds, has_image, credits):
    assert price(resolution, seconds, has_image) == credits


@pytest.mark.parametrize(
    ("each", "seconds", "credits"),
    [
        (3, 2, 6),
        ("0.07", 10, 1),
        ("0.07", 15, 2),
        (Decimal("2.5"), 3, 8),
        (0.1, 10, 1),  # as it is written: the float is a little more than 0.1
        (0.07, 100, 7),
        ("5.0000000001", 1, 6),
    ],
)
def test_the_sum_is_rounded_up_and_not_each_second(listed, each, seconds, credits):
    listed({MODEL: {"480p": each}})
    assert price(seconds=seconds) == credits


@pytest.mark.parametrize("image", ["0", 0, "0.0"])
def test_an_image_may_be_free(listed, image):
    listed({MODEL: {"480p": "5", "image": image}})
    assert price(has_image=True) == 5


@pytest.mark.parametrize(
    "garbage",
    [None, "", "five", "NaN", "-NaN", "Infinity", "-1", -1, float("nan"), float("inf"), True, [5], {"a": 1}, "9e999999",
     10**10],
    ids=repr,
)  # fmt: skip
def test_garbage_is_no_price(listed, garbage):
    for prices in ({MODEL: {"480p": garbage, "image": 0}}, {MODEL: {"480p": 5, "image": garbage}}):
        listed(prices)
        with pytest.raises(UnknownPrice, match="GROKVIDEO"):
            price(has_image=True)


@pytest.mark.parametrize("prices", [None, [], "5", 5, {}, {MODEL: None}, {MODEL: 5}, {MODEL: ["480p"]}, {MODEL: {}}])
def test_a_list_that_is_none_has_no_price(listed, prices):
    listed(prices)
    with pytest.raises(UnknownPrice):
        price()


@pytest.mark.parametrize("zero", [0, "0", "0.00", Decimal(0)])
def test_nothing_is_free_by_accident(listed, zero):
    listed({MODEL: {"480p": zero, "image": 3}})
    for has_image in (False, True):
        with pytest.raises(UnknownPrice, match="not above zero"):
            price(has_image=has_image)


def test_no_seconds_are_no_price():
    with pytest.raises(UnknownPrice):
        price(seconds=0)


def test_what_is_missing_is_named(listed):
    listed({MODEL: {"480p": 5}})
    for values, words in (
        ({"resolution": "1080p"}, f'no price for 1080p of the model "{MODEL}"'),
        ({"model": "other"}, 'no price for 480p of the model "other"'),
        ({"has_image": True}, "no price for image"),
    ):
        with pytest.raises(UnknownPrice, match=words):
            price(**values)


@pytest.mark.parametrize(
    ("reported", "measured", "asked", "seconds"),
    [
        (5, 9, 15, 5),
        (None, 4.2, 15, 4),
        (None, None, 7, 7),
        (2.49, None, 15, 2),
        (2.5, None, 15, 3),
        (3.5, None, 15, 4),
        (0, 9, 15, 1),
        (0.2, None, 15, 1),
        (-3, None, 15, 1),
        (16.2, None, 15, 15),
        (1e300, None, 15, 15),
        (float("nan"), 4, 15, 4),
        (float("inf"), None, 6, 6),
        (float("nan"), float("-inf"), 6, 6),
    ],
)
def test_delivered_seconds(reported, measured, asked, seconds):
    result = pricing.delivered_seconds(reported=reported, measured=measured, asked=asked)
    assert result == seconds
    assert type(result) is int


def test_the_charge_never_exceeds_the_quote(listed):
    listed({MODEL: {"480p": 5, "image": 1}})
    values = {"model": MODEL, "resolution": "480p", "has_image": True}
    assert pricing.charge(quoted=51, seconds=10, **values) == 51
    assert pricing.charge(quoted=51, seconds=3, **values) == 16
    assert pricing.charge(quoted=40, seconds=10, **values) == 40  # the list became dearer
    listed({})
    assert pricing.charge(quoted=51, seconds=3, **values) == 51  # the list lost it


@pytest.mark.parametrize(
    ("policy", "credits"),
    [
        ("none", 0), ("full", 25), (0, 0), (1, 25), ("0.5", 13), (0.1, 3), (Decimal("0.2"), 5), ("2", 25), (-1, 0),
        ("NaN", 0), ("half", 0), (None, 0), (True, 0), ([], 0), ({}, 0), ("9e999999", 25),
    ],
    ids=repr,
)  # fmt: skip
def test_what_an_end_without_a_video_costs(settings, policy, credits):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "CHARGE": {"failed": policy}}
    assert pricing.charge_without_video(quoted=25, outcome="failed") == credits
    assert pricing.charge_without_video(quoted=25, outcome="moderated") == 0


@pytest.mark.parametrize("policy", [None, "full", [], 5])
def test_a_policy_that_is_none_charges_nothing(settings, policy):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "CHARGE": policy}
    assert pricing.charge_without_video(quoted=25, outcome="failed") == 0


@pytest.mark.parametrize(("amount", "words"), [(0, "0 credits"), (1, "1 credit"), (25, "25 credits")])
def test_counted(amount, words):
    assert pricing.counted(amount) == words


@pytest.mark.parametrize(
    ("credits", "usd", "words"),
    [(25, "0.01", "$0.25"), (0, "0.01", "$0.00"), (123456, "0.01", "$1,234.56"), (3, Decimal("0.5"), "$1.50")],
)
def test_in_dollars(settings, credits, usd, words):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "CREDIT_USD": usd}
    assert pricing.in_dollars(credits) == words
