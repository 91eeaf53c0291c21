"""Models, balance, usage by tag."""

from __future__ import annotations

import time

import pytest

from tests.sandbox.conftest import Api

MONTH = time.strftime("%Y-%m", time.gmtime())


def test_models(api: Api) -> None:
    (model,) = api.http.get("/models").json()["data"]
    assert model["id"] == "xai/grok-imagine-video"
    assert api.http.get(f"/models/{model['id']}").json() == model
    assert api.http.get("/models/xai%2Fgrok-imagine-video").json() == model
    assert api.http.get(f"/models/{model['id']}/schema").json() == model["schema"]
    assert api.http.get("/models/xai/other").status_code == 404
    assert api.http.get("/models", params={"modality": "video", "provider": "xai"}).json()["data"] == [model]
    assert api.http.get("/models", params={"modality": "text"}).json()["data"] == []


def test_balance(api: Api) -> None:
    assert api.http.get("/balance").json()["balance_cents"] is None
    api.sandbox.options.wallet_cents = 100
    api.job(duration=5)
    body = api.http.get("/balance").json()
    assert (body["balance_cents"], body["balance"], body["spent_cents"]) == (75, 0.75, 25)


def test_usage(api: Api) -> None:
    for tag in ("a", "a", "b"):
        api.job(headers={"x-aig-tag": tag}, duration=2)
    api.cancel(api.job("[sandbox:queued=60]", headers={"x-aig-tag": "b"}))
    expected = [
        {"tag": "a", "requests": 2, "cost_cents": 20, "cost_usd": 0.2},
        {"tag": "b", "requests": 2, "cost_cents": 10, "cost_usd": 0.1},
    ]
    assert api.http.get("/usage/by-tag").json() == {"object": "list", "month": MONTH, "data": expected}
    assert api.http.get("/usage/by-tag", params={"month": "2020-01"}).json()["data"] == []
    api.sandbox.behave("usage-list", times=1)
    assert api.http.get("/usage/by-tag", params={"month": MONTH}).json() == expected
    api.sandbox.behave("usage-label", times=1)
    assert api.http.get("/usage/by-tag").json()["data"][0]["label"] == "a"


@pytest.mark.parametrize("path", ["models", "balance", "usage/by-tag"])
@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_they_fail_too(api: Api, path: str, status: int) -> None:
    api.sandbox.behave(f"account-{status}", times=1)
    assert [api.http.get(f"/{path}").status_code for _ in range(2)] == [status, 200]


def test_html_and_one_endpoint_only(api: Api) -> None:
    api.sandbox.behave("account-html", match="balance")
    assert "<html" in api.http.get("/balance").text
    assert api.http.get("/models").json()
