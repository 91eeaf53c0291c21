"""The public pages."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from .models import Article


def home(request: HttpRequest) -> HttpResponse:
    """All articles, the newest first."""
    return render(request, "content/home.html", {"articles": Article.objects.all()})


def article(request: HttpRequest, slug: str) -> HttpResponse:
    """One article with its film."""
    return render(request, "content/article.html", {"article": get_object_or_404(Article, slug=slug)})
