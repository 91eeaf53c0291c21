"""Grants that come again and again: "500 credits for every editor on the first of the month"."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .deleting import cascade


class Allowance(models.Model):
    """A recurring grant to a user, or to each member of a group. What is left expires with its period."""

    class Period(models.TextChoices):
        """When it comes, in the site's time zone."""

        DAY = "day", _("every day")
        WEEK = "week", _("every Monday")
        MONTH = "month", _("on the first of every month")

    name = models.CharField(_("name"), max_length=100)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, cascade, verbose_name=_("user"), related_name="+", null=True, blank=True
    )
    group = models.ForeignKey(Group, cascade, verbose_name=_("group"), related_name="+", null=True, blank=True)
    amount = models.PositiveBigIntegerField(_("credits"))
    period = models.CharField(_("period"), max_length=8, choices=Period, default=Period.MONTH)
    carry_over_percent = models.PositiveSmallIntegerField(
        _("carried over"),
        default=0,
        validators=[MaxValueValidator(100)],
        help_text=_("Percent of what is left at the end of a period that the next one adds."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    starts_at = models.DateTimeField(_("starts"), default=timezone.now, help_text=_("Its first period is this one."))
    due_at = models.DateTimeField(_("next issue"), null=True, blank=True, editable=False, db_index=True)
    """When the sweep looks at it again; NULL: at once."""
    issued_for = models.DateField(_("last issued for"), null=True, blank=True, editable=False)
    """The first day of the last period that was issued. What lies between it and now was a downtime."""

    class Meta:
        verbose_name = _("allowance")
        verbose_name_plural = _("allowances")
        ordering = ("name", "pk")
        constraints = (
            models.CheckConstraint(
                name="grokvideo_allowance_whose",
                condition=Q(user__isnull=False, group__isnull=True) | Q(user__isnull=True, group__isnull=False),
            ),
            models.CheckConstraint(
                name="grokvideo_allowance_amount", condition=Q(amount__gt=0, carry_over_percent__lte=100)
            ),
        )

    def __str__(self) -> str:
        """Its name."""
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Months for which it was switched off are no downtime: nothing is caught up, or carried over them."""
        if not self.is_active:
            self.issued_for = None
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "issued_for"}
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Either a user or a group, and something to give. Said of a field, so that no constraint says it again."""
        problems = {}
        if (self.user_id is None) == (self.group_id is None):
            problems["user"] = _("Choose either a user or a group.")
        if self.amount == 0:
            problems["amount"] = _("An allowance gives at least one credit.")
        if problems:
            raise ValidationError(problems)
