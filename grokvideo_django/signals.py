"""What a site may listen to. Each is sent once its change is committed; what is rolled back sends nothing.

A receiver that raises harms nothing: Django logs it (``django.dispatch``), and the others are called. Receivers run in
the process that made the change, a worker's tick often: what takes its time belongs into a job of its own. A process
that is killed right after its commit sends nothing; what must not be missed is in the events and entries.

Nothing is prepared or sent while nobody listens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from django.db import transaction
from django.dispatch import Signal

request_status_changed: Final = Signal()
"""Sender ``VideoRequest``; ``pk``, ``from_status``, ``to_status``, ``kind`` (of the event). No instance: a tick marks
hundreds at once without reading them."""
video_ready: Final = Signal()
"""Sender ``VideoRequest``; ``request``: its video is stored and paid for. Attaching it comes after this."""
credits_posted: Final = Signal()
"""Sender ``CreditEntry``; ``entry``: a new line of a statement."""
budget_warned: Final = Signal()
"""Sender ``Budget``; ``budget``, ``used`` (credits), ``resets_at`` (or None): past its warning level, once a period."""
gateway_paused: Final = Signal()
"""Sender ``GatewayState``; ``status`` (HTTP; None: by a person), ``reason``: the site's submissions have stopped."""
gateway_resumed: Final = Signal()
"""Sender ``GatewayState``; ``since``: they go on, after a pause since then."""


def send_after_commit(signal: Signal, sender: type, **values: Any) -> None:
    """Send when the transaction that runs now is committed; at once, if none does."""
    send_all_after_commit(signal, sender, [values])


def send_all_after_commit(signal: Signal, sender: type, all_values: Iterable[Mapping[str, Any]]) -> None:
    """As ``send_after_commit``, for many. ``all_values`` is not even looked at while nobody listens."""
    if signal.has_listeners(sender):
        transaction.on_commit(partial(_send_all, signal, sender, [dict(values) for values in all_values]))


def _send_all(signal: Signal, sender: type, all_values: Iterable[dict[str, Any]]) -> None:
    for values in all_values:
        signal.send_robust(sender, **values)
