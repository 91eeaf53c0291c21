"""What the whole site knows about its gateway: paused or not, and who ticks."""

from __future__ import annotations

from datetime import datetime

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
    let_one_through = models.BooleanField(_("one submission may try"), default=False, editable=False)
    paused_by = models.CharField(_("paused by"), max_length=255, blank=True, editable=False)
    """Who paused it by hand; empty: the gateway's refusal did. No probe ends a pause by hand."""
    is_announced = models.BooleanField(_("announced"), default=False, editable=False)
    """Whether the pause that is on has alerted."""
    resumed_at = models.DateTimeField(_("resumed"), null=True, blank=True, editable=False)
    resumed_status = models.PositiveSmallIntegerField(null=True, blank=True, editable=False)
    """When the last pause ended, and what it was for: the same again soon after it is no news, and alerts no more."""
    flaps = models.PositiveIntegerField(default=0, editable=False)
    """How often in a row a pause began again soon after the last: each makes the probes rarer."""
    balance_usd = models.DecimalField(
        _("wallet's balance"), max_digits=14, decimal_places=4, null=True, blank=True, editable=False
    )
    balance_at = models.DateTimeField(_("balance read"), null=True, blank=True, editable=False)
    tick_token = models.BigIntegerField(default=0, editable=False)
    tick_lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    ticked_at = models.DateTimeField(_("last tick"), null=True, blank=True, editable=False)
    usual = models.JSONField(default=dict, editable=False)
    """What the poller has learned, by kind of video: see ``polling.history.Usual``."""
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

    @property
    def is_paused_by_hand(self) -> bool:
        """Whether a person stopped the submissions: only a person resumes them."""
        return self.is_paused and bool(self.paused_by)

    def is_probe_due(self, now: datetime) -> bool:
        """Whether it is time to look whether the gateway accepts again."""
        return self.is_paused and self.probe_at is not None and self.probe_at <= now

    def lets_through(self, now: datetime) -> bool:
        """Whether a submission may try; during a pause ``lifecycle.site.may_submit`` decides which."""
        return not self.is_paused or self.let_one_through or self.is_probe_due(now)
