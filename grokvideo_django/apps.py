"""The Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GrokVideoConfig(AppConfig):
    """Label ``grokvideo``; registers the system checks."""

    name = "grokvideo_django"
    label = "grokvideo"
    verbose_name = _("Grok video")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks."""
        from . import checks  # noqa: F401, PLC0415
