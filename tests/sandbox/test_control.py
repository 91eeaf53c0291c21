"""The control endpoint, and the same things from Python."""

from __future__ import annotations

import base64
import io
import time

import httpx
import pytest
from PIL import Image

from grokvideo_django.sandbox import Sandbox
from grokvideo_django.sandbox.clips import Factory
from grokvideo_django.sandbox.faults import VOCABULARY, UnknownWordError
from tests.sandbox.conftest import Api


class TestBehave:
    def test_the_next_requests_of_a_kind(self, api: Api) -> None:
        assert api.control("behave", word="read-500", times=2).json() == {"ok": True}
        job = api.job()
        assert api.state()["behaviours"] == [{"word": "read-500*2", "match": ""}]
        assert [api.read(job).status_code for _ in range(3)] == [500, 500, 200]
        assert api.state()["behaviours"] == []

    def test_for_ever_until_cleared(self, api: Api) -> None:
        api.sandbox.behave("create-503=7")
        assert {api.post().status_code for _ in range(4)} == {503}
        api.anonymous.delete(f"{api.sandbox.control_url}/behave")
        assert api.post().status_code == 202

    def test_only_some(self, api: Api) -> None:
        api.sandbox.behave("failed", match="wolf")
        fox, wolf = api.job("a fox"), api.job("a wolf")
        api.sandbox.behave("read-404*1", match=wolf)
        assert [api.read(job).status_code for job in (fox, wolf, wolf)] == [200, 404, 200]
        assert [api.sandbox.status(job) for job in (fox, wolf)] == ["completed", "failed"]

    def test_queued_comes_before_the_prompts_own(self, api: Api) -> None:
        api.sandbox.behave("create-500", times=1)
        prompt = "[sandbox:create-429*1]"
        assert [api.post(prompt).status_code for _ in range(3)] == [500, 429, 202]

    def test_times_override_the_word(self, api: Api) -> None:
        assert api.sandbox.behave("never*5", times=1).left == 1

    @pytest.mark.parametrize(
        ("arguments", "param"),
        [
            ({"word": "nonsense"}, "word"),
            ({}, "word"),
            ({"word": "never", "times": 0}, "times"),
            ({"word": "never", "times": "x"}, "times"),
        ],
    )
    def test_mistakes(self, api: Api, arguments: dict[str, object], param: str) -> None:
        answer = api.control("behave", **arguments)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)

    def test_mistakes_in_python(self, sandbox: Sandbox) -> None:
        with pytest.raises(UnknownWordError, match="lost-answer"):
            sandbox.behave("lost-anser")


class TestState:
    def test_what_it_says(self, api: Api) -> None:
        stream = io.BytesIO()
        Image.effect_noise((64, 64), 50).save(stream, "PNG")
        data = f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
        job = api.job("[sandbox:fail]", headers={"Idempotency-Key": "k", "x-aig-tag": "t"}, image_url=data)
        api.read(job)
        state = api.state()
        (found,) = state["jobs"]
        assert (found["id"], found["status"], found["reads"], found["tag"]) == (job, "failed", 1, "t")
        assert len(found["payload"]["image_url"]) < 300
        assert state["accepted_by_idempotency_key"] == {"k": 1}
        assert state["accepted_posts"] == 1
        assert state["answers"] == {"create 202": 1, "read 200": 1}
        assert state == api.sandbox.state() | {"options": state["options"]}

    def test_without_the_jobs(self, api: Api) -> None:
        api.job("[sandbox:fail]")
        state = api.anonymous.get(f"{api.sandbox.control_url}/state", params={"jobs": "0"}).json()
        assert "jobs" not in state
        assert state["accepted_posts"] == 1

    def test_the_vocabulary(self, api: Api) -> None:
        words = api.anonymous.get(f"{api.sandbox.control_url}/faults").json()
        assert words.keys() == VOCABULARY.keys()
        assert words["shape"]["takes"] == ["url", "file_url", "result_url", "data"]

    def test_the_index(self, api: Api) -> None:
        assert "sandbox" in api.anonymous.get(f"http://{api.sandbox.media_host}/").json()["service"]


class TestCommands:
    def test_wallet(self, api: Api) -> None:
        api.control("wallet", cents=1)
        assert api.post().status_code == 402
        api.control("wallet", cents=None)
        assert api.post().status_code == 202

    def test_key_revoked(self, api: Api) -> None:
        api.control("key-revoked", revoked=True)
        assert api.http.get("/balance").status_code == 401
        api.control("key-revoked", revoked=False)
        assert api.http.get("/balance").status_code == 200

    def test_options(self, api: Api) -> None:
        api.control("options", requests_per_minute=5, latency=[60, 0], idempotent=True, link_seconds=1.5)
        options = api.sandbox.options
        assert (options.requests_per_minute, options.latency, options.idempotent) == (5, (60, 0), True)
        assert api.snapshot(api.job())["status"] == "queued"

    def test_clock_and_finish(self, api: Api) -> None:
        one, two = api.job("[sandbox:delay=60]"), api.job("[sandbox:never]")
        api.control("clock", advance=60)
        assert api.snapshot(one)["status"] == "completed"
        api.control("finish", job=two)
        assert api.snapshot(two)["status"] == "completed"
        three = api.job("[sandbox:never]")
        assert api.control("finish").status_code == 200
        assert api.sandbox.status(three) == "completed"

    def test_reset(self, api: Api) -> None:
        job = api.job()
        api.sandbox.behave("never")
        api.sandbox.options.wallet_cents = 0
        api.sandbox.advance(1000)
        assert api.control("reset").status_code == 200
        assert api.read(job).status_code == 404
        state = api.state()
        assert (state["accepted_posts"], state["behaviours"], state["answers"]) == (
            0,
            [],
            {"read 404": 1},
        )
        assert abs(api.post().json()["created"] - time.time()) < 5

    def test_an_answer_that_comes_after_a_reset_is_not_counted(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        job = api.job("[sandbox:read-stall=5]")
        monkeypatch.setattr(api.sandbox.world, "wait", lambda seconds: api.sandbox.reset())
        api.read(job)
        assert api.sandbox.answers == {}

    @pytest.mark.parametrize(
        ("command", "arguments"),
        [
            ("wallet", {"cents": "x"}),
            ("wallet", {"cents": -1}),
            ("clock", {}),
            ("clock", {"advance": True}),
            ("options", {"nonsense": 1}),
            ("options", {"latency": 5}),
            ("options", {"latency": [-1, 0]}),
            ("options", {"latency": ["a", 0]}),
            ("options", {"read_interval": None}),
        ],
    )
    def test_mistakes(self, api: Api, command: str, arguments: dict[str, object]) -> None:
        assert api.control(command, **arguments).status_code == 400

    def test_unknown_things(self, api: Api) -> None:
        assert api.control("finish", job="job_0").status_code == 404
        assert api.control("nonsense").status_code == 404
        assert api.http.get("/nonsense").status_code == 404
        assert api.http.put("/balance").status_code == 405


class TestSandbox:
    def test_settings_to_paste(self, sandbox: Sandbox) -> None:
        assert sandbox.settings == {
            "API_KEY": "sk-aig-sandbox",
            "BASE_URL": sandbox.base_url,
            "MEDIA_HOSTS": [sandbox.media_host],
            "ALLOW_PRIVATE_NETWORK": True,
        }
        assert sandbox.base_url == f"http://{sandbox.media_host}/v1"

    def test_offline(self, api: Api) -> None:
        with api.sandbox.offline(), pytest.raises(httpx.ConnectError):
            api.anonymous.get(f"{api.sandbox.base_url}/balance")
        assert api.http.get("/balance").status_code == 200

    def test_well_behaved(self, api: Api) -> None:
        api.sandbox.behave("create-500")
        api.sandbox.well_behaved()
        assert api.post().status_code == 202

    def test_an_unknown_job(self, sandbox: Sandbox) -> None:
        with pytest.raises(KeyError):
            sandbox.finish("job_0")

    def test_it_need_not_be_started(self) -> None:
        Sandbox().stop()

    def test_state_survives_a_restart(self, clips: Factory, tmp_path: object) -> None:
        folder = f"{tmp_path}/new/state"
        with Sandbox(clips=clips, state=folder, read_interval=0) as sandbox:
            api = Api(sandbox)
            kept = api.job("a fox [sandbox:read-500*1]", headers={"Idempotency-Key": "k"})
            cancelled, finished = api.job("[sandbox:queued=900]"), api.job("[sandbox:never]")
            api.cancel(cancelled)
            sandbox.finish(finished)
            content = api.media(finished).content
            api.close()
        with open(f"{folder}/jobs.jsonl", "a") as lines:  # noqa: PTH123
            lines.write('{"id": "cut')
        with Sandbox(clips=clips, state=folder, read_interval=0, idempotent=True) as sandbox:
            api = Api(sandbox)
            assert [sandbox.status(job) for job in (kept, cancelled, finished)] == [
                "completed",
                "cancelled",
                "completed",
            ]
            assert [api.read(kept).status_code for _ in range(2)] == [500, 200]
            assert api.post(headers={"Idempotency-Key": "k"}).json()["id"] == kept
            assert api.media(finished).content == content
            assert sandbox.world.studio.rendered == 0
            after = api.job("[sandbox:fail] after the cut line")
            api.close()
        with Sandbox(clips=clips, state=folder) as sandbox:
            assert sandbox.status(after) == "failed"
            sandbox.reset()
            assert sandbox.jobs == {}
        with Sandbox(clips=clips, state=folder) as sandbox:
            assert sandbox.jobs == {}
