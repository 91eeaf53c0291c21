"""Ceilings on what a site, a group or a user may spend, and the counters of what was spent under them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import Group, PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import connection, models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import people
from .deleting import cascade
from .ledger import CreditEntry

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


class BudgetManager(models.Manager["Budget"]):
    """Which budgets apply to whom."""

    def for_site(self) -> list[Budget]:
        """The active budgets of the site, in primary-key order: for what is spent when its user is gone."""
        return list(self.filter(is_active=True, scope=Budget.Scope.SITE).order_by("pk"))

    def for_user(self, user: AbstractBaseUser) -> list[Budget]:
        """The active budgets of the site, of the user's groups and of the user, in primary-key order. One query.

        Each start asks, and the ORM takes longer to write this SQL than the database to answer it. So it is written by
        hand, for the columns that every database gives as they are; the others are loaded when they are looked at.
        """
        owner = Budget._meta.get_field("user")
        key = owner.get_db_prep_value(user.pk, connection)  # a UUID is written differently by each database
        mine, values = "scope = %s OR user_id = %s", [Budget.Scope.SITE.value, key]
        if isinstance(user, PermissionsMixin) and people.can_be_in_groups():
            groups, name = user._meta.get_field("groups"), connection.ops.quote_name
            assert isinstance(groups, models.ManyToManyField)
            member, group = name(groups.m2m_column_name()), name(groups.m2m_reverse_name())
            mine += f" OR group_id IN (SELECT {group} FROM {name(groups.m2m_db_table())} WHERE {member} = %s)"  # noqa: S608 - names
            values.append(key)
        plain = [
            field.attname
            for field in Budget._meta.concrete_fields
            if not isinstance(field, models.BooleanField | models.DateTimeField) and field is not owner
        ]
        table = connection.ops.quote_name(Budget._meta.db_table)
        sql = f"SELECT {', '.join(plain)} FROM {table} WHERE is_active = %s AND ({mine}) ORDER BY id"  # noqa: S608 - names
        with connection.cursor() as cursor:
            cursor.execute(sql, [True, *values])
            return [Budget.from_db(connection.alias, plain, row) for row in cursor.fetchall()]


class Budget(models.Model):
    """A ceiling. Every limit that is empty is no limit."""

    class Scope(models.TextChoices):
        """Whose spending it counts."""

        SITE = "site", _("the whole site")
        GROUP = "group", _("a group")
        USER = "user", _("a user")

    class Period(models.TextChoices):
        """When it begins anew, in the site's time zone."""

        DAY = "day", _("day")
        WEEK = "week", _("week")
        MONTH = "month", _("calendar month")
        FOREVER = "forever", _("for ever")

    name = models.CharField(_("name"), max_length=100)
    scope = models.CharField(_("counts"), max_length=8, choices=Scope, default=Scope.SITE)
    group = models.ForeignKey(Group, cascade, verbose_name=_("group"), related_name="+", null=True, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, cascade, verbose_name=_("user"), related_name="+", null=True, blank=True
    )
    period = models.CharField(
        _("period"),
        max_length=8,
        choices=Period,
        default=Period.MONTH,
        help_text=_(
            "It counts what is started from its creation on. Another period, or another time zone of the site, begins "
            "a new count."
        ),
    )
    limit_credits = models.PositiveBigIntegerField(
        _("ceiling"), null=True, blank=True, help_text=_("Credits in a period. Empty: no ceiling, only counted.")
    )
    warn_percent = models.PositiveSmallIntegerField(
        _("warning level"),
        default=80,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_(
            "Percent of the ceiling: past it, once a period, the log has a warning and code may react to a signal."
        ),
    )
    max_running = models.PositiveIntegerField(
        _("at once"), null=True, blank=True, help_text=_("How many requests may run at once.")
    )
    max_duration_seconds = models.PositiveSmallIntegerField(
        _("longest video"), null=True, blank=True, help_text=_("Seconds.")
    )
    max_resolution = models.CharField(
        _("largest resolution"), max_length=8, blank=True, choices=[("480p", "480p"), ("720p", "720p")]
    )
    approval_above = models.PositiveBigIntegerField(
        _("approval above"), null=True, blank=True, help_text=_("A request that costs more waits for approval.")
    )
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = BudgetManager()

    class Meta:
        verbose_name = _("budget")
        verbose_name_plural = _("budgets")
        ordering = ("scope", "name", "pk")
        constraints = (
            models.CheckConstraint(
                name="grokvideo_budget_scope",
                condition=Q(scope="site", group__isnull=True, user__isnull=True)
                | Q(scope="group", group__isnull=False, user__isnull=True)
                | Q(scope="user", group__isnull=True, user__isnull=False),
            ),
            models.CheckConstraint(
                name="grokvideo_budget_warning", condition=Q(warn_percent__gte=1, warn_percent__lte=100)
            ),
        )

    def __str__(self) -> str:
        """Its name."""
        return self.name

    def clean(self) -> None:
        """A group's budget names the group, a user's the user, the site's neither."""
        wanted = self.scope if self.scope != self.Scope.SITE else None
        for name in ("group", "user"):
            given = getattr(self, f"{name}_id") is not None
            if given and name != wanted:
                raise ValidationError({name: _("Leave this empty, or choose the scope that fits.")})
            if not given and name == wanted:
                raise ValidationError({name: _("Choose whose spending this budget counts.")})


class BudgetCounter(models.Model):
    """What was spent under one budget in one period. Holds count at once."""

    budget = models.ForeignKey(Budget, models.CASCADE, verbose_name=_("budget"), related_name="counters")
    period_start = models.DateTimeField(_("period"))
    used = models.BigIntegerField(_("used"), default=0)
    warned_at = models.DateTimeField(_("warned"), null=True, blank=True)

    class Meta:
        verbose_name = _("budget counter")
        verbose_name_plural = _("budget counters")
        ordering = ("-period_start", "pk")
        constraints = (
            models.UniqueConstraint(fields=["budget", "period_start"], name="grokvideo_counter_period"),
            models.CheckConstraint(name="grokvideo_counter_used", condition=Q(used__gte=0)),
        )

    def __str__(self) -> str:
        """How much."""
        return f"{self.used}"


class BudgetUse(models.Model):
    """What one entry did to one counter: a hold uses (positive), what comes back goes to the period it came from."""

    entry = models.ForeignKey(CreditEntry, models.PROTECT, verbose_name=_("entry"), related_name="budget_uses")
    counter = models.ForeignKey(BudgetCounter, models.CASCADE, verbose_name=_("counter"), related_name="uses")
    delta = models.BigIntegerField(_("used"))

    class Meta:
        verbose_name = _("budget use")
        verbose_name_plural = _("budget uses")
        ordering = ("pk",)

    def __str__(self) -> str:
        """By how much."""
        return f"{self.delta:+}"
