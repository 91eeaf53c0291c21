"""What happens to a row when one that it points to is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models.deletion import Collector


def cascade(
    collector: Collector, field: models.ForeignKey[Any, Any], rows: Iterable[models.Model], _using: str
) -> None:
    """``CASCADE`` for a nullable key that a CHECK constraint does not allow to be empty.

    Where constraints cannot be deferred (MariaDB, MySQL), Django's own empties such a key first.
    """
    source = field.remote_field.model
    collector.collect(rows, source=source, source_attr=field.name, nullable=False, fail_on_restricted=False)  # type: ignore[arg-type]
