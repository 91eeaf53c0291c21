"""A request in words and pictures: the columns of the list, and the page of one that was started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.template.defaultfilters import linebreaksbr
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import embed, pricing
from ..models import GatewayState, VideoRequest
from . import columns, costs, explaining
from .bases import RequestModelAdmin
from .refunding import refunds_for

if TYPE_CHECKING:
    from django.utils.safestring import SafeString


class Facts(RequestModelAdmin):
    """Display methods; those of the list make no query."""

    def facts_of(self, obj: VideoRequest) -> list[tuple[Any, dict[str, Any]]]:
        """The page's sections, without what there is nothing to say about."""
        found = {
            "error_message": obj.error_message,
            "player": obj.video,
            "file_facts": obj.video,
            "input_image": obj.has_image,
            "target_link": obj.target_content_type_id,
            "relatives": obj.retry_of_id or obj.retries.exists(),
            "refunded": obj.charged_credits and refunds_for(obj),
        }
        sections = [
            (None, ["situation", "error_message", "player", "file_facts", "money", "refunded"]),
            (
                gettext_lazy("What was asked for"),
                ["owned_by", "prompt_text", "wish", "input_image", "target_link", "relatives"],
            ),
        ]
        details = [
            "gateway_job_id", "gateway_status", "error_code", "model", "tag", "submit_attempts", "reads",
            "fetch_attempts", "uuid", "created_at", "queued_at", "sent_at", "submitted_at", "rendered_at",
            "finished_at",
        ]  # fmt: skip
        shown = [(title, {"fields": [name for name in names if found.get(name, True)]}) for title, names in sections]
        return [*shown, (gettext_lazy("Details"), {"fields": details, "classes": ["collapse"]})]

    # The list

    @admin.display(description=gettext_lazy("video"))
    def thumbnail(self, obj: VideoRequest) -> SafeString:
        """Poster or icon."""
        return columns.thumbnail(obj)

    @admin.display(description=gettext_lazy("prompt"), ordering="prompt")
    def prompt_start(self, obj: VideoRequest) -> str:
        """The prompt's beginning."""
        return str(obj) or _("(no prompt)")

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def state(self, obj: VideoRequest) -> SafeString:
        """Symbol and word."""
        return columns.badge(obj)

    @admin.display(description=gettext_lazy("owner"), ordering="owner_name")
    def owned_by(self, obj: VideoRequest) -> str:
        """Who pays."""
        return columns.owner_name(obj)

    @admin.display(description=gettext_lazy("credits"), ordering="charged_credits")
    def cost(self, obj: VideoRequest) -> str:
        """Charged, held, or what it would be."""
        return explaining.cost(obj)

    @admin.display(description=gettext_lazy("age"), ordering="-created_at")
    def age(self, obj: VideoRequest) -> SafeString:
        """Since it was made."""
        return columns.age(obj.created_at)

    # The page

    @admin.display(description=gettext_lazy("status"))
    def situation(self, obj: VideoRequest) -> SafeString:
        """The status with what is going on."""
        refunded = sum(entry.posted_delta for entry in refunds_for(obj)) if obj.charged_credits else 0
        now = timezone.now()
        lines = [*explaining.situation(obj, GatewayState.objects.current(), now), *costs.why(obj, refunded=refunded)]
        return render_to_string("grokvideo/admin/situation.html", {"badge": columns.badge(obj), "lines": lines})

    @admin.display(description=gettext_lazy("video"))
    def player(self, obj: VideoRequest) -> SafeString:
        """It plays here."""
        return embed.render(embed.clip_of(obj), embed.Options(css_class="grokvideo-player", title=_("The video")))

    @admin.display(description=gettext_lazy("result"))
    def file_facts(self, obj: VideoRequest) -> SafeString:
        """Length, size, sound, and the file itself."""
        url = embed.video_url(obj)
        link = format_html(' · <a href="{}" download>{}</a>', url, _("Download")) if url else ""
        return format_html("{}{}", explaining.facts(obj), link)

    @admin.display(description=gettext_lazy("cost"))
    def money(self, obj: VideoRequest) -> str:
        """What it cost, in credits and dollars."""
        words = explaining.cost(obj)
        amount = obj.quoted_credits if obj.charged_credits is None else obj.charged_credits
        if not amount:
            return words
        return _("%(words)s, about %(dollars)s") % {"words": words, "dollars": pricing.in_dollars(amount)}

    @admin.display(description=gettext_lazy("prompt"))
    def prompt_text(self, obj: VideoRequest) -> SafeString:
        """The whole prompt, in its own direction of writing."""
        return format_html('<span dir="auto">{}</span>', linebreaksbr(obj.prompt))

    @admin.display(description=gettext_lazy("settings"))
    def wish(self, obj: VideoRequest) -> str:
        """Length, shape, size and mode in one line."""
        seconds = _("%(seconds)d s") % {"seconds": obj.duration_seconds}
        mode = obj.get_mode_display()
        return " · ".join(filter(None, [seconds, obj.aspect_ratio, obj.resolution, mode]))

    @admin.display(description=gettext_lazy("image"))
    def input_image(self, obj: VideoRequest) -> SafeString:
        """A link to the first frame."""
        url = embed.file_url(obj.image) if obj.image else embed.safe_url(obj.image_url)
        return format_html('<a href="{}">{}</a>', url, obj.image.name or obj.image_url)

    @admin.display(description=gettext_lazy("attached to"))
    def target_link(self, obj: VideoRequest) -> str | SafeString:
        """The object and the field, with a link where its admin has one."""
        model = None if obj.target_content_type is None else obj.target_content_type.model_class()
        words = _("%(model)s %(id)s, field %(field)s") % {
            "model": _("object") if model is None else model._meta.verbose_name,
            "id": obj.target_object_id,
            "field": obj.target_field,
        }
        if model is None or not self.admin_site.is_registered(model):
            return words
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        url = reverse(name, args=[quote(obj.target_object_id)], current_app=self.admin_site.name)
        return format_html('<a href="{}">{}</a>', url, words)

    @admin.display(description=gettext_lazy("related"))
    def relatives(self, obj: VideoRequest) -> SafeString:
        """What it is a retry of, and its own retries."""
        links = [(_("retry of"), obj.retry_of)] if obj.retry_of is not None else []
        links += [(_("made again as"), again) for again in obj.retries.order_by("pk")]
        return format_html_join(", ", "{} {}", ((words, self._link(other)) for words, other in links))

    def _link(self, obj: VideoRequest) -> SafeString:
        url = reverse("admin:grokvideo_videorequest_change", args=[obj.pk], current_app=self.admin_site.name)
        return format_html('<a href="{}">#{} ({})</a>', url, obj.pk, obj.get_status_display())
