"""Settings of the test suite. ``GROKVIDEO_TEST_DATABASE`` chooses sqlite (default), postgres or mariadb."""

import json
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

SECRET_KEY = "tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "tests.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SCRATCH = Path(os.environ.get("GROKVIDEO_TEST_SCRATCH") or tempfile.mkdtemp(prefix="grokvideo-tests-"))
os.environ["GROKVIDEO_TEST_SCRATCH"] = str(SCRATCH)  # worker processes share it

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_rq",
    "grokvideo_django",
    "tests.site",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
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
STATIC_URL = "/static/"
MEDIA_URL = "/media/"
MEDIA_ROOT = SCRATCH / "media"

_NAME = os.environ.get("GROKVIDEO_TEST_NAME", f"grokvideo_{os.getpid()}")
os.environ["GROKVIDEO_TEST_NAME"] = _NAME
_DATABASES: dict[str, dict[str, Any]] = {
    "sqlite": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": SCRATCH / f"{_NAME}.sqlite3",
        "TEST": {"NAME": SCRATCH / f"{_NAME}.sqlite3"},
    },
    "postgres": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("GROKVIDEO_TEST_POSTGRES_DB", "postgres"),
        "USER": "postgres",
        "HOST": "127.0.0.1",
        "PORT": os.environ.get("GROKVIDEO_TEST_POSTGRES_PORT", "5432"),
        "TEST": {"NAME": _NAME},
    },
    "mariadb": {
        "ENGINE": "django.db.backends.mysql",
        "NAME": "test",
        "USER": "root",
        "HOST": "127.0.0.1",
        "PORT": os.environ.get("GROKVIDEO_TEST_MARIADB_PORT", "3306"),
        "OPTIONS": {"charset": "utf8mb4"},
        "TEST": {"NAME": _NAME, "CHARSET": "utf8mb4"},
    },
}
DATABASES = {"default": _DATABASES[os.environ.get("GROKVIDEO_TEST_DATABASE", "sqlite")]}
if os.environ.get("GROKVIDEO_TEST_WORKER"):  # a worker process of a test works on the test's own database
    DATABASES["default"]["NAME"] = _NAME if "HOST" in DATABASES["default"] else DATABASES["default"]["NAME"]


def free_port() -> int:
    """A port that nobody listens on; the fixture ``redis_server`` starts one there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


REDIS_URL = os.environ.setdefault("GROKVIDEO_TEST_REDIS", f"redis://127.0.0.1:{free_port()}/0")
RQ_QUEUES = {
    "default": {
        "URL": REDIS_URL,
        "REDIS_CLIENT_KWARGS": {"socket_connect_timeout": 2, "socket_timeout": 10},
    }
}
GROKVIDEO = {
    "API_KEY": "sk-aig-tests",
    "BASE_URL": os.environ.get("GROKVIDEO_TEST_GATEWAY", "http://127.0.0.1:1/v1"),
    "MEDIA_HOSTS": ["127.0.0.1", "localhost"],
    "ALLOW_PRIVATE_NETWORK": True,
    **json.loads(os.environ.get("GROKVIDEO_TEST_SETTINGS", "{}")),  # what a test hands to its worker processes
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
