"""Actions on selected requests: generate, with the total before and each row's result after; delete what may go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected as django_delete_selected
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import transaction
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import services
from ..exceptions import GrokVideoError, InvalidTransition
from ..models import VideoRequest
from ..models.querying import UNDELETABLE_MESSAGE
from . import explaining, telling
from .bases import RequestModelAdmin, actor_of, number_of

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

MOST_AT_ONCE: Final = 50


@admin.action(permissions=["add"], description=gettext_lazy("Generate selected drafts"))
def generate_selected(
    modeladmin: RequestModelAdmin, request: HttpRequest, queryset: QuerySet[VideoRequest]
) -> HttpResponse | None:
    """Ask with the total, then start each draft for the price that was shown."""
    rows = list(queryset.select_related("owner")[: MOST_AT_ONCE + 1])
    if len(rows) > MOST_AT_ONCE:
        words = _("At most %(limit)d requests can be started at once. Nothing was started; choose fewer.")
        modeladmin.message_user(request, words % {"limit": MOST_AT_ONCE}, messages.ERROR)
        return None
    priced = [(row, explaining.quoted(row)) for row in rows if row.is_draft]
    if not any(price is not None for _row, price in priced):
        words = _("None of them is a draft with a price. Nothing was started, and nothing was charged.")
        modeladmin.message_user(request, words, messages.WARNING)
        return None
    if "confirmed" not in request.POST:
        return _ask(modeladmin, request, priced, skipped=len(rows) - len(priced))
    _start_all(modeladmin, request, [row for row, _price in priced])
    return None


def _ask(
    modeladmin: RequestModelAdmin, request: HttpRequest, priced: list[tuple[VideoRequest, int | None]], *, skipped: int
) -> HttpResponse:
    total = sum(price or 0 for _row, price in priced)
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": _("Generate selected drafts"),
        "opts": modeladmin.opts,
        "media": modeladmin.media,
        "rows": priced,
        "skipped": skipped,
        "total": telling.in_words(total),
        "checkbox_name": ACTION_CHECKBOX_NAME,
    }
    request.current_app = modeladmin.admin_site.name
    return TemplateResponse(request, "grokvideo/admin/generate_selected.html", context)


def _start_all(modeladmin: RequestModelAdmin, request: HttpRequest, rows: list[VideoRequest]) -> None:
    held, started = 0, 0
    waiting = VideoRequest.Status.AWAITING_APPROVAL
    for row in rows:
        expected = number_of(request, f"expected_{row.pk}")
        try:
            if expected is None:
                raise InvalidTransition(_("Its price was not on the page. Nothing was charged."))
            services.start(row, actor=actor_of(request), expected_credits=expected)
        except GrokVideoError as error:
            words = f"“{row}”: {telling.sentence(error)}"
            modeladmin.message_user(request, words, telling.level(error))
        else:
            if row.status == waiting:
                words = _("“%(prompt)s” waits for approval; nothing is held for it yet.")
                modeladmin.message_user(request, words % {"prompt": row}, messages.SUCCESS)
                continue
            held, started = held + (row.quoted_credits or 0), started + 1
            modeladmin.message_user(request, _("“%(prompt)s” was started.") % {"prompt": row}, messages.SUCCESS)
    words = ngettext("%(count)d request was started. Held: %(price)s.",
                     "%(count)d requests were started. Held: %(price)s.", started)  # fmt: skip
    modeladmin.message_user(request, words % {"count": started, "price": telling.in_words(held)}, messages.INFO)


@admin.action(permissions=["delete"], description=gettext_lazy("Delete selected %(verbose_name_plural)s"))
def delete_selected(
    modeladmin: RequestModelAdmin, request: HttpRequest, queryset: QuerySet[VideoRequest]
) -> HttpResponse | None:
    """Django's own, but for requests that are under way: then nothing is deleted, and the page says why."""
    if queryset.filter(status__in=VideoRequest.UNDELETABLE).exists():
        modeladmin.message_user(request, UNDELETABLE_MESSAGE, messages.ERROR)
        return None
    try:
        with transaction.atomic():
            return django_delete_selected(modeladmin, request, queryset)
    except InvalidTransition as error:  # started between the look and the deletion
        modeladmin.message_user(request, str(error), messages.ERROR)
        return None
