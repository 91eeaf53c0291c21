"""The site's request budget: every request to the gateway's API asks here first, in whatever process it runs.

A limit of N requests over any sliding 60 s is kept by the generic cell rate algorithm: a burst of b at once, then one
every 60 / (N - b) s, so that at most N start in any window. It lives in one Redis script, by Redis's own clock. When
Redis is emptied, at most one burst is granted again; when it is down, each process paces itself.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from redis import Redis
from redis.exceptions import RedisError

from .. import conf, queue

log = logging.getLogger("grokvideo_django")

Kind = Literal["submit", "read"]

LEARNED_SECONDS: Final = 600
KEYS: Final = ("next", "blocked", "limit", "submissions-wait", "reads-wait", "last")
_BLOCK: Final = """
local clock = redis.call('TIME')
local until_ms = clock[1] * 1000 + clock[2] / 1000 + ARGV[1]
if until_ms > tonumber(redis.call('GET', KEYS[1]) or '0') then
  redis.call('SET', KEYS[1], string.format('%.0f', until_ms), 'PX', ARGV[1])
end
"""
_SCRIPT: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local wanted, limit, kind = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local blocked = tonumber(redis.call('GET', KEYS[2]) or '0')
if blocked > now then return {0, math.ceil(blocked - now)} end
local learned = tonumber(redis.call('GET', KEYS[3]) or '0')
if learned > 0 and learned < limit then limit = learned end
local burst = math.max(1, math.floor(limit / 50))
local interval = 60000 / math.max(1, limit - burst)
local next = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local room = math.floor((now + burst * interval - next) / interval + 0.000001)
local mine, theirs, last = KEYS[4], KEYS[5], redis.call('GET', KEYS[6]) or 'read'
if kind == 'read' then mine, theirs = theirs, mine end
local patience = math.ceil(math.max(15000, 2 * interval))  -- who gave up holds nobody up for ever
if last == kind and redis.call('EXISTS', theirs) == 1 then  -- it is the others' turn
  redis.call('SET', mine, 1, 'PX', patience)
  return {0, math.ceil(interval)}
end
local granted = math.max(0, math.min(wanted, room))
if granted > 0 then
  next = next + granted * interval
  redis.call('SET', KEYS[1], string.format('%.3f', next), 'PX', math.ceil(next - now) + 1000)
  redis.call('SET', KEYS[6], kind, 'PX', 60000)
  redis.call('DEL', mine)
else
  redis.call('SET', mine, 1, 'PX', patience)
end
return {granted, math.ceil(math.max(0, next + interval - burst * interval - now))}
"""

_ALONE_LOCK: Final = threading.Lock()
_ALONE_UNTIL: Final[dict[str, float]] = {}
"""Without Redis: when this process may send its next request, by gate, by the monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """How many requests may go out now, and in how many seconds the next could."""

    granted: int
    wait_seconds: float


class RateGate:
    """One gate for all workers of a site."""

    def __init__(self, redis: Redis, *, api_key: str, per_minute: int) -> None:
        """``per_minute``: requests over any sliding 60 s; the gateway may lower it."""
        name = hashlib.sha256(api_key.encode()).hexdigest()[:16]
        self._keys = [f"grokvideo:rate:{name}:{part}" for part in KEYS]
        self._redis = redis
        self._per_minute = max(1, per_minute)
        self._script: Callable[..., Any] = redis.register_script(_SCRIPT)
        self._block: Callable[..., Any] = redis.register_script(_BLOCK)

    def take(self, wanted: int, kind: Kind) -> Permit:
        """Ask for so many requests. When both wait, submissions and reads take turns, submissions first."""
        if wanted <= 0:
            return Permit(granted=0, wait_seconds=0.0)
        try:
            granted, wait_ms = self._script(keys=self._keys, args=[wanted, self._per_minute, kind])
        except RedisError as error:
            log.warning("Redis cannot be reached (%s): this process paces its requests alone.", error)
            return self._take_alone()
        return Permit(granted=int(granted), wait_seconds=int(wait_ms) / 1000)

    def _take_alone(self) -> Permit:
        """One request every 60 / N s, by this process's own clock."""
        pause = 60 / self._per_minute
        with _ALONE_LOCK:
            now = time.monotonic()
            wait = _ALONE_UNTIL.get(self._keys[0], now) - now
            if wait > 0:
                return Permit(granted=0, wait_seconds=wait)
            _ALONE_UNTIL[self._keys[0]] = now + pause
        return Permit(granted=1, wait_seconds=pause)

    def block(self, seconds: float) -> None:
        """The gateway said 429: nothing goes out for so long. A longer block that is on stays."""
        try:
            self._block(keys=[self._keys[1]], args=[max(1, math.ceil(seconds * 1000))])
        except RedisError as error:
            log.warning("Redis cannot be reached (%s).", error)

    def learn(self, limit: int | None) -> None:
        """The gateway named a limit in its headers: a lower one than ours counts for ten minutes."""
        if limit is None or limit <= 0 or limit >= self._per_minute:
            return
        try:
            self._redis.set(self._keys[2], limit, ex=LEARNED_SECONDS)
        except RedisError as error:
            log.warning("Redis cannot be reached (%s).", error)


def gate() -> RateGate:
    """The gate of this site, by its settings."""
    settings = conf.current()
    return RateGate(queue.connection(), api_key=settings.API_KEY, per_minute=settings.REQUESTS_PER_MINUTE)
