"""What the site publishes."""

from django.db import models
from django.urls import reverse
from django.utils import timezone


class Article(models.Model):
    """A text with, perhaps, a film at its head."""

    title = models.CharField(max_length=120)
    slug = models.SlugField(unique=True)
    standfirst = models.CharField(max_length=250, help_text="One or two sentences below the title.")
    body = models.TextField(help_text="Paragraphs, with an empty line between them.")
    hero_video = models.FileField(upload_to="heroes/", blank=True, help_text="Plays at the head of the article.")
    published_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-published_at", "-pk")

    def __str__(self) -> str:
        """Its title."""
        return self.title

    def get_absolute_url(self) -> str:
        """Its public page."""
        return reverse("article", args=[self.slug])
