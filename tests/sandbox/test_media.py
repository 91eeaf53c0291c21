"""The files: ranges, links, keys where none belongs, and every hostile body."""

from __future__ import annotations

import gzip
import time

import httpx
import pytest

from grokvideo_django.sandbox.bodies import MP4_HEAD, drip
from grokvideo_django.sandbox.faults import VOCABULARY, Kind
from tests.sandbox.conftest import KEY, Api

STATUSES = sorted(n for n, w in VOCABULARY.items() if w.kind is Kind.MEDIA and n[-3:].isdecimal())


class TestServing:
    def test_the_whole_file(self, api: Api) -> None:
        answer = api.media(api.job())
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "video/mp4"
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.content[4:8] == b"ftyp"
        assert answer.headers["accept-ranges"] == "bytes"

    def test_head(self, api: Api) -> None:
        answer = api.anonymous.head(api.url(api.job()))
        assert answer.content == b""
        assert int(answer.headers["content-length"]) > 1000

    @pytest.mark.parametrize(
        ("asked", "part"),
        [
            ("bytes=0-9", slice(0, 10)),
            ("bytes=100-", slice(100, None)),
            ("bytes=-7", slice(-7, None)),
            ("bytes=5-99999999", slice(5, None)),
        ],
    )
    def test_ranges(self, api: Api, asked: str, part: slice) -> None:
        job = api.job()
        whole, piece = api.media(job).content, api.media(job, Range=asked)
        assert piece.status_code == 206
        assert piece.content == whole[part]
        assert piece.headers["content-range"].endswith(f"/{len(whole)}")

    @pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=9-5", "bytes=-", "bytes=x-y", "bytes=5"])
    def test_ranges_that_cannot_be_served(self, api: Api, asked: str) -> None:
        answer = api.media(api.job(), Range=asked)
        assert answer.status_code == 416
        assert answer.headers["content-range"].startswith("bytes */")

    def test_several_ranges_get_the_whole(self, api: Api) -> None:
        assert api.media(api.job(), Range="bytes=0-1,5-6").status_code == 200

    def test_only_reading(self, api: Api) -> None:
        answer = api.anonymous.post(api.url(api.job()))
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "GET, HEAD"

    def test_no_file(self, api: Api) -> None:
        job = api.job("[sandbox:queued=9]")
        url = api.sandbox.world.media_url(api.sandbox.media_host, api.sandbox.jobs[job], 60)
        assert api.anonymous.get(url).status_code == 404
        assert api.anonymous.get(url.replace("video.mp4", "other.mp4")).status_code == 404
        assert api.anonymous.get(url.replace(job, "job_0")).status_code == 404


class TestLinks:
    def test_a_link_expires_and_a_read_renews_it(self, api: Api) -> None:
        job = api.job()
        url = api.url(job)
        api.sandbox.advance(24 * 3600 + 2)
        assert api.anonymous.get(url).status_code == 403
        assert api.media(job).status_code == 200

    def test_the_file_is_deleted_after_seven_days(self, api: Api) -> None:
        job = api.job()
        api.sandbox.advance(7 * 24 * 3600 + 2)
        assert api.media(job).status_code == 404

    @pytest.mark.parametrize(
        "change", [("token=", "token=0"), ("exp=", "exp=9"), ("exp=", "exp=x"), ("token=", "tok=")]
    )
    def test_a_forged_link(self, api: Api, change: tuple[str, str]) -> None:
        assert api.anonymous.get(api.url(api.job()).replace(*change)).status_code == 403

    def test_signing(self, api: Api) -> None:
        job = api.job()
        answer = api.http.get(f"/files/jobs/{job}/video.mp4/signed", params={"expires_in": 60})
        assert abs(answer.json()["expires_at"] - time.time() - 60) < 3
        assert api.anonymous.get(answer.json()["url"]).status_code == 200
        api.sandbox.advance(62)
        assert api.anonymous.get(answer.json()["url"]).status_code == 403

    @pytest.mark.parametrize("seconds", ["59", "604801", "soon"])
    def test_signing_has_limits(self, api: Api, seconds: str) -> None:
        answer = api.http.get(f"/files/jobs/{api.job()}/video.mp4/signed", params={"expires_in": seconds})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "expires_in"

    @pytest.mark.parametrize("path", ["job_0/video.mp4", "{job}/other.mp4"])
    def test_signing_needs_a_file(self, api: Api, path: str) -> None:
        path = path.format(job=api.job())
        assert api.http.get(f"/files/jobs/{path}/signed").status_code == 404

    @pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
    def test_signing_fails(self, api: Api, status: int) -> None:
        job = api.job(f"[sandbox:sign-{status}*1]")
        codes = [api.http.get(f"/files/jobs/{job}/video.mp4/signed").status_code for _ in range(2)]
        assert codes == [status, 200]

    def test_the_documented_download_with_the_key(self, api: Api) -> None:
        job = api.job()
        assert api.http.get(f"/files/jobs/{job}/video.mp4").content == api.media(job).content
        assert api.anonymous.get(f"{api.sandbox.base_url}/files/jobs/{job}/video.mp4").status_code == 401
        assert api.sandbox.leaked_keys == 0

    def test_the_documented_public_link(self, api: Api) -> None:
        job = api.job()
        public = f"{api.sandbox.base_url}/files/jobs/{job}/video.mp4/public"
        query = httpx.URL(api.url(job)).params
        assert api.anonymous.get(public, params=query).status_code == 200
        assert api.anonymous.get(public).status_code == 400


class TestKeys:
    @pytest.mark.parametrize(
        "headers", [{"Authorization": f"Bearer {KEY}"}, {"Authorization": "Basic eDp5"}, {"X-Api-Key": KEY}]
    )
    def test_a_key_is_counted_and_refused(self, api: Api, headers: dict[str, str]) -> None:
        answer = api.media(api.job(), **headers)
        assert answer.status_code == 400
        assert api.sandbox.leaked_keys == 1
        assert api.state()["leaked_keys"] == 1

    def test_a_key_in_the_url(self, api: Api) -> None:
        assert api.anonymous.get(api.url(api.job()) + f"&key={KEY}").status_code == 400
        assert api.sandbox.leaked_keys == 1


class TestFaults:
    @pytest.mark.parametrize("word", STATUSES)
    def test_a_status(self, api: Api, word: str) -> None:
        job = api.job(f"[sandbox:{word}*2]")
        assert [api.media(job).status_code for _ in range(3)] == [int(word[-3:])] * 2 + [200]

    def test_unsigned(self, api: Api) -> None:
        job = api.job("[sandbox:media-unsigned]")
        assert api.media(job).status_code == 401
        signed = api.http.get(f"/files/jobs/{job}/video.mp4/signed").json()["url"]
        assert api.anonymous.get(signed).status_code == 200

    def test_redirects(self, api: Api) -> None:
        away, again = api.job("[sandbox:media-redirect=http://10.0.0.1/]"), api.job("[sandbox:media-redirect*1]")
        assert api.media(away).headers["Location"] == "http://10.0.0.1/"
        url = api.url(again)
        assert api.anonymous.get(url, follow_redirects=True).status_code == 200
        endless = api.url(api.job("[sandbox:media-redirect=self]"))
        with pytest.raises(httpx.TooManyRedirects):
            api.anonymous.get(endless, follow_redirects=True)

    def test_cut(self, api: Api) -> None:
        job = api.job("[sandbox:media-cut*1]")
        with pytest.raises(httpx.RemoteProtocolError):
            api.media(job)
        assert api.media(job).status_code == 200

    def test_lost(self, api: Api) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            api.media(api.job("[sandbox:media-lost]"))

    def test_truncated(self, api: Api) -> None:
        job = api.job("[sandbox:media-truncated-mp4*1]")
        half, whole = api.media(job).content, api.media(job).content
        assert half == whole[: len(whole) // 2]

    @pytest.mark.parametrize(
        ("word", "start"), [("media-html", b"<!doctype html"), ("media-svg", b"<svg"), ("media-empty", b"")]
    )
    def test_not_a_video(self, api: Api, word: str, start: bytes) -> None:
        answer = api.media(api.job(f"[sandbox:{word}]"))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
        assert answer.content.startswith(start)
        assert start or answer.headers["content-length"] == "0"

    def test_drip(self, api: Api) -> None:
        with api.anonymous.stream("GET", api.url(api.job("[sandbox:media-drip]"))) as answer:
            began, pieces = time.monotonic(), answer.iter_raw()
            assert b"".join(next(pieces) for _ in range(2)) == MP4_HEAD[:2]
            assert time.monotonic() - began > 0.8

    def test_a_drip_ends(self) -> None:
        assert list(drip(lambda seconds: None, iter([b"ab", b"c"]))) == [b"a", b"b", b"c"]

    def test_endless(self, api: Api) -> None:
        seen = 0
        with api.anonymous.stream("GET", api.url(api.job("[sandbox:media-endless]"))) as answer:
            assert "content-length" not in answer.headers
            for piece in answer.iter_raw():
                seen += len(piece)
                if seen > 5_000_000:
                    break
        assert seen > 5_000_000

    def test_big(self, api: Api) -> None:
        answer = api.media(api.job("[sandbox:media-big=3]"))
        assert len(answer.content) == 3_000_000
        assert answer.content.startswith(MP4_HEAD)
        assert len(api.media(api.job("[sandbox:media-big=0.00001]")).content) == 10

    def test_gzip(self, api: Api) -> None:
        with api.anonymous.stream("GET", api.url(api.job("[sandbox:media-gzip=20]"))) as answer:
            packed = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip, gzip"
        assert len(packed) < 2000
        assert len(gzip.decompress(gzip.decompress(packed))) == 20_000_000 + len(MP4_HEAD)

    def test_type_and_length(self, api: Api) -> None:
        answer = api.media(api.job("[sandbox:media-type=text/plain media-no-length media-stall=0.01]"))
        assert answer.headers["content-type"] == "text/plain"
        assert "content-length" not in answer.headers
        assert answer.content[4:8] == b"ftyp"
