"""A small content site. Everything that changes from place to place comes from the environment.

``manage.py demo`` sets all of it. By hand, these count: GROKVIDEO_DEMO_DIR (where files are kept), REDIS_URL,
AIGATEWAY_API_KEY, and GROKVIDEO_SANDBOX (host:port of ``manage.py grokvideo_sandbox``; empty for the real gateway).
"""

import os
from pathlib import Path
from typing import Any

PROJECT_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = Path(os.environ.get("GROKVIDEO_DEMO_DIR") or PROJECT_DIR / "var" / "demo").resolve()
STATE_DIR.mkdir(parents=True, exist_ok=True)

# Only this machine can reach the example, so its secret is none. A real site keeps its own.
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "an example that only this machine can reach")
DEBUG = os.environ.get("DJANGO_DEBUG", "1") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_rq",
    "grokvideo_django",
    "content",
    "demo",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "example.csp.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "example.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": STATE_DIR / "db.sqlite3",
        # Readers and one writer at a time, and transactions that wait for their turn instead of failing in the middle.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode=WAL;"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
MEDIA_URL = "/media/"
MEDIA_ROOT = STATE_DIR / "media"

# Without the time-out a page would hang for as long as Redis does.
RQ_QUEUES = {"default": {"URL": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0?socket_connect_timeout=2")}}

GROKVIDEO: dict[str, Any] = {"API_KEY": os.environ.get("AIGATEWAY_API_KEY", "")}
SANDBOX = os.environ.get("GROKVIDEO_SANDBOX", "")
if SANDBOX:
    GROKVIDEO |= {"BASE_URL": f"http://{SANDBOX}/v1", "MEDIA_HOSTS": [SANDBOX], "ALLOW_PRIVATE_NETWORK": True}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"short": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "short"}},
    "loggers": {"grokvideo_django": {"handlers": ["console"], "level": "INFO"}},
}
