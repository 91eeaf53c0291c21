"""The routes: who answers which path, behind the key and the rate limit where the path belongs to the API."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokvideo_django.sandbox.account import balance, models, usage
from grokvideo_django.sandbox.control import control
from grokvideo_django.sandbox.create import create
from grokvideo_django.sandbox.files import download, public, sign
from grokvideo_django.sandbox.media import media
from grokvideo_django.sandbox.orders import Refused
from grokvideo_django.sandbox.read import cancel, read
from grokvideo_django.sandbox.shapes import error
from grokvideo_django.sandbox.wire import Answer, Hangup, Request, json_answer

if TYPE_CHECKING:
    from grokvideo_django.sandbox.world import World

Handler = Callable[..., Answer]
"""Takes the world, the request, and the parts of the path in brackets. Raises ``Refused`` and ``Hangup``."""


@dataclass(slots=True, frozen=True)
class Route:
    """Who answers *methods* on *path*. ``kind`` is the name in the counts; ``keyed``: behind key and rate limit."""

    kind: str
    methods: frozenset[str]
    path: re.Pattern[str]
    handler: Handler
    keyed: bool = True


def _route(kind: str, methods: str, path: str, handler: Handler, *, keyed: bool = True) -> Route:
    return Route(kind, frozenset(methods.split()), re.compile(path), handler, keyed)


def _index(*_: object) -> Answer:
    return json_answer(
        {
            "service": "grokvideo sandbox: a local gateway; no model renders here and nothing costs anything",
            "api": "/v1",
            "state": "/sandbox/state",
            "faults": "/sandbox/faults",
        }
    )


_FILE = r"/v1/files/jobs/([^/]+)/([^/]+)"
_ROUTES = [
    _route("read", "GET HEAD", r"/v1/jobs/([^/]+)", read),
    _route("create", "POST", r"/v1/videos/generations", create),
    _route("media", "GET HEAD", r"/media/([^/]+)/([^/]+)", media, keyed=False),
    _route("cancel", "DELETE", r"/v1/jobs/([^/]+)", cancel),
    _route("cancel", "POST", r"/v1/jobs/([^/]+)/cancel", cancel),
    _route("sign", "GET", _FILE + "/signed", sign),
    _route("files", "GET HEAD", _FILE + "/public", public, keyed=False),
    _route("files", "GET HEAD", _FILE, download),
    _route("account", "GET HEAD", r"/v1/models(?:/(.+))?", models),
    _route("account", "GET HEAD", r"/v1/balance", balance),
    _route("account", "GET HEAD", r"/v1/usage/by-tag", usage),
    _route("control", "GET POST DELETE", r"/sandbox/(.+)", control, keyed=False),
    _route("control", "GET HEAD", r"/", _index, keyed=False),
]


def answer(world: World, request: Request) -> Answer:
    """The answer to any request; counts it by what it was and what came of it. Raises ``Hangup``."""
    kind, counts = "unknown", world.answers
    try:
        route, parts = _find(request)
        kind = route.kind
        found = (_keyed if route.keyed else _open)(world, request, route.handler, parts)
    except Refused as refusal:
        found = json_answer(error(refusal.status, str(refusal), refusal.param), refusal.status, refusal.headers)
    except Hangup:
        world.count(f"{kind} hangup", counts)
        raise
    if kind != "control":  # who looks does not change what is seen
        world.count(f"{kind} {found.status}", counts)
    return found


def _find(request: Request) -> tuple[Route, tuple[str, ...]]:
    allowed: set[str] = set()
    for route in _ROUTES:
        match = route.path.fullmatch(request.path)
        if match is None:
            continue
        if request.method in route.methods:
            return route, match.groups()
        allowed |= route.methods
    if allowed:
        raise Refused(405, f"{request.method} is not allowed here.", headers={"Allow": ", ".join(sorted(allowed))})
    raise Refused(404, f"There is no {request.path} here.")


def _open(world: World, request: Request, handler: Handler, parts: tuple[str, ...]) -> Answer:
    return handler(world, request, *parts)


def _keyed(world: World, request: Request, handler: Handler, parts: tuple[str, ...]) -> Answer:
    """What needs a key, and counts against its limit. The limit's header fields go on every answer."""
    key = request.bearer
    valid = key == world.options.key if world.options.key is not None else key.startswith("sk-aig-")
    if not valid or world.options.key_revoked:
        raise Refused(401, "Invalid API key.")
    allowance = world.limit.admit(key, world.options.requests_per_minute)
    if not allowance.admitted:
        raise Refused(429, f"Rate limit exceeded: {allowance.limit} requests a minute.", headers=allowance.headers())
    try:
        found = handler(world, request, *parts)
    except Refused as refusal:
        refusal.headers = {**allowance.headers(), **refusal.headers}
        raise
    found.headers = {**allowance.headers(), **found.headers}
    return found
