"""The site's request budget: every request to the gateway's API asks here first, in whatever process it runs.

A limit of N requests over any sliding 60 s is kept by the generic cell rate algorithm: a burst of b at once, then one
every 60 / (N - b) s, so that at most N start in any window. It lives in one Redis script, by Redis's own clock. When
Redis is emptied, or its clock set back, at most one burst is granted again; when it is down, each process paces
itself.

Somebody else may use the same key. A 429 halves the pace, which then doubles every ten minutes, so that two sites come
to share the limit without a word between them; and an answer that leaves nothing stops everybody until its reset.
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
from ..gateway import RateLimit

log = logging.getLogger("grokvideo_django")

Kind = Literal["submit", "read"]

LEARNED_SECONDS: Final = 600
DOUBLES_SECONDS: Final = 600
LONGEST_BLOCK_SECONDS: Final = 60
"""For what an answer's headers say; a 429 may ask for more."""
LONGEST_REFUSAL_SECONDS: Final = 3600
"""Then one request asks again: a slip in one answer must not stop a site for a day."""
KEYS: Final = ("next", "blocked", "limit", "submissions-wait", "reads-wait", "last", "pace", "paced", "seen")
_LIMIT: Final = f"""
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
-- set back, it would keep everybody waiting until that time comes again: as if Redis had been emptied
if now < tonumber(redis.call('GET', KEYS[9]) or '0') - 1000 then redis.call('DEL', unpack(KEYS)) end
redis.call('SET', KEYS[9], string.format('%.0f', now), 'PX', 86400000)
local blocked = tonumber(redis.call('GET', KEYS[2]) or '0')
local learned = tonumber(redis.call('GET', KEYS[3]) or '0')
local pace, paced = tonumber(redis.call('GET', KEYS[7]) or '0'), tonumber(redis.call('GET', KEYS[8]) or '0')
local function lowered(limit)
  if learned > 0 and learned < limit then limit = learned end
  if pace > 0 then limit = math.min(limit, pace * 2 ^ ((now - paced) / {DOUBLES_SECONDS * 1000})) end
  return math.max(1, limit)
end
"""
_BLOCK: Final = (
    _LIMIT
    + f"""
local pause, limit, refused = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
if refused and blocked <= now then  -- of many refusals at once only the first
  local half = lowered(limit) / 2
  local ttl = math.ceil(math.log(limit / half) / math.log(2) * {DOUBLES_SECONDS * 1000})
  redis.call('SET', KEYS[7], string.format('%.3f', half), 'PX', ttl)
  redis.call('SET', KEYS[8], string.format('%.0f', now), 'PX', ttl)
end
if now + pause > blocked then redis.call('SET', KEYS[2], string.format('%.0f', now + pause), 'PX', pause) end
"""
)
_SCRIPT: Final = (
    _LIMIT
    + """
local wanted, kind = tonumber(ARGV[1]), ARGV[3]
local limit = lowered(tonumber(ARGV[2]))
if blocked > now then return {0, math.ceil(blocked - now), math.floor(limit)} end
local burst = math.max(1, math.floor(limit / 50))
local interval = 60000 / math.max(1, limit - burst)
local next = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local room = math.floor((now + burst * interval - next) / interval + 0.000001)
local mine, theirs, last = KEYS[4], KEYS[5], redis.call('GET', KEYS[6]) or 'read'
if kind == 'read' then mine, theirs = theirs, mine end
-- who gave up holds nobody up for ever: a reader asks again within a second, a submission comes back through the queue
local patience = math.ceil(math.max(kind == 'read' and 1500 or 15000, 2 * interval))
if last == kind and redis.call('EXISTS', theirs) == 1 then  -- it is the others' turn
  redis.call('SET', mine, 1, 'PX', patience)
  return {0, math.ceil(interval), math.floor(limit)}
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
return {granted, math.ceil(math.max(0, next + interval - burst * interval - now)), math.floor(limit)}
"""
)

_ALONE_LOCK: Final = threading.Lock()
_ALONE_UNTIL: Final[dict[str, float]] = {}
"""Without Redis: when this process may send its next request, by gate, by the monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """How many requests may go out now, in how many seconds the next could, and the limit at present."""

    granted: int
    wait_seconds: float
    per_minute: int


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
            return Permit(granted=0, wait_seconds=0.0, per_minute=self._per_minute)
        try:
            granted, wait_ms, limit = self._script(keys=self._keys, args=[wanted, self._per_minute, kind])
        except RedisError as error:
            log.warning("Redis cannot be reached (%s): this process paces its requests alone.", error)
            return self._take_alone()
        return Permit(granted=int(granted), wait_seconds=int(wait_ms) / 1000, per_minute=int(limit))

    def _take_alone(self) -> Permit:
        """One request every 60 / N s, by this process's own clock."""
        pause = 60 / self._per_minute
        with _ALONE_LOCK:
            now = time.monotonic()
            wait = _ALONE_UNTIL.get(self._keys[0], now) - now
            if wait > 0:
                return Permit(granted=0, wait_seconds=wait, per_minute=self._per_minute)
            _ALONE_UNTIL[self._keys[0]] = now + pause
        return Permit(granted=1, wait_seconds=pause, per_minute=self._per_minute)

    def block(self, seconds: float) -> None:
        """The gateway said 429: nothing goes out for so long, then half as much as before. A longer block stays."""
        self._pause(min(seconds, LONGEST_REFUSAL_SECONDS), refused=True)

    def learn(self, seen: RateLimit | None) -> None:
        """What an answer's headers say: a lower limit than ours counts for ten minutes, none left until its reset."""
        if seen is None:
            return
        if seen.limit is not None and 0 < seen.limit < self._per_minute:
            try:
                self._redis.set(self._keys[2], seen.limit, ex=LEARNED_SECONDS)
            except RedisError as error:
                log.warning("Redis cannot be reached (%s).", error)
        if seen.remaining == 0 and seen.reset_seconds:
            self._pause(min(seen.reset_seconds, LONGEST_BLOCK_SECONDS), refused=False)

    def _pause(self, seconds: float, *, refused: bool) -> None:
        try:
            self._block(keys=self._keys, args=[max(1, math.ceil(seconds * 1000)), self._per_minute, int(refused)])
        except RedisError as error:
            log.warning("Redis cannot be reached (%s).", error)


def gate() -> RateGate:
    """The gate of this site, by its settings."""
    settings = conf.current()
    return RateGate(queue.connection(), api_key=settings.API_KEY, per_minute=settings.REQUESTS_PER_MINUTE)
