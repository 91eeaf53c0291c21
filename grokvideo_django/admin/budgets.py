"""Budgets, with what is used of them now, and allowances."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import BigIntegerField, Case, DateTimeField, F, IntegerField, OuterRef, Subquery, Value, When
from django.db.models.functions import Cast, Coalesce
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import periods
from ..credits.budgets import warning_level
from ..models import Allowance, Budget, BudgetCounter
from .bases import AllowanceModelAdmin, BudgetModelAdmin
from .fields import user_field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django import forms
    from django.db.models import ForeignKey, QuerySet
    from django.http import HttpRequest
    from django.utils.safestring import SafeString


def spans(now: datetime) -> dict[str, tuple[datetime, datetime | None]]:
    """The present period of each length, in the site's time zone."""
    zone = timezone.get_default_timezone()
    return {
        str(period): periods.bounds(now, period, zone)  # type: ignore[arg-type]
        for period in Budget.Period.values
    }


def whose(obj: Budget | Allowance) -> str:
    """The user, the group, or the whole site."""
    if obj.user is not None:
        return obj.user.get_username()
    return str(_("the whole site") if obj.group is None else obj.group)


@admin.register(Budget)
class BudgetAdmin(BudgetModelAdmin):
    """Ceilings, with a bar of what is used in the present period."""

    list_display = ("name", "counts", "used_now", "left_now", "resets", "is_active")
    list_filter = ("scope", "period", "is_active")
    list_select_related = ("user", "group")
    search_fields = ("name", "group__name")
    readonly_fields = ("used_now", "left_now", "resets")
    fieldsets = (
        (None, {"fields": ["name", "is_active"]}),
        (gettext_lazy("Whose spending"), {"fields": ["scope", "group", "user"]}),
        (gettext_lazy("How much"), {"fields": ["period", "limit_credits", "warn_percent"]}),
        (
            gettext_lazy("What else"),
            {"fields": ["max_running", "max_duration_seconds", "max_resolution", "approval_above"]},
        ),
    )

    class Media:
        css = {"all": ("grokvideo/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        """With the present period's counter, in the same query."""
        begins = Case(
            *(When(period=period, then=Value(start)) for period, (start, _end) in spans(timezone.now()).items()),
            output_field=DateTimeField(),
        )
        now = BudgetCounter.objects.filter(budget=OuterRef("pk"), period_start=OuterRef("begins"))
        rows = super().get_queryset(request).alias(begins=begins)  # MariaDB would select it as a text
        used = Subquery(now.order_by().values("used")[:1], output_field=IntegerField())
        limit = Cast("limit_credits", BigIntegerField())  # MySQL's is unsigned, and what is left may be negative
        return rows.annotate(used=Coalesce(used, 0)).annotate(left=limit - F("used"))

    def get_fieldsets(self, request: HttpRequest, obj: Budget | None = None) -> Any:
        """What is used is known of a saved one."""
        shown = super().get_fieldsets(request, obj)
        if obj is None:
            return shown
        return [*shown, (gettext_lazy("Now"), {"fields": ["used_now", "left_now", "resets"]})]

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Users are searched, where their admin offers that."""
        return _searched(self, db_field, request) or super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_deleted_objects(
        self, objs: QuerySet[Budget] | Sequence[Budget], request: HttpRequest
    ) -> tuple[list[str], dict[Any, Any], set[str], list[str]]:
        """The budgets themselves: their counts go with them, and there may be a million."""
        refused = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        return [str(obj) for obj in objs], {self.opts.verbose_name_plural: len(objs)}, refused, []

    @admin.display(description=gettext_lazy("counts"), ordering="scope")
    def counts(self, obj: Budget) -> str:
        """Whose spending, and how long."""
        return f"{whose(obj)} · {obj.get_period_display()}"

    @admin.display(description=gettext_lazy("used now"), ordering="used")
    def used_now(self, obj: Budget) -> SafeString:
        """A bar, and the numbers."""
        used = _used(obj)
        context = {"used": used, "limit": obj.limit_credits}
        if obj.limit_credits is not None:
            context |= {
                "most": max(obj.limit_credits, used, 1),
                "warning": min(warning_level(obj), max(0, obj.limit_credits - 1)),
                "high": max(0, obj.limit_credits - 1),
                "percent": 100 * used // obj.limit_credits if obj.limit_credits else 100,
                "is_warned": used >= warning_level(obj),
                "is_over": used >= obj.limit_credits,
            }
        return render_to_string("grokvideo/admin/meter.html", context)

    @admin.display(description=gettext_lazy("left"), ordering="left")
    def left_now(self, obj: Budget) -> str:
        """Of the ceiling."""
        return "-" if obj.limit_credits is None else str(max(0, obj.limit_credits - _used(obj)))

    @admin.display(description=gettext_lazy("begins anew"))
    def resets(self, obj: Budget) -> str:
        """When the next period begins."""
        _start, end = spans(timezone.now())[obj.period]
        return _("never") if end is None else date_format(timezone.localtime(end), "SHORT_DATE_FORMAT")


@admin.register(Allowance)
class AllowanceAdmin(AllowanceModelAdmin):
    """Grants that come again and again; the sweep issues them."""

    list_display = ("name", "gets", "amount", "period", "carried", "is_active", "issued_for", "next_issue")
    list_filter = ("period", "is_active")
    list_select_related = ("user", "group")
    search_fields = ("name", "group__name")
    readonly_fields = ("issued_for", "next_issue")
    fieldsets = (
        (None, {"fields": ["name", "is_active"]}),
        (gettext_lazy("Who gets it"), {"fields": ["user", "group"]}),
        (gettext_lazy("How much"), {"fields": ["amount", "period", "carry_over_percent", "starts_at"]}),
    )

    class Media:
        css = {"all": ("grokvideo/admin.css",)}

    def get_fieldsets(self, request: HttpRequest, obj: Allowance | None = None) -> Any:
        """When it was issued is known of a saved one."""
        shown = super().get_fieldsets(request, obj)
        return shown if obj is None else [*shown, (gettext_lazy("Now"), {"fields": ["issued_for", "next_issue"]})]

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Users are searched, where their admin offers that."""
        return _searched(self, db_field, request) or super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description=gettext_lazy("gets it"))
    def gets(self, obj: Allowance) -> str:
        """A user, or each member of a group."""
        return whose(obj)

    @admin.display(description=gettext_lazy("carried over"), ordering="carry_over_percent")
    def carried(self, obj: Allowance) -> str:
        """Percent of what is left."""
        return f"{obj.carry_over_percent} %"

    @admin.display(description=gettext_lazy("next issue"))
    def next_issue(self, obj: Allowance) -> str:
        """When its members get it next; who joins them meanwhile gets the present one within the hour."""
        now = timezone.now()
        if not obj.is_active:
            return "-"
        start, end = spans(max(now, obj.starts_at))[obj.period]
        zone = timezone.get_default_timezone()
        if obj.starts_at <= now and obj.issued_for is not None and obj.issued_for >= start.astimezone(zone).date():
            return date_format(timezone.localtime(end), "SHORT_DATE_FORMAT")
        waits_until = max(obj.starts_at, obj.due_at or obj.starts_at)
        return _("now") if waits_until <= now else date_format(timezone.localtime(waits_until), "SHORT_DATETIME_FORMAT")


def _used(obj: Budget) -> int:
    return int(getattr(obj, "used", 0))


def _searched(
    model_admin: BudgetAdmin | AllowanceAdmin, db_field: ForeignKey[Any, Any], request: HttpRequest
) -> forms.Field | None:
    if db_field.remote_field.model is not get_user_model():
        return None
    return user_field(request, model_admin.admin_site, label=gettext_lazy("User"), required=False)
