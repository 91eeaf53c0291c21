"""The Django app."""

import sys

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from . import preload


class GrokVideoConfig(AppConfig):
    """Label ``grokvideo``; registers the system checks, and makes workers ready."""

    name = "grokvideo_django"
    label = "grokvideo"
    verbose_name = _("Grok video")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks; in a worker, load what its jobs need."""
        from . import checks  # noqa: F401, PLC0415

        preload.for_worker(sys.argv)
