"""Whether a paused site may resume: a look at the wallet, which costs nothing.

| pause | the balance reads | then |
|---|---|---|
| 401 | at all | the key works: resumed |
| 402 | above zero | resumed |
| 402 | zero or less | still paused |
| 403 | (not asked) | a key's scope may allow reading and forbid submitting. One submission tries |
| any | not, or as nothing that can be understood | one submission tries |
| any | 5xx, lost, no connection | the next probe; from the third on one submission tries |

A pause by hand is never probed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from django.utils import timezone

from ..gateway import AccountRefused, AnswerLost, GatewayError, NotAccepted, ServerFault, parse_balance
from ..lifecycle import site
from ..models import GatewayState
from . import schedule
from .rate import RateGate
from .reader import Reader

log = logging.getLogger("grokvideo_django")

BALANCE_PROVES: Final = frozenset({401, 402})
PATIENCE_PROBES: Final = 3
"""A gateway that is down answers nothing; one whose balance alone is broken must not keep the pause for ever."""


def probe(state: GatewayState, reader: Reader, gate: RateGate, *, beat: Callable[[], object]) -> bool:
    """Probe if the site is paused and it is time; whether it did. No query as long as it is not paused."""
    now = timezone.now()
    site.announce(state, now)
    asks = state.pause_status in BALANCE_PROVES
    if not state.is_probe_due(now) or (asks and not gate.take(1, "read").granted) or not site.claim_probe(now):
        return False
    if not asks:
        site.let_one_through(timezone.now())
        return True
    try:
        payload = reader.balance(beat=beat)
    except GatewayError as error:
        _failed(state, error, gate)
    else:
        _answered(state, payload)
    return True


def _answered(state: GatewayState, payload: object) -> None:
    now = timezone.now()
    balance = parse_balance(payload)
    if balance is not None:
        site.note_balance(balance, now)
    if state.pause_status == 401 or (balance is not None and balance > 0):
        site.resume(now, after=state.pause_status)
    elif balance is None:
        site.let_one_through(timezone.now())


def _failed(state: GatewayState, error: GatewayError, gate: RateGate) -> None:
    if error.status == 429:
        gate.block(error.retry_after or schedule.MIN_GAP_SECONDS)
    elif isinstance(error, AccountRefused) and error.status != 403:
        site.pause(timezone.now(), status=error.status or 401, message=error.message)
    elif not _is_passing(error) or state.probes + 1 >= PATIENCE_PROBES:
        site.let_one_through(timezone.now())


def _is_passing(error: GatewayError) -> bool:
    """Whether it says that the gateway is unwell, and nothing about the balance."""
    if isinstance(error, AnswerLost):
        return error.status is None or error.status >= 400
    return isinstance(error, NotAccepted | ServerFault)
