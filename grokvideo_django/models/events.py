"""What happened to a request."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .requests import VideoRequest


class VideoRequestEvent(models.Model):
    """Something that happened to a request. Append-only; written in the transaction of the change itself."""

    request = models.ForeignKey(VideoRequest, models.CASCADE, verbose_name=_("request"), related_name="events")
    at = models.DateTimeField(_("at"), default=timezone.now)
    kind = models.CharField(_("event"), max_length=40)
    from_status = models.CharField(_("from"), max_length=20, blank=True)
    to_status = models.CharField(_("to"), max_length=20, blank=True)
    message = models.TextField(_("what happened"), blank=True)
    actor = models.CharField(_("who"), max_length=255, blank=True)
    data = models.JSONField(_("details"), default=dict, blank=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("history")
        ordering = ("pk",)

    def __str__(self) -> str:
        """Its kind."""
        return self.kind
