"""Schemathesis against the sandbox with the vendor's own OpenAPI document: no answer may contradict it.

``aigateway-openapi.json`` is the vendor's document of 2026-06-23, cut down to the paths that the sandbox speaks and
otherwise unchanged. It names few statuses and the schema of no answer. So ``completed`` adds what its other parts and
the vendor's client say: any call can be refused, a refusal has the document's ``Error``, a job has an id and a status.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from grokvideo_django.sandbox import Sandbox

if not os.environ.get("CI"):
    pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install schemathesis")

import httpx
import schemathesis

DOCUMENT = Path(__file__).with_name("aigateway-openapi.json")
MODEL = "xai/grok-imagine-video"
JSON, MP4 = "application/json", "video/mp4"
REFUSALS = {
    "default": ("400", "401", "404", "405", "429"),
    "delete": ("400", "401", "404", "405", "409", "429"),
}
JOB = {
    "type": "object",
    "required": ["id", "status"],
    "properties": {
        "id": {"type": "string"},
        "status": {
            "enum": ["queued", "processing", "running", "completed", "failed", "cancelled", "canceled", "expired"]
        },
        "model": {"type": "string"},
        "modality": {"type": "string"},
        "created": {"type": "integer"},
        "result": {"type": "object", "required": ["url"], "properties": {"url": {"type": "string", "format": "uri"}}},
        "error": {"type": ["string", "object"]},
    },
}
LINK = {
    "type": "object",
    "required": ["url", "expires_at"],
    "properties": {"url": {"type": "string"}, "expires_at": {"type": "integer"}},
}
LIST = {"type": "object", "required": ["data"], "properties": {"data": {"type": "array", "items": {"type": "object"}}}}
OBJECT = {"type": "object"}
ORDER = {
    "prompt": {"type": "string", "pattern": r"^[ -Z]*[!-Z][ -Z]*$", "maxLength": 16384},
    "model": {"enum": [MODEL, "auto", "auto/video"]},
    "duration": {"type": "number", "minimum": 1, "maximum": 15},
    "aspect_ratio": {"enum": ["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3"]},
    "resolution": {"enum": ["480p", "720p"]},
    "image_url": {"enum": ["https://example.com/fox.png"]},
}
"""The ranges of the model, which the document leaves out."""
ANSWERS = {
    "/v1/models": LIST,
    "/v1/models/{id}": {**OBJECT, "required": ["id", "schema"]},
    "/v1/models/{id}/schema": {**OBJECT, "required": ["endpoint"]},
    "/v1/usage/by-tag": LIST,
    "/v1/videos/generations": JOB,
    "/v1/jobs/{id}": JOB,
    "/v1/files/jobs/{jobId}/{filename}": MP4,
    "/v1/balance": OBJECT,
    "/v1/files/jobs/{jobId}/{filename}/signed": LINK,
    "/v1/files/jobs/{jobId}/{filename}/public": MP4,
}


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the content of its answers, and with the refusals that it leaves out."""
    param = document["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["param"]
    assert param.pop("nullable")  # the word of OpenAPI 3.0; in 3.1, which the document claims to be, it says nothing
    param["type"] = ["string", "null"]
    refusal = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    body = document["paths"]["/v1/videos/generations"]["post"]["requestBody"]
    body["content"][JSON]["schema"]["properties"].update(ORDER)
    document["paths"]["/v1/files/jobs/{jobId}/{filename}/public"]["get"]["security"] = []  # as its summary says
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            expected = ANSWERS[path]
            content = {MP4: {}} if expected == MP4 else {JSON: {"schema": expected}}
            for status, answer in operation["responses"].items():
                answer["content"] = content if status.startswith("2") else refusal
            for status in REFUSALS.get(method, REFUSALS["default"]):
                operation["responses"].setdefault(status, {"description": "Refused", "content": refusal})
    return document


schema = schemathesis.openapi.from_dict(completed(json.loads(DOCUMENT.read_text())))
job_ids: list[str] = []
link: dict[str, str] = {}
seen: dict[str, set[int]] = defaultdict(set)


@schema.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Names that exist, in half of the paths: guessed ones find nothing but 404."""
    drawn = sum(len(str(value)) for value in (path_parameters or {}).values())
    if not path_parameters or drawn % 2:
        return path_parameters
    about_models = context.operation.path.startswith("/v1/models")
    job_id = job_ids[drawn // 2 % len(job_ids)]
    known = {"id": MODEL if about_models else job_id, "jobId": job_ids[0], "filename": "video.mp4"}
    return {name: known[name] for name in path_parameters}


@schema.hook
def map_query(context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """A signature that is right, in half of the public links."""
    if context.operation.path.endswith("/public") and query and len(str(query)) % 2 == 0:
        return dict(link)
    return query


@pytest.fixture(scope="module")
def gateway() -> Iterator[Sandbox]:
    """With a completed job, a failed one, one in processing and one in the queue."""
    with Sandbox(fast_clips=True, read_interval=0) as running:
        headers = {"Authorization": f"Bearer {running.key}"}
        with httpx.Client(base_url=running.base_url, headers=headers, trust_env=False) as http:
            for words in ("delay=0", "failed", "queued=0 never", "queued=999 never"):
                order = {"model": MODEL, "prompt": f"A fox [sandbox:{words}]", "duration": 1}
                job_ids.append(http.post("/videos/generations", json=order).json()["id"])
            signed = http.get(f"/files/jobs/{job_ids[0]}/video.mp4/signed").json()["url"]
        link.update(httpx.URL(signed).params)
        yield running
    job_ids.clear()
    if len(seen) == len(ANSWERS) + 1:  # all of them ran
        assert [name for name, statuses in seen.items() if not statuses & {200, 202}] == []


@schema.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_answer_contradicts_the_document(case: Any, gateway: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {gateway.key}"}
    response = case.call(base_url=gateway.base_url.removesuffix("/v1"), headers=headers)
    case.validate_response(response, headers=headers, excluded_checks=left_out(case.operation.label))
    seen[case.operation.label].add(response.status_code)


def left_out(operation: str) -> list[Any]:
    """A parameter that nobody knows is ignored in a query; a link with a made-up signature fits the document."""
    names = [] if operation.startswith("POST") else ["negative_data_rejection"]
    if operation.endswith("/public"):
        names.append("positive_data_acceptance")
    return [check for check in schemathesis.checks.CHECKS.get_all() if check.__name__ in names]
