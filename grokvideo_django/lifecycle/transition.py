"""The primitive under every transition: one guarded UPDATE that must match, in one transaction with its event."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db.models import Q
from django.utils import timezone

from .. import signals, transactions
from ..credits.entries import Actor, name_of
from ..models import VideoRequest, VideoRequestEvent

log = logging.getLogger("grokvideo_django")

Status = VideoRequest.Status


def move(
    pk: int,
    to: str | None,
    *,
    from_: Sequence[str],
    kind: str,
    message: str = "",
    actor: Actor = None,
    data: Mapping[str, Any] | None = None,
    guard: Q | None = None,
    settle: Callable[[VideoRequest], str | None] | None = None,
    **values: Any,
) -> bool:
    """Change a row if it still is what the caller believes; False if it is not: then nothing was changed.

    Args:
        pk: the row.
        to: its new status; None keeps it.
        from_: the statuses that it may have; tried in their order, so that the event knows which it was.
        kind: of the event.
        message: the event's words, for a person.
        actor: a user or a name; None is the machine.
        data: the event's details.
        guard: what must hold besides.
        settle: what else belongs into this transaction; gets the row as updated. What it returns ends the message.
        values: other columns.
    """

    def work() -> bool:
        rows = VideoRequest.objects.filter(guard or Q(), pk=pk)
        for status in from_:
            if rows.filter(status=status).update(status=to or status, updated_at=timezone.now(), **values):
                more = settle(VideoRequest.objects.get(pk=pk)) if settle is not None else None
                words = f"{message} {more}" if more else message
                record(pk, kind, message=words, actor=actor, data=data, from_=status, to=to or status)
                if to not in {None, status}:
                    changed = {"pk": pk, "from_status": str(status), "to_status": str(to), "kind": kind}
                    signals.send_after_commit(signals.request_status_changed, VideoRequest, **changed)
                return True
        return False

    return transactions.run(work)


def record(
    pk: int,
    kind: str,
    *,
    message: str = "",
    actor: Actor = None,
    data: Mapping[str, Any] | None = None,
    from_: str = "",
    to: str = "",
) -> None:
    """Add an event."""
    VideoRequestEvent.objects.create(
        request_id=pk,
        kind=kind,
        from_status=from_,
        to_status=to,
        message=message,
        actor=name_of(actor),
        data=dict(data or {}),
    )


def because(reason: str) -> str:
    """A person's reason as a sentence of its own, for the end of a message; empty for none."""
    reason = reason.strip()
    if not reason:
        return ""
    return f"Reason: “{reason}”" if reason[-1] in ".!?…" else f"Reason: “{reason}”."


def alert(message: str, *arguments: object) -> None:
    """Tell the people who run the site: at ERROR, which Django mails to ADMINS."""
    log.error(message, *arguments)
