"""What the whole site knows about its gateway: paused or not, and who ticks."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class GatewayStateManager(models.Manager["GatewayState"]):
    """Finds the one row."""

    def current(self) -> GatewayState:
        """The state as it is now; unsaved defaults on a new site. A read: writes nothing."""
        return self.filter(pk=GatewayState.PK).first() or GatewayState(pk=GatewayState.PK)

    def ensure(self) -> None:
        """Make sure that the row exists. For writers, before their transaction."""
        if not self.filter(pk=GatewayState.PK).exists():
            self.bulk_create([GatewayState(pk=GatewayState.PK)], ignore_conflicts=True)


class GatewayState(models.Model):
    """One row for the site. ``paused_since`` set: nothing is submitted, except one probe now and then."""

    PK = 1

    paused_since = models.DateTimeField(_("paused since"), null=True, blank=True)
    pause_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True, blank=True)
    pause_reason = models.TextField(_("why"), blank=True)
    probe_at = models.DateTimeField(_("next probe"), null=True, blank=True)
    probes = models.PositiveIntegerField(_("probes"), default=0)
    tick_token = models.BigIntegerField(default=0, editable=False)
    tick_lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    ticked_at = models.DateTimeField(_("last tick"), null=True, blank=True, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    objects = GatewayStateManager()

    class Meta:
        verbose_name = _("gateway state")
        verbose_name_plural = _("gateway state")

    def __str__(self) -> str:
        """Paused or not."""
        return str(_("paused") if self.is_paused else _("running"))

    @property
    def is_paused(self) -> bool:
        """Whether submissions wait."""
        return self.paused_since is not None
