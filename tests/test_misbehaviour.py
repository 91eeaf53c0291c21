"""Each way in which the gateway misbehaves: where the request ends, where its money is, and how many POSTs it took."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from grokvideo_django import services
from grokvideo_django.models import CreditEntry, GatewayState, PlannedFile
from grokvideo_django.sandbox.faults import VOCABULARY

from .conftest import make_draft

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Case:
    """A word for the sandbox, and what must come of it. ``posts`` are the accepted ones."""

    word: str
    status: str = "succeeded"
    charged: int | None = 5
    posts: int = 1
    kind: str = ""
    rounds: int = 6
    error: str = ""
    held: int = 0


NO_VIDEO = ("400", "401", "403", "404", "416", "html", "svg", "empty", "truncated-mp4", "gzip=1", "redirect=self")
CASES = [
    # The paid POST: certainly not accepted, so sent again
    Case("create-429*1", kind="not_accepted"),
    Case("create-429=date:1*1", kind="not_accepted"),
    Case("create-503*2", kind="not_accepted"),
    Case("create-500*2", kind="server_fault"),
    # ... the site's account is refused: it pauses, and resumes by itself
    Case("create-401*1", kind="site_refused"),
    Case("create-402*2", kind="site_refused"),
    Case("create-403*1", kind="site_refused"),
    # ... refused for good
    Case("create-400", "failed", 0, posts=0, error="400"),
    Case("create-404", "failed", 0, posts=0, error="404"),
    Case("create-405", "failed", 0, posts=0, error="405"),
    Case("create-409", "failed", 0, posts=0, error="409"),
    Case("create-422", "failed", 0, posts=0, error="422"),
    # ... nobody knows: never repeated, the hold stays
    Case("create-302", "in_doubt", None, posts=0, error="302", held=5),
    Case("create-408", "in_doubt", None, posts=0, error="408", held=5),
    Case("create-500", "in_doubt", None, posts=0, error="500", held=5),
    Case("create-502", "in_doubt", None, posts=0, error="502", held=5),
    Case("create-504", "in_doubt", None, posts=0, error="504", held=5),
    Case("error-but-accepted=502", "in_doubt", None, error="502", held=5),
    Case("lost-answer", "in_doubt", None, error="lost", held=5),
    Case("lost-request", "in_doubt", None, posts=0, error="lost", held=5),
    Case("cut-answer", "in_doubt", None, held=5),
    Case("bad-json", "in_doubt", None, held=5),
    Case("html-answer", "in_doubt", None, held=5),
    Case("empty-answer", "in_doubt", None, held=5),
    Case("no-id", "in_doubt", None, held=5),
    Case("stall=8", "in_doubt", None, error="lost", held=5),
    Case("create-200"),
    Case("stall=1"),
    # Reading: nothing that a read says or fails to say ends a video
    *(Case(f"read-{code}*2") for code in (302, 400, 401, 403, 404, 408, 410, 422, 500, 502, 503, 504)),
    Case("read-429*1"),
    *(
        Case(f"read-{word}*2")
        for word in ("html", "empty", "202", "202-empty", "304", "cut", "bad-json", "list", "lost")
    ),
    Case("read-stall=1"),
    # What becomes of the job
    Case("failed", "failed", 0, kind="gateway_failed", error="generation_failed"),
    Case("fail", "failed", 0, kind="gateway_failed"),
    Case("failed error=object", "failed", 0, kind="gateway_failed", error="generation_failed"),
    Case("failed error=none", "failed", 0, kind="gateway_failed"),
    Case("moderated", "failed", 0, kind="gateway_failed"),
    Case("expired", "failed", 0, kind="gateway_failed"),
    Case("cancelled", "canceled", 0),
    Case("canceled", "canceled", 0),
    Case("never", "submitted", None, held=5, rounds=3),
    Case("queued=60", "submitted", None, held=5, rounds=3),
    Case("delay=60", "submitted", None, held=5, rounds=3),
    Case("slow=240", "submitted", None, held=5, rounds=3),
    # How it looks
    Case("status=thinking delay=60", "submitted", None, held=5, rounds=3),
    Case("no-status delay=60", "submitted", None, held=5, rounds=3),
    Case("created-at"),
    *(Case(f"shape={shape}") for shape in ("url", "file_url", "result_url", "data")),
    Case("no-url", "submitted", None, held=5, rounds=3),
    Case("result-null", "submitted", None, held=5, rounds=3),
    Case("duration=99"),
    Case("duration=nan"),
    Case("no-duration"),
    Case("resolution=1920x1080"),
    Case("silent"),
    Case("clip-duration=3 no-duration"),
    # The file: what passes is tried again
    *(Case(f"media-{code}*2", kind="fetch_failed") for code in (408, 429, 500, 502, 503, 504)),
    *(Case(f"media-{word}*2", kind="fetch_failed") for word in ("cut", "lost")),
    Case("media-404*1", kind="media_refused"),
    Case("media-410*2", kind="media_refused"),
    Case("media-unsigned"),
    Case("media-type=text/plain"),
    Case("media-no-length"),
    # ... what does not is asked about again, three times
    *(Case(f"media-{word}", "in_doubt", None, kind="media_refused", error="media", held=5) for word in NO_VIDEO),
    Case("result-url=http://169.254.169.254/video.mp4", "in_doubt", None, error="media", held=5),
    Case("result-url=file:///etc/passwd", "in_doubt", None, error="media", held=5),
    Case("media-big=3", "in_doubt", None, error="media", held=5),
    Case("media-endless", "in_doubt", None, error="media", held=5),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.word)
def test_every_misbehaviour_ends_as_designed(case, sandbox, editor, account, crank, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "MAX_BYTES": 2_000_000, "POST_TIMEOUT": 3, "FETCH_SECONDS": 5}
    request = make_draft(editor, prompt=f"A fox [sandbox:{case.word}]")
    services.start(request)
    for _round in range(case.rounds):
        GatewayState.objects.update(probe_at=request.created_at)
        crank(request)
        if request.is_ended or request.status == "in_doubt":
            break

    assert request.status == case.status, list(request.events.values_list("kind", "message"))
    assert request.charged_credits == case.charged
    assert len(sandbox.accepted) == case.posts
    assert case.error in request.error_code
    if case.kind:
        assert request.events.filter(kind=case.kind).exists()
    account.refresh_from_db()
    assert account.held == case.held
    assert account.posted == 100 - (case.charged or 0)
    assert CreditEntry.objects.filter(kind="hold").count() == 1
    assert not GatewayState.objects.current().is_paused
    assert not PlannedFile.objects.exists()
    assert sandbox.leaked_keys == 0


def test_the_table_knows_every_word():
    told = {part.split("=")[0].split("*")[0] for case in CASES for part in case.word.split()}
    elsewhere = {"media-drip", "media-stall"}  # take longer than a test of this table may: tests/media
    about = {"create", "job", "snapshot", "result", "failure", "read", "media"}
    words = {name for name, word in VOCABULARY.items() if word.kind in about}
    assert words - told - elsewhere == set()
