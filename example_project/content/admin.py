"""Articles in the admin, each with a way to a film."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from .models import Article


def generate_url(article: Article) -> str:
    """The form for a new video that goes into the article's hero when it is ready."""
    target = {"attach_to": "content.article.hero_video", "target_object_id": article.pk}
    return f"{reverse('admin:grokvideo_videorequest_add')}?{urlencode(target)}"


@admin.register(Article)
class ArticleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The ordinary form, and a button above it (templates/admin/content/article/change_form.html)."""

    list_display = ("title", "has_film", "published_at")
    search_fields = ("title", "standfirst", "body")
    prepopulated_fields = {"slug": ("title",)}

    @admin.display(description="film", boolean=True)
    def has_film(self, article: Article) -> bool:
        """Whether it has one."""
        return bool(article.hero_video)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With the address of the form for a new video, for those who may use it."""
        article = self.get_object(request, object_id)
        if article is not None and request.user.has_perm("grokvideo.add_videorequest"):
            extra_context = {**(extra_context or {}), "generate_url": generate_url(article)}
        return super().change_view(request, object_id, form_url, extra_context)
