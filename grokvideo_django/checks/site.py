"""What the rest of the site's settings must give: apps, a storage, a queue, a database."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from django.apps import apps
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, InvalidStorageError, storages
from django.db import DEFAULT_DB_ALIAS, router
from redis import Redis

from ..models import CreditEntry
from .messages import effective, error, shown, site_setting, warning
from .values import is_finite_number, is_valid

NEEDED_APPS: Final = ("django.contrib.contenttypes", "django.contrib.auth", "django_rq")
CONNECT: Final = "socket_connect_timeout"
QUEUE_HINT: Final = (
    'RQ_QUEUES = {"default": {"HOST": "localhost", "PORT": 6379, "REDIS_CLIENT_KWARGS": {"socket_connect_timeout": 2}}}'
)
SQLITE_HINT: Final = (
    'Paste into DATABASES["default"]: "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", '
    '"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"}'
)
SHORTEST_WAIT_SECONDS: Final = 5
_WAL: Final = re.compile(r"journal_mode\s*[=(]\s*['\"]?wal", re.IGNORECASE)


def check_apps(**_: object) -> list[CheckMessage]:
    """E012."""
    return [
        error(12, f'"{name}" is not in INSTALLED_APPS.', f'Add "{name}" before "grokvideo_django".')
        for name in NEEDED_APPS
        if not apps.is_installed(name)
    ]


def check_storage(**_: object) -> list[CheckMessage]:
    """E010."""
    alias, storages = effective("STORAGE"), site_setting("STORAGES")
    if not is_valid("STORAGE") or not isinstance(storages, Mapping) or alias in storages:
        return []
    hint = f'Add it to STORAGES, or set GROKVIDEO["STORAGE"] to one of {_listed(storages)}.'
    return [error(10, f'GROKVIDEO["STORAGE"] is {shown(alias)}, but STORAGES has no such alias.', hint)]


def check_media(**_: object) -> list[CheckMessage]:
    """W011."""
    alias = effective("STORAGE")
    try:
        storage = storages[alias] if is_valid("STORAGE") else None
    except (InvalidStorageError, ImproperlyConfigured, TypeError):  # a storage that cannot be made is E010, or Django's
        return []
    if not isinstance(storage, FileSystemStorage):
        return []
    # An empty MEDIA_URL reads as "/", an empty MEDIA_ROOT is the working directory.
    empty = [
        name
        for name, is_empty in (("MEDIA_ROOT", not storage.base_location), ("MEDIA_URL", storage.base_url in {"", "/"}))
        if is_empty
    ]
    if not empty:
        return []
    return [
        warning(
            11,
            f"Videos are kept on disk, and {' and '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty: "
            "no page can play them.",
            'Set MEDIA_ROOT = BASE_DIR / "media" and MEDIA_URL = "media/", and have the folder served there.',
        )
    ]


def check_queue(**_: object) -> list[CheckMessage]:
    """E011, W005 to W008."""
    name, queues = effective("QUEUE"), site_setting("RQ_QUEUES")
    if not is_valid("QUEUE"):
        return []
    queue = queues.get(name) if isinstance(queues, Mapping) else None
    if isinstance(queue, Mapping):
        return [*_connection(name, queue), *_habits(name, queue)]
    known = _listed(queues) if isinstance(queues, Mapping) else ""
    hint = f'Set GROKVIDEO["QUEUE"] to one of {known}, or add it: {QUEUE_HINT}' if known else f"Write {QUEUE_HINT}"
    return [error(11, f'GROKVIDEO["QUEUE"] is {shown(name)}, but RQ_QUEUES has no such queue.', hint)]


def check_databases(**_: object) -> list[CheckMessage]:
    """E013, E014, W009. Looks at settings only: no connection is opened."""
    for verb, alias in (("writes", router.db_for_write(CreditEntry)), ("reads", router.db_for_read(CreditEntry))):
        if alias != DEFAULT_DB_ALIAS:
            return [
                error(
                    13,
                    f"A database router sends the ledger's {verb} to {shown(alias)}, but its transactions are the "
                    "default's.",
                    'Let the router answer "default" for the app label "grokvideo", to reads as well: a replica does '
                    "not know yet what was spent.",
                )
            ]
    databases = site_setting("DATABASES")
    database = databases.get(DEFAULT_DB_ALIAS) if isinstance(databases, Mapping) else None
    return [*_isolation(database), *_sqlite(database)] if isinstance(database, Mapping) else []


def check_time_zones(**_: object) -> list[CheckMessage]:
    """E015."""
    if site_setting("USE_TZ"):
        return []
    hint = "Set USE_TZ = True. Django's documentation tells how a site of naive times migrates."
    return [error(15, "USE_TZ is off, but budgets, allowances and expiries are moments in a time zone.", hint)]


def _listed(names: Mapping[Any, Any]) -> str:
    return ", ".join(shown(name) for name in names)


def _connection(name: str, queue: Mapping[str, Any]) -> list[CheckMessage]:
    """Without a time-out, a Redis host that vanishes holds up every "Generate" for minutes."""
    kwargs = queue.get("REDIS_CLIENT_KWARGS")
    found: list[CheckMessage] = []
    if "URL" in queue and kwargs:
        found.append(
            warning(
                6,
                f'RQ_QUEUES["{name}"] has a URL, and then REDIS_CLIENT_KWARGS is ignored by django-rq.',
                f"Write its values into the URL: redis://localhost:6379/0?{CONNECT}=2",
            )
        )
    if not _has_time_out(queue):
        found.append(
            warning(
                5,
                f'RQ_QUEUES["{name}"] has no time-out for connecting: editors wait minutes for a Redis that is gone.',
                f"Add {CONNECT}, 2 seconds, {_place_of_time_out(queue)}.",
            )
        )
    return found


def _place_of_time_out(queue: Mapping[str, Any]) -> str:
    if "URL" in queue:
        return f"to the URL: redis://localhost:6379/0?{CONNECT}=2"
    return f'as "{_kwargs_name(queue)}": {{"{CONNECT}": 2}}'


def _kwargs_name(queue: Mapping[str, Any]) -> str:
    return "CONNECTION_KWARGS" if "SENTINELS" in queue else "REDIS_CLIENT_KWARGS"


def _has_time_out(queue: Mapping[str, Any]) -> bool:
    """As django-rq reads it; redis-py has a default of its own from version 8 on."""
    preset = inspect.signature(Redis.__init__).parameters[CONNECT].default
    if "URL" in queue:
        return preset is not None or _in_url(queue["URL"])
    if "USE_REDIS_CACHE" in queue or "UNIX_SOCKET_PATH" in queue:
        return True  # the cache's own business; a socket that is gone refuses at once
    kwargs = queue.get(_kwargs_name(queue))
    value = kwargs.get(CONNECT, preset) if isinstance(kwargs, Mapping) else preset
    return is_finite_number(value) or ("SENTINELS" in queue and is_finite_number(queue.get("SOCKET_TIMEOUT")))


def _in_url(url: object) -> bool:
    try:
        return CONNECT in parse_qs(urlsplit(_text(url)).query)
    except ValueError:
        return False


def _habits(name: str, queue: Mapping[str, Any]) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not queue.get("ASYNC", True):
        found.append(
            warning(
                7,
                f'RQ_QUEUES["{name}"] has ASYNC off, which is ignored here: no editor waits for a video.',
                "Run a worker also while you develop: manage.py grokvideo_worker.",
            )
        )
    if queue.get("SERIALIZER"):
        found.append(
            warning(
                8,
                f'RQ_QUEUES["{name}"] has a SERIALIZER of its own: rqcron and a plain rqworker do not use it.',
                'Give the videos a queue without one, and name it in GROKVIDEO["QUEUE"].',
            )
        )
    return found


def _isolation(database: Mapping[str, Any]) -> list[CheckMessage]:
    """Its statements see what others have committed before them, or two spend the same credits."""
    options = _options(database)
    if not _text(database.get("ENGINE")).endswith("mysql") or "isolation_level" not in options:
        return []  # Django's own default is READ COMMITTED
    level = options["isolation_level"]
    if _text(level).lower() == "read committed":
        return []
    words = "the server's own" if level is None else shown(level)
    hint = 'Write "isolation_level": "read committed", or leave it out: it is Django\'s default.'
    return [error(14, f"The database's isolation level is {words}: what two spend at once would be spent twice.", hint)]


def _sqlite(database: Mapping[str, Any]) -> list[CheckMessage]:
    slow = _slow_sqlite(database)
    if not slow:
        return []
    return [warning(9, f"SQLite has {', '.join(slow)}: workers and editors wait for each other.", SQLITE_HINT)]


def _options(database: Mapping[str, Any]) -> Mapping[str, Any]:
    given = database.get("OPTIONS")
    return given if isinstance(given, Mapping) else {}


def _slow_sqlite(database: Mapping[str, Any]) -> list[str]:
    engine, name = _text(database.get("ENGINE")), _text(database.get("NAME"))
    if not engine.endswith("sqlite3") or ":memory:" in name or "mode=memory" in name:
        return []
    options = _options(database)
    wait = options.get("timeout", SHORTEST_WAIT_SECONDS)
    return [
        words
        for words, applies in (
            ("no write-ahead log", not _WAL.search(_text(options.get("init_command")))),
            ("no IMMEDIATE transactions", _text(options.get("transaction_mode")).upper() != "IMMEDIATE"),
            ("a short timeout", not is_finite_number(wait) or wait < SHORTEST_WAIT_SECONDS),
        )
        if applies
    ]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
