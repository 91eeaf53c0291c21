"""The paid POST: parameters, money, keys, idempotency, and every way in which its answer can fail."""

from __future__ import annotations

import base64
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import httpx
import pytest
from PIL import Image

from grokvideo_django.sandbox import Sandbox
from grokvideo_django.sandbox.faults import VOCABULARY, Kind
from grokvideo_django.sandbox.orders import MAX_IMAGE_PIXELS, ROUTED_MODEL
from tests.sandbox.conftest import KEY, Api

REFUSALS = sorted(name for name in VOCABULARY if name.startswith("create-") and name != "create-200")


def picture(size: tuple[int, int] = (32, 24), kind: str = "PNG") -> str:
    stream = io.BytesIO()
    Image.new("RGB", size, "teal").save(stream, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


class TestAccepted:
    def test_the_documented_answer(self, api: Api) -> None:
        answer = api.post("a fox", duration=5)
        assert answer.status_code == 202
        body = answer.json()
        assert body["status"] == "queued"
        assert body["model"] == "xai/grok-imagine-video"
        assert abs(body["created"] - time.time()) < 5
        assert body["id"].startswith("job_")

    def test_everything_is_recorded_but_the_key(self, api: Api) -> None:
        headers = {"Idempotency-Key": "k-1", "x-aig-tag": "site:7"}
        api.post("a fox", headers=headers, resolution="720p")
        (accepted,) = api.sandbox.accepted
        assert (accepted.idempotency_key, accepted.tag, accepted.prompt) == ("k-1", "site:7", "a fox")
        assert accepted.payload["resolution"] == "720p"
        assert KEY not in json.dumps(accepted.headers)
        assert list(api.sandbox.jobs) == [accepted.job_id]

    def test_without_a_model_the_gateway_chooses_another(self, api: Api) -> None:
        answer = api.http.post("/videos/generations", json={"prompt": "a fox"})
        assert answer.json()["model"] == ROUTED_MODEL

    @pytest.mark.parametrize("duration", [1, 15, 7.5])
    @pytest.mark.parametrize("resolution", ["480p", "720p"])
    def test_durations_and_resolutions(self, api: Api, duration: float, resolution: str) -> None:
        with_delay = "[sandbox:fail]"  # renders nothing
        assert api.post(with_delay, duration=duration, resolution=resolution).status_code == 202

    @pytest.mark.parametrize(
        ("ratio", "size"),
        [
            ("1:1", (480, 480)),
            ("16:9", (854, 480)),
            ("9:16", (480, 854)),
            ("4:3", (640, 480)),
            ("3:4", (480, 640)),
            ("3:2", (720, 480)),
            ("2:3", (480, 720)),
        ],
    )
    def test_aspect_ratios(self, api: Api, ratio: str, size: tuple[int, int]) -> None:
        job = api.job("[sandbox:fail] x", aspect_ratio=ratio)
        assert api.sandbox.jobs[job].order.size == size

    @pytest.mark.parametrize(
        "url", [picture(), picture(kind="JPEG"), "https://example.com/a.png", "http://[::1]/a.png"]
    )
    def test_input_images(self, api: Api, url: str) -> None:
        assert api.post("[sandbox:fail]", image_url=url).status_code == 202


class TestRefused:
    @pytest.mark.parametrize(
        ("payload", "param"),
        [
            ({"prompt": ""}, "prompt"),
            ({"prompt": "  "}, "prompt"),
            ({"prompt": None}, "prompt"),
            ({"prompt": 7}, "prompt"),
            ({"prompt": "x" * 20000}, "prompt"),
            ({"duration": 0}, "duration"),
            ({"duration": 16}, "duration"),
            ({"duration": "5"}, "duration"),
            ({"duration": True}, "duration"),
            ({"aspect_ratio": "21:9"}, "aspect_ratio"),
            ({"aspect_ratio": None}, "aspect_ratio"),
            ({"resolution": "1080p"}, "resolution"),
            ({"image_url": "ftp://example.com/a.png"}, "image_url"),
            ({"image_url": "http:///a.png"}, "image_url"),
            ({"image_url": "data:image/png,abc"}, "image_url"),
            ({"image_url": "data:image/png;base64,????"}, "image_url"),
            ({"image_url": "data:image/png;base64,AAAA"}, "image_url"),
            ({"image_url": "data:text/html;base64,AAAA"}, "image_url"),
            ({"image_url": 5}, "image_url"),
            ({"model": 7}, "model"),
            ({"model": ["x"]}, "model"),
            ({"webhook_url": {}}, "webhook_url"),
        ],
    )
    def test_bad_parameters(self, api: Api, payload: dict[str, object], param: str) -> None:
        answer = api.http.post("/videos/generations", json={"prompt": "a fox", **payload})
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["param"], error["code"], error["type"]) == (param, 400, "invalid_request_error")
        assert error["message"]
        assert api.sandbox.accepted == []

    def test_an_image_with_too_many_pixels(self, api: Api) -> None:
        side = int(MAX_IMAGE_PIXELS**0.5) + 100
        head = io.BytesIO()
        Image.new("1", (side, side)).save(head, "PNG")
        url = f"data:image/png;base64,{base64.b64encode(head.getvalue()).decode()}"
        answer = api.post(image_url=url)
        assert answer.status_code == 400
        assert "pixels" in answer.json()["error"]["message"]

    @pytest.mark.parametrize("model", ["openai/sora", "sora"])
    def test_an_unknown_model(self, api: Api, model: str) -> None:
        answer = api.post(model=model)
        assert answer.status_code == 404
        assert answer.json()["error"]["param"] == "model"

    @pytest.mark.parametrize("name", ["model", "image_url", "webhook_url"])
    def test_what_must_be_text(self, api: Api, name: str) -> None:
        answer = api.post(**{name: ["x"]})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
    def test_no_json_object(self, api: Api, body: bytes) -> None:
        assert api.http.post("/videos/generations", content=body).status_code == 400

    @pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic sk-aig-x", "Bearer"])
    def test_a_bad_key(self, api: Api, header: str | None) -> None:
        headers = {} if header is None else {"Authorization": header}
        answer = api.anonymous.post(f"{api.sandbox.base_url}/videos/generations", json={"prompt": "x"}, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["type"] == "authentication_error"

    def test_only_the_chosen_key(self) -> None:
        with Sandbox(key="sk-aig-one") as sandbox, httpx.Client(trust_env=False) as http:
            codes = [
                http.get(f"{sandbox.base_url}/balance", headers={"Authorization": f"Bearer {key}"}).status_code
                for key in ("sk-aig-one", "sk-aig-two")
            ]
            assert codes == [200, 401]
            assert sandbox.settings["API_KEY"] == "sk-aig-one"
            assert "sk-aig-one" not in json.dumps(sandbox.state())

    def test_an_unknown_marker_lists_the_known_ones(self, api: Api) -> None:
        answer = api.post("a fox [sandbox:loast-answer]")
        assert answer.status_code == 400
        assert "loast-answer" in answer.text
        assert "lost-answer" in answer.json()["error"]["message"]


class TestWallet:
    def test_the_price_of_each_second(self, api: Api) -> None:
        api.sandbox.options.wallet_cents = 100
        api.job("x", duration=5)  # 25
        api.job("[sandbox:never]", duration=5, resolution="720p", image_url="https://example.com/a.png")  # 35.2
        assert api.sandbox.options.wallet_cents == pytest.approx(39.8)

    def test_empty_is_402(self, api: Api) -> None:
        api.sandbox.options.wallet_cents = 24.9
        answer = api.post(duration=5)
        assert answer.status_code == 402
        assert answer.json()["error"]["type"] == "insufficient_credits"
        assert api.sandbox.accepted == []
        assert api.sandbox.options.wallet_cents == 24.9

    def test_what_fails_costs_nothing_unless_moderated(self, api: Api) -> None:
        api.sandbox.options.wallet_cents = 100
        for word in ("failed", "expired", "cancelled", "moderated"):
            api.job(f"[sandbox:{word}]", duration=1)
        assert api.sandbox.options.wallet_cents == 95


class TestIdempotency:
    def test_by_default_the_key_is_only_recorded(self, api: Api) -> None:
        ids = {api.post(headers={"Idempotency-Key": "k"}).json()["id"] for _ in range(2)}
        assert len(ids) == 2

    def test_it_can_be_honoured(self, api: Api) -> None:
        api.sandbox.options.idempotent = True
        answers = [api.post(headers={"Idempotency-Key": key}).json()["id"] for key in ("k", "k", "other")]
        assert answers[0] == answers[1] != answers[2]
        assert len(api.sandbox.accepted) == 2

    def test_requests_without_a_key_are_never_the_same(self, api: Api) -> None:
        api.sandbox.options.idempotent = True
        assert api.job() != api.job()

    def test_at_the_same_moment(self, api: Api) -> None:
        api.sandbox.options.idempotent = True
        api.sandbox.options.wallet_cents = 100
        with ThreadPoolExecutor(8) as threads:
            ids = set(threads.map(lambda _: api.post(headers={"Idempotency-Key": "k"}).json()["id"], range(16)))
        assert len(ids) == 1
        assert api.sandbox.options.wallet_cents == 95

    def test_between_the_look_and_the_write(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        api.sandbox.options.idempotent = True
        api.sandbox.options.wallet_cents = 100
        monkeypatch.setattr(api.sandbox.world.jobs, "by_key", lambda key: None)
        assert len({api.post(headers={"Idempotency-Key": "k"}).json()["id"] for _ in range(2)}) == 1
        assert api.sandbox.options.wallet_cents == 95

    def test_an_error_that_was_accepted(self, api: Api) -> None:
        api.sandbox.options.idempotent = True
        api.sandbox.behave("error-but-accepted", times=1)
        key = {"Idempotency-Key": "k"}
        assert api.post(headers=key).status_code == 500
        assert api.post(headers=key).json()["id"] == api.sandbox.accepted[0].job_id
        assert len(api.sandbox.accepted) == 1

    def test_an_error_that_was_accepted_and_paid_twice(self, api: Api) -> None:
        prompt = "[sandbox:error-but-accepted=502*1]"
        assert api.post(prompt).status_code == 502
        assert api.post(prompt).status_code == 202
        assert len(api.sandbox.accepted) == 2


class TestFaults:
    @pytest.mark.parametrize("word", REFUSALS)
    def test_a_status_is_a_refusal(self, api: Api, word: str) -> None:
        answer = api.post(f"a fox [sandbox:{word}*1]")
        assert answer.status_code == int(word[-3:])
        if answer.status_code == 302:
            assert answer.headers["Location"] == "/elsewhere"
        else:
            assert answer.json()["error"]["code"] == answer.status_code
        assert api.sandbox.accepted == []
        assert api.post(f"a fox [sandbox:{word}*1]").status_code == 202

    @pytest.mark.parametrize("word", ["lost-answer", "cut-answer"])
    def test_accepted_and_lost(self, api: Api, word: str) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            api.post(f"[sandbox:{word}]")
        assert len(api.sandbox.accepted) == 1

    def test_lost_and_not_accepted(self, api: Api) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            api.post("[sandbox:lost-request]")
        assert api.sandbox.accepted == []
        assert api.sandbox.answers["create hangup"] == 1

    def test_bad_json(self, api: Api) -> None:
        answer = api.post("[sandbox:bad-json]")
        assert answer.status_code == 202
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            answer.json()
        assert len(api.sandbox.accepted) == 1

    def test_html(self, api: Api) -> None:
        answer = api.post("[sandbox:html-answer]")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")

    def test_empty(self, api: Api) -> None:
        answer = api.post("[sandbox:empty-answer]")
        assert (answer.status_code, answer.content) == (200, b"")

    def test_no_id(self, api: Api) -> None:
        assert "id" not in api.post("[sandbox:no-id]").json()
        assert len(api.sandbox.accepted) == 1

    def test_200(self, api: Api) -> None:
        assert api.post("[sandbox:create-200]").status_code == 200

    def test_stall(self, api: Api) -> None:
        with pytest.raises(httpx.ReadTimeout):
            api.http.post("/videos/generations", json={"prompt": "[sandbox:stall=30]"}, timeout=0.3)
        assert len(api.sandbox.accepted) == 1

    def test_stall_before_a_refusal(self, api: Api) -> None:
        began = time.monotonic()
        assert api.post("[sandbox:stall=0.3 create-500]").status_code == 500
        assert time.monotonic() - began >= 0.3

    def test_created_at(self, api: Api) -> None:
        body = api.post("[sandbox:created-at]").json()
        assert {"created_at", "updated_at"} < body.keys()
        assert "created" not in body

    @pytest.mark.parametrize(("value", "header"), [("", "1"), ("=30", "30")])
    def test_retry_after_in_seconds(self, api: Api, value: str, header: str) -> None:
        assert api.post(f"[sandbox:create-429{value}]").headers["Retry-After"] == header

    @pytest.mark.parametrize(("value", "seconds"), [("date", 5), ("date:60", 60)])
    def test_retry_after_as_a_date(self, api: Api, value: str, seconds: int) -> None:
        header = api.post(f"[sandbox:create-503={value}]").headers["Retry-After"]
        assert abs(parsedate_to_datetime(header).timestamp() - time.time() - seconds) < 3

    def test_503_has_no_retry_after_unless_told(self, api: Api) -> None:
        assert "Retry-After" not in api.post("[sandbox:create-503]").headers

    def test_the_counts_of_two_posts_are_apart(self, api: Api) -> None:
        codes = [
            api.post("[sandbox:create-500*1]", headers={"Idempotency-Key": key}).status_code
            for key in ("a", "b", "a", "b")
        ]
        assert codes == [500, 500, 202, 202]

    def test_one_after_the_other(self, api: Api) -> None:
        prompt = "[sandbox:create-500*2] [sandbox:create-429*1]"
        assert [api.post(prompt).status_code for _ in range(4)] == [500, 500, 429, 202]

    def test_every_create_word_is_tested_here(self) -> None:
        tested = {"lost-answer", "lost-request", "cut-answer", "bad-json", "html-answer", "empty-answer", "no-id"}
        tested |= {"error-but-accepted", "stall", "create-200", *REFUSALS}
        assert tested == {name for name, word in VOCABULARY.items() if word.kind is Kind.CREATE}
