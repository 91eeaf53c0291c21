"""The app's settings: one typed class over the one dict ``settings.GROKVIDEO``, read at access.

``conf.current().QUEUE`` is always what ``settings`` says now, so ``override_settings`` works. Unknown names and wrong
values are reported by ``manage.py check`` and not here: an unknown name is ignored, a known one is used as given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist

Prices = Mapping[str, Mapping[str, int | str | Decimal]]

DEFAULT_PRICES: Prices = {
    # Credits (US cents) a second by resolution, and for an input image: xAI's list of 2026-11.
    "xai/grok-imagine-video": {"480p": "5", "720p": "7", "image": "0.2"},
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a site can set in ``GROKVIDEO``, with the defaults. Durations are in seconds, sizes in bytes."""

    # The gateway
    API_KEY: str = ""
    """Falls back to the environment's AIGATEWAY_API_KEY."""
    BASE_URL: str = "https://api.aigateway.sh/v1"
    MODEL: str = "xai/grok-imagine-video"
    MEDIA_HOSTS: Sequence[str] = ("media.aigateway.sh",)
    """``host`` or ``host:port`` that results may come from, besides links that the API signs for its own host."""
    ALLOW_PRIVATE_NETWORK: bool = False
    """True: MEDIA_HOSTS may be loopback or private, over plain http. For the sandbox."""
    REQUESTS_PER_MINUTE: int = 600
    """POST, GET and DELETE together over any sliding 60 s."""
    TAG: str = "grokvideo"
    """Groups this site's cost in the gateway's usage report; at most 64 characters."""
    READ_TIMEOUT: float = 20
    POST_TIMEOUT: float = 60
    """Seconds to wait for the answer to the paid POST; past it the request is in doubt."""
    RETRIES_AFTER_500: int = 2
    """How often a paid POST is repeated after a 500. 0 asks a person at once."""

    # The queue
    QUEUE: str = "default"
    MAX_QUEUE_AGE: float = 24 * 3600
    """A request that the gateway never accepted within this time fails; a site-wide pause does not count."""
    DEADLINE: float = 24 * 3600
    """From submission: past it an unfinished request becomes in doubt (never failed)."""

    # What may be asked for, and what it costs
    PRICES: Prices = field(default_factory=lambda: DEFAULT_PRICES)
    """By model: credits a second by resolution, and ``image``: credits for an input image."""
    CREDIT_USD: str | Decimal = "0.01"
    """What one credit is worth, for the "about $0.25" on the screen."""
    CHARGE: Mapping[str, int | float | str | Decimal] = field(default_factory=dict)
    """Who pays for what brings no video, by outcome: ``failed``, ``moderated``, ``expired``, ``canceled`` (at the
    gateway), ``undelivered`` (made, and not to be had). ``"none"`` (the default: the owner pays nothing), ``"full"``,
    or a share of the price from 0 to 1. Without ``undelivered`` such a video stays in doubt until a person decides."""
    APPROVAL_ABOVE: int | None = None
    """Credits: a request that costs more waits for somebody who may approve it. None: none does."""
    APPROVE_OWN: bool = False
    """Whether somebody who may approve may approve their own requests."""
    MAX_PROMPT_LENGTH: int = 4096
    MAX_IMAGE_BYTES: int = 10 * 1024 * 1024

    # Results
    STORAGE: str = "default"
    """The alias in STORAGES where finished videos are kept."""
    UPLOAD_TO: str = "grokvideo/"
    MAX_BYTES: int = 512 * 1024 * 1024
    FETCH_SECONDS: float = 120
    """Wall-clock limit of one download."""
    SITE_URL: str = ""
    """``https://www.example.com``: makes absolute URLs for URLFields and feeds where there is no HTTP request."""

    def __repr__(self) -> str:
        """Without the key: a settings object ends up in tracebacks and logs."""
        return "<Settings>"


NAMES = frozenset(f.name for f in fields(Settings))


def raw() -> Mapping[str, Any]:
    """The site's dict as it is, for the checks."""
    value = getattr(django_settings, "GROKVIDEO", None)
    return value if isinstance(value, Mapping) else {}


def current() -> Settings:
    """The settings as they are now."""
    values = {name: value for name, value in raw().items() if name in NAMES}
    if not values.get("API_KEY"):
        values["API_KEY"] = os.environ.get("AIGATEWAY_API_KEY", "")
    return Settings(**values)


def site_url() -> str:
    """``https://www.example.com/``, by SITE_URL or django.contrib.sites; empty if neither says."""
    configured = current().SITE_URL
    if configured:
        return configured.rstrip("/") + "/"
    if not apps.is_installed("django.contrib.sites"):
        return ""
    from django.contrib.sites.models import Site  # noqa: PLC0415 - importable only where it is installed

    try:
        return f"https://{Site.objects.get_current().domain}/"
    except (ImproperlyConfigured, ObjectDoesNotExist):  # no SITE_ID, or no such site
        return ""
