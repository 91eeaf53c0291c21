"""Files that are about to be written, so that none is ever forgotten."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class PlannedFile(models.Model):
    """A name that a worker is about to write to, committed before the first byte.

    The row goes when something refers to the file; the sweep deletes the files of rows that have expired and whose
    lease is dead.
    """

    class Place(models.TextChoices):
        """Where the file is."""

        TEMPORARY = "temporary", _("temporary file")
        RESULT = "result", _("result storage")
        TARGET = "target", _("target's storage")

    request_key = models.CharField(max_length=64)
    lease_token = models.UUIDField(db_index=True)
    place = models.CharField(max_length=16, choices=Place)
    host = models.CharField(max_length=255, blank=True)
    name = models.CharField(max_length=1000)
    target_field = models.CharField(max_length=255, blank=True)
    """``app.Model.field`` whose storage holds the file, for ``target``."""
    expires_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("planned file")
        verbose_name_plural = _("planned files")

    def __str__(self) -> str:
        """Its name."""
        return self.name
