"""Accounts, grants and entries: shown to those whose they are, and to those who may see everybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import F, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..models import CreditAccount, CreditEntry, CreditGrant, VideoRequest
from . import columns, statement
from .bases import AccountModelAdmin, EntryModelAdmin, GrantModelAdmin, ReadOnly, actor_of, may
from .forms import as_key
from .granting import GrantForm
from .granting_many import grant_selected
from .granting_people import grant_people
from .telling import in_words

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from django.urls import URLPattern
    from django.utils.safestring import SafeString

LAST: Final = 20


def sees_all(request: HttpRequest) -> bool:
    """Whether the user sees everybody's credits: to watch the usage, or to grant."""
    return may(request, "view_usage") or may(request, "grant")


class Ledger(ReadOnly):
    """Visible to all who may generate or see the model; their own rows only, unless they may see all."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """One's own credits are no secret to whoever spends them."""
        shown = super().has_view_permission(request, obj)  # type: ignore[misc]
        return bool(shown or sees_all(request) or may(request, "add_videorequest"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """As for viewing."""
        return self.has_view_permission(request)


@admin.register(CreditAccount)
class CreditAccountAdmin(Ledger, AccountModelAdmin):
    """Balances, and the form that grants."""

    list_display = ("name", "posted", "held", "available", "entries_link")
    list_select_related = ("user",)
    search_fields = ("user_name", "user_key")
    actions = (grant_selected,)
    fields = readonly_fields = ("name", "posted", "held", "available", "created_at", "last_entries")

    class Media:
        css = {"all": ("grokvideo/admin.css",)}

    def get_urls(self) -> list[URLPattern]:
        """Before Django's own, which take any text for a key."""
        views = {"grant": self.grant_view, "grant_many": self.grant_many_view}
        own = [
            path(f"{name.replace('_', '-')}/", self.admin_site.admin_view(view), name=f"grokvideo_creditaccount_{name}")
            for name, view in views.items()
        ]
        return own + super().get_urls()

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditAccount]:
        """With what can be spent, in the same query."""
        rows = super().get_queryset(request)
        if not sees_all(request):
            rows = rows.filter(user_key=str(request.user.pk))
        gone = CreditGrant.objects.filter(account=OuterRef("pk"), expires_at__lte=timezone.now(), remaining__gt=0)
        left = gone.order_by().values("account").annotate(left=Sum("remaining")).values("left")
        return rows.annotate(spendable=F("posted") - F("held") - Coalesce(Subquery(left), 0))

    def has_grant_permission(self, request: HttpRequest) -> bool:
        """For the action."""
        return may(request, "grant")

    @admin.display(description=gettext_lazy("user"), ordering="user_name")
    def name(self, obj: CreditAccount) -> str:
        """The user's name now, or what it was."""
        return obj.user.get_username() if obj.user is not None else str(obj)

    @admin.display(description=gettext_lazy("available"), ordering="spendable")
    def available(self, obj: CreditAccount) -> int:
        """Posted, less what is held and what has expired."""
        return int(getattr(obj, "spendable", 0))

    @admin.display(description=gettext_lazy("entries"))
    def entries_link(self, obj: CreditAccount) -> SafeString:
        """To the statement."""
        return format_html('<a href="{}">{}</a>', self._entries_url(obj), _("Statement"))

    @admin.display(description=gettext_lazy("last entries"))
    def last_entries(self, obj: CreditAccount) -> SafeString:
        """The newest, with a link to all."""
        entries = [(entry, columns.change(entry)) for entry in obj.entries.all()[:LAST]]
        return render_to_string("grokvideo/admin/entries.html", {"entries": entries, "url": self._entries_url(obj)})

    def _entries_url(self, obj: CreditAccount) -> str:
        url = reverse("admin:grokvideo_creditentry_changelist", current_app=self.admin_site.name)
        return f"{url}?account__id__exact={obj.pk}"

    def _export_url(self) -> str:
        return reverse("admin:grokvideo_creditentry_export", current_app=self.admin_site.name)

    def _list_url(self) -> str:
        return reverse("admin:grokvideo_creditaccount_changelist", current_app=self.admin_site.name)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """With the buttons to the forms, for those who may grant."""
        return super().changelist_view(request, {"grokvideo_can_grant": may(request, "grant"), **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """With the button to the form, for those who may grant."""
        context = {
            "grokvideo_can_grant": may(request, "grant"),
            "grokvideo_export_url": f"{self._export_url()}?account__id__exact={quote(unquote(object_id))}",
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    def grant_view(self, request: HttpRequest) -> HttpResponseBase:
        """Give credits. GET shows the form."""
        if not may(request, "grant"):
            raise PermissionDenied
        data = request.POST if request.method == "POST" else None
        form = GrantForm(request, self.admin_site, data, user=request.GET.get("user", ""))
        entry = form.grant(actor=actor_of(request)) if form.is_valid() else None
        if entry is None:
            return self._grant_page(request, form)
        filled = {"user": entry.account, "price": in_words(entry.posted_delta)}
        if form.was_sent_before:
            words = _(
                "This form was sent before, and %(user)s was granted %(price)s then. Nothing was granted now; to grant "
                "more, open the form anew."
            )
            messages.info(request, words % filled)
        else:
            messages.success(request, _("Granted to %(user)s: %(price)s.") % filled)
        url = reverse("admin:grokvideo_creditaccount_change", args=[entry.account_id], current_app=self.admin_site.name)
        return HttpResponseRedirect(url)

    def grant_many_view(self, request: HttpRequest) -> HttpResponseBase:
        """Give credits to a group's members, or to all active users. GET shows the form."""
        if not may(request, "grant"):
            raise PermissionDenied
        return grant_people(self, request) or HttpResponseRedirect(self._list_url())

    def _grant_page(self, request: HttpRequest, form: GrantForm) -> HttpResponseBase:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Grant credits"),
            "opts": self.opts,
            "form": form,
            "media": self.media + form.media,
            "back_url": self._list_url(),
            "button": _("Grant"),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "grokvideo/admin/form_page.html", context)


@admin.register(CreditEntry)
class CreditEntryAdmin(Ledger, EntryModelAdmin):
    """The statement: append-only, so only shown."""

    list_display = ("at", "account", "kind", "amount", "balance", "reason", "actor")
    list_filter = ("kind", "created_at")
    list_select_related = ("account",)
    search_fields = ("account__user_name", "request_key", "reason", "actor", "key")
    show_full_result_count = False
    fields = readonly_fields = (
        "created_at", "account", "kind", "posted_delta", "held_delta", "posted_after", "held_after", "reason", "actor",
        "request_link", "resolves", "refunds", "key",
    )  # fmt: skip

    class Media:
        css = {"all": ("grokvideo/admin.css",)}

    def get_urls(self) -> list[URLPattern]:
        """Before Django's own, which take any text for a key."""
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/", view, name="grokvideo_creditentry_export"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """With the way to the same entries as a file."""
        url = reverse("admin:grokvideo_creditentry_export", current_app=self.admin_site.name)
        context = {"grokvideo_export_url": f"{url}?{request.GET.urlencode()}", **(extra_context or {})}
        return super().changelist_view(request, context)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """What the list shows, with its filters and its search, but all pages of it, as CSV."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            found = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            messages.error(request, _("The filter could not be read, so nothing was exported."))
            url = reverse("admin:grokvideo_creditentry_changelist", current_app=self.admin_site.name)
            return HttpResponseRedirect(url)
        return statement.response(found, name="statement")

    def get_list_display(self, request: HttpRequest) -> Any:
        """Without a column that says the same in every row."""
        shown = super().get_list_display(request)
        is_of_one = not sees_all(request) or "account__id__exact" in request.GET
        return [name for name in shown if name != "account"] if is_of_one else shown

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditEntry]:
        """One's own, or all."""
        rows = super().get_queryset(request)
        return rows if sees_all(request) else rows.filter(account__user_key=str(request.user.pk))

    def get_fields(self, request: HttpRequest, obj: CreditEntry | None = None) -> Any:
        """The request's key without a link if the user may not see the request, or if it is gone."""
        shown = super().get_fields(request, obj)
        if obj is None or self._may_see_request(request, obj):
            return shown
        return ["request_key" if name == "request_link" else name for name in shown]

    def _may_see_request(self, request: HttpRequest, obj: CreditEntry) -> bool:
        key = as_key(obj.request_key)
        requests = self.admin_site.get_model_admin(VideoRequest)
        found = None if key is None else requests.get_queryset(request).filter(uuid=key).first()
        return found is not None and requests.has_view_permission(request, found)

    @admin.display(description=gettext_lazy("at"), ordering="pk")
    def at(self, obj: CreditEntry) -> str:
        """When, in short."""
        return columns.short(obj.created_at)

    @admin.display(description=gettext_lazy("amount"), ordering="posted_delta")
    def amount(self, obj: CreditEntry) -> str:
        """Of what is posted, and of what is held."""
        return columns.change(obj)

    @admin.display(description=gettext_lazy("balance after it"))
    def balance(self, obj: CreditEntry) -> str:
        """The account's, as it was then."""
        return _("%(posted)d, %(held)d held") % {"posted": obj.posted_after, "held": obj.held_after}

    @admin.display(description=gettext_lazy("request"))
    def request_link(self, obj: CreditEntry) -> SafeString:
        """To the request that the key means."""
        url = reverse("admin:grokvideo_videorequest_changelist", current_app=self.admin_site.name)
        return format_html('<a href="{}?uuid={}">{}</a>', url, obj.request_key, obj.request_key)


@admin.register(CreditGrant)
class CreditGrantAdmin(Ledger, GrantModelAdmin):
    """What was given, and what is left of it."""

    list_display = ("granted", "account", "left", "category", "expires", "reason", "actor")
    list_filter = ("category", "expires_at")
    list_select_related = ("account",)
    search_fields = ("account__user_name", "reason", "actor")
    fields = readonly_fields = (
        "created_at", "account", "amount", "remaining", "category", "priority", "expires_at", "reason", "actor",
    )  # fmt: skip

    class Media:
        css = {"all": ("grokvideo/admin.css",)}

    def get_list_display(self, request: HttpRequest) -> Any:
        """Whose, for those who see several."""
        shown = super().get_list_display(request)
        return shown if sees_all(request) else [name for name in shown if name != "account"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditGrant]:
        """One's own, or all."""
        rows = super().get_queryset(request)
        return rows if sees_all(request) else rows.filter(account__user_key=str(request.user.pk))

    @admin.display(description=gettext_lazy("remaining"), ordering="remaining")
    def left(self, obj: CreditGrant) -> str:
        """Of what was given."""
        return _("%(left)d of %(amount)d") % {"left": obj.remaining, "amount": obj.amount}

    @admin.display(description=gettext_lazy("granted"), ordering="created_at")
    def granted(self, obj: CreditGrant) -> str:
        """When, in short."""
        return columns.short(obj.created_at)

    @admin.display(description=gettext_lazy("expires"), ordering="expires_at")
    def expires(self, obj: CreditGrant) -> str | None:
        """When, in short; nothing for never."""
        return None if obj.expires_at is None else columns.short(obj.expires_at)
