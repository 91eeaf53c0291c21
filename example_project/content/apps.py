"""The site's own app."""

from django.apps import AppConfig


class ContentConfig(AppConfig):
    """Articles."""

    name = "content"
    verbose_name = "Magazine"
