"""The statement as CSV: streamed, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Final

from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from ..models import CreditEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import QuerySet

AT_ONCE: Final = 2000
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets take for the beginning of a formula; the last four are its full-width forms."""
BYTE_ORDER_MARK: Final = "\ufeff"
"""Without it, a spreadsheet takes UTF-8 for something else."""


class _Line:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def response(entries: QuerySet[CreditEntry], *, name: str) -> StreamingHttpResponse:
    """All of these entries, the oldest first, read as they are sent."""
    answer = StreamingHttpResponse(_lines(entries), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def _lines(entries: QuerySet[CreditEntry]) -> Iterator[str]:
    """Words and time zone are those of the request, which is over when the first line is sent."""
    writer = csv.writer(_Line())
    heads = [
        _("at"), _("account"), _("kind"), _("posted"), _("held"), _("posted after"), _("held after"), _("why"),
        _("who"), _("request"), _("key"),
    ]  # fmt: skip
    kinds = {value: str(label) for value, label in CreditEntry.Kind.choices}
    zone = timezone.get_current_timezone()
    rows = entries.select_related("account").order_by("pk")

    def lines() -> Iterator[str]:
        yield BYTE_ORDER_MARK + writer.writerow(heads)
        for entry in rows.iterator(chunk_size=AT_ONCE):
            yield writer.writerow([timezone.localtime(entry.created_at, zone).isoformat(), *_cells(entry, kinds)])

    return lines()


def _cells(entry: CreditEntry, kinds: dict[str, str]) -> list[Any]:
    texts = (entry.reason, entry.actor, entry.request_key, entry.key)
    return [
        safe(str(entry.account)),
        kinds.get(entry.kind, entry.kind),
        entry.posted_delta,
        entry.held_delta,
        entry.posted_after,
        entry.held_after,
        *map(safe, texts),
    ]


def safe(text: str) -> str:
    """A text that no spreadsheet runs: an apostrophe goes before what would begin a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text
