"""Video requests in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import RelatedOnlyFieldListFilter
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.db import IntegrityError
from django.http import HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..exceptions import GrokVideoError
from ..models import VideoRequest
from ..models.querying import UNDELETABLE_MESSAGE
from . import pages, repeating
from .actions import delete_selected, generate_selected
from .approving import Approvals
from .approving_many import approve_selected, decline_selected
from .bases import is_theirs, may
from .facts import Facts
from .forms import SentBefore, VideoRequestForm, as_key
from .history import HistoryInline
from .refunding import Refunds

if TYPE_CHECKING:
    from django.contrib.admin.options import InlineModelAdmin
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

OWNER_FILTER: Final = ("owner", RelatedOnlyFieldListFilter)


class Continue(HttpResponseRedirect):
    """To the page of a draft that was just saved, and is to be started once the saving is committed."""

    def __init__(self, url: str, saved: VideoRequest) -> None:
        super().__init__(url)
        self.saved = saved


@admin.register(VideoRequest)
class VideoRequestAdmin(Facts, Approvals, Refunds):
    """Drafts can be edited; whatever has been started is shown, with what can still be done about it."""

    form = VideoRequestForm
    list_display = ("thumbnail", "state", "prompt_start", "cost", "owned_by", "age")
    list_display_links = ("prompt_start",)  # a picture without a name would be a second stop of the Tab key
    list_filter = ("status", "resolution", OWNER_FILTER, "created_at")
    list_select_related = ("owner",)
    search_fields = ("prompt", "gateway_job_id", "owner_name")
    search_help_text = gettext_lazy("Searches the prompt, the gateway's job id and the owner's name.")
    actions = (generate_selected, approve_selected, decline_selected, delete_selected)
    list_per_page = 50

    class Media:
        css = {"all": ("grokvideo/admin.css",)}

    # What is shown to whom

    def get_queryset(self, request: HttpRequest) -> QuerySet[VideoRequest]:
        """One's own, or all with ``change_all``; and what awaits approval, with ``approve``."""
        rows = VideoRequest.objects.visible_to(request.user)
        if may(request, "approve"):
            rows |= VideoRequest.objects.filter(status=VideoRequest.Status.AWAITING_APPROVAL)
        return rows

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Owners are of use to those only who see several."""
        everything = super().get_list_filter(request)
        sees_several = may(request, "change_all") or may(request, "approve")
        return everything if sees_several else [item for item in everything if item != OWNER_FILTER]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """With the way to the queue, for those who may approve."""
        context: dict[str, Any] = {}
        if may(request, "approve"):
            waiting = VideoRequest.objects.filter(status=VideoRequest.Status.AWAITING_APPROVAL)
            context = {"grokvideo_awaiting": waiting.count(), "grokvideo_queue_url": self.queue_url()}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """The owner's name as it is now, too, whatever the user model calls it."""
        return [*super().get_search_fields(request), f"owner__{get_user_model().USERNAME_FIELD}"]

    def get_fieldsets(self, request: HttpRequest, obj: VideoRequest | None = None) -> Any:
        """A form for drafts, facts for the rest."""
        if obj is not None and not self.has_change_permission(request, obj):
            return self.facts_of(obj)
        who = ["owner"] if may(request, "change_all") else []
        has_image = obj is not None and obj.has_image
        has_target = "attach_to" in request.GET or (obj is not None and obj.target_content_type_id is not None)
        return [
            (None, {"fields": [*who, "prompt", "duration_seconds", "aspect_ratio", "resolution", "mode"]}),
            _section(gettext_lazy("From an image"), ["image", "image_url"], is_open=has_image),
            _section(gettext_lazy("Where the video goes"), ["attach_to", "target_object_id"], is_open=has_target),
        ]

    def get_form(
        self, request: HttpRequest, obj: VideoRequest | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[VideoRequest]]:
        """The draft's form knows who fills it in."""
        if obj is not None and not self.has_change_permission(request, obj):
            return super().get_form(request, obj, change=change, **{**kwargs, "form": forms.ModelForm})
        made: Any = super().get_form(request, obj, change=change, **kwargs)
        made.http_request, made.site = request, self.admin_site
        return made  # type: ignore[no-any-return]

    def get_inlines(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: VideoRequest | None,
    ) -> list[type[InlineModelAdmin[Any, Any]]]:
        """A draft has no history."""
        return [] if obj is None or obj.is_draft else [HistoryInline]

    # Who may do what

    def has_view_permission(self, request: HttpRequest, obj: VideoRequest | None = None) -> bool:
        """Own rows, or all with ``change_all``; and what awaits approval, with ``approve``."""
        if may(request, "approve") and (obj is None or obj.status == VideoRequest.Status.AWAITING_APPROVAL):
            return True
        return super().has_view_permission(request, obj) and self._is_theirs(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: VideoRequest | None = None) -> bool:
        """Drafts."""
        allowed = super().has_change_permission(request, obj) and self._is_theirs(request, obj)
        return allowed and (obj is None or obj.is_draft)

    def has_delete_permission(self, request: HttpRequest, obj: VideoRequest | None = None) -> bool:
        """Drafts and ended requests."""
        allowed = super().has_delete_permission(request, obj) and self._is_theirs(request, obj)
        return allowed and (obj is None or obj.status not in VideoRequest.UNDELETABLE)

    def has_approve_permission(self, request: HttpRequest) -> bool:
        """For the actions."""
        return may(request, "approve")

    def _is_theirs(self, request: HttpRequest, obj: VideoRequest | None) -> bool:
        return obj is None or is_theirs(request, obj)

    # Saving, and generating

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Save in Django's transaction, and start only after it; a form that comes twice does its work once."""
        if request.method == "POST" and object_id is not None:
            started = self._started_meanwhile(request, object_id)
            if started is not None:
                return started
        try:
            response = super().changeform_view(request, object_id, form_url, extra_context)
        except SentBefore as twice:
            return self._sent_before(request, twice.made)
        except GrokVideoError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(request.get_full_path())
        except IntegrityError:
            made = self._made_by(request)  # two at the very same time: the other one was faster
            if made is None:
                raise
            return self._sent_before(request, made)
        if isinstance(response, Continue):
            return HttpResponseRedirect(self._go_on(request, response.saved, is_new=object_id is None))
        return response

    def _go_on(self, request: HttpRequest, saved: VideoRequest, *, is_new: bool) -> str:
        """Start what was saved; but what repeats a request of the last minutes stays a draft, whose page asks."""
        now = timezone.now()
        before = repeating.started_lately(saved, now) if is_new else None
        if before is None:
            return self.start_and_tell(request, saved, before=_("The draft is saved."))
        messages.warning(request, repeating.question(before, self.change_url(before), now))
        return self.change_url(saved)

    def _started_meanwhile(self, request: HttpRequest, object_id: str) -> HttpResponse | None:
        obj = self.get_object(request, unquote(object_id))
        if obj is None or obj.is_draft or not self.has_view_permission(request, obj):
            return None
        words = _("It was started before (%(status)s), so nothing was saved, and nothing was charged again.")
        messages.info(request, words % {"status": obj.get_status_display()})
        return HttpResponseRedirect(self.change_url(obj))

    def _sent_before(self, request: HttpRequest, made: VideoRequest) -> HttpResponse:
        words = _("This form was sent twice. It made one request, which is this one; nothing was charged again.")
        messages.info(request, words)
        return HttpResponseRedirect(self.change_url(made))

    def _made_by(self, request: HttpRequest) -> VideoRequest | None:
        key = as_key(request.POST.get("form_key", ""))
        return None if key is None else self.get_queryset(request).filter(uuid=key).first()

    def response_add(self, request: HttpRequest, obj: VideoRequest, post_url_continue: Any = None) -> HttpResponse:
        """On to the start, if that was pressed."""
        if self._is_generating(request):
            return Continue(self.change_url(obj), obj)
        return super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: VideoRequest) -> HttpResponse:
        """On to the start, if that was pressed."""
        if self._is_generating(request):
            return Continue(self.change_url(obj), obj)
        return super().response_change(request, obj)

    def _is_generating(self, request: HttpRequest) -> bool:
        return "_generate" in request.POST and "_popup" not in request.POST and self.has_add_permission(request)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: VideoRequest | None = None,
    ) -> HttpResponse:
        """The price, the buttons, and the page's own reloading."""
        form = context["adminform"].form
        is_editable = isinstance(form, VideoRequestForm)
        context["show_save_and_add_another"] = False  # one price and one decision at a time
        may_generate = self.has_add_permission(request)
        if is_editable:
            payer = form.instance.owner or request.user
            context["grokvideo_price"] = pages.price(request, form.instance, payer, is_valid=not form.errors)
            context["grokvideo_can_generate"] = may_generate and not context["is_popup"]
        if obj is not None:
            theirs = is_theirs(request, obj)
            may_change = theirs and self.may_touch(request)
            # Beside a form there is none that spends: it would start what is saved, not what is on the page.
            may_spend = theirs and may_generate and not is_editable
            context["grokvideo_buttons"] = list(
                pages.buttons(request, obj, self.admin_site.name, may_generate=may_spend, may_change=may_change)
            )
            context["grokvideo_refund_url"] = self.refund_url(request, obj)
            context["grokvideo_approval"] = self.approval_of(request, obj)
            context["grokvideo_reload"] = pages.reload_seconds(request, obj)
            context["grokvideo_can_resolve"] = obj.status == obj.Status.IN_DOUBT and self.may_resolve(request)
        return super().render_change_form(request, context, add, change, form_url, obj)

    # Deleting

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """A request that is under way says so instead of 403."""
        obj = self.get_object(request, unquote(object_id))
        if obj is not None and obj.status in VideoRequest.UNDELETABLE and self.has_view_permission(request, obj):
            messages.error(request, UNDELETABLE_MESSAGE)
            return HttpResponseRedirect(self.change_url(obj))
        try:
            return super().delete_view(request, object_id, extra_context)
        except GrokVideoError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(request.get_full_path())


def _section(title: Any, fields: list[str], *, is_open: bool) -> tuple[Any, dict[str, Any]]:
    return title, {"fields": fields, "classes": [] if is_open else ["collapse"]}
