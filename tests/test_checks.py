"""Every wrong setting is found, by its own id, with a mend in the hint; nothing right is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.test import modify_settings, override_settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from grokvideo_django import checks, conf
from grokvideo_django.checks import site, values

RIGHT: dict[str, Any] = {"API_KEY": "sk-aig-tests"}
MODEL = "xai/grok-imagine-video"
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": "db.sqlite3",
    "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"},
}
QUEUE = {"HOST": "localhost", "PORT": 6379, "REDIS_CLIENT_KWARGS": {"socket_connect_timeout": 2}}


def found(grokvideo: Any = RIGHT, **others: Any) -> list[CheckMessage]:
    """What the checks say of these settings, and of a site that is otherwise in order."""
    site_settings = {"RQ_QUEUES": {"default": QUEUE}, "DATABASES": {"default": SQLITE}, "DEBUG": False, **others}
    with override_settings(GROKVIDEO=grokvideo, **site_settings):
        return run_checks(tags=[checks.TAG])


def ids(messages: list[CheckMessage]) -> list[str]:
    """In their order: Django runs checks in none."""
    return sorted((message.id or "").removeprefix("grokvideo.") for message in messages)


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIGATEWAY_API_KEY", raising=False)


# Django warns when DATABASES is overridden, because connections do not follow; the checks read the setting alone.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding setting DATABASES:UserWarning")


@pytest.mark.parametrize(
    "grokvideo",
    [
        RIGHT,
        {**RIGHT, "REQUESTS_PER_MINUTE": 1, "TAG": "", "RETRIES_AFTER_500": 0, "READ_TIMEOUT": 0.5},
        {**RIGHT, "BASE_URL": "https://gateway.example:8443/api/v2beta/", "SITE_URL": "https://www.example.com/sub"},
        {**RIGHT, "MEDIA_HOSTS": ("media.example", "other.example:8443", "[2606:4700::1]:443")},
        {**RIGHT, "MEDIA_HOSTS": {"media.example"}, "UPLOAD_TO": "", "CREDIT_USD": Decimal("0.5")},
        {**RIGHT, "PRICES": {MODEL: {"480p": 5, "720p": Decimal(7), "image": "0"}, "other": {"480p": "1"}}},
        {
            **RIGHT,
            "CHARGE": {
                "failed": "none",
                "moderated": "full",
                "expired": 0.1,
                "canceled": Decimal("0.5"),
                "undelivered": "full",
            },
        },
        {**RIGHT, "APPROVAL_ABOVE": 0, "APPROVE_OWN": True},
        {**RIGHT, "MODEL": "other", "PRICES": {"other": {"480p": "1", "720p": 2, "image": 1}}},
    ],
)
def test_nothing_is_said_of_what_is_right(grokvideo: dict[str, Any]) -> None:
    assert found(grokvideo) == []


def test_every_setting_is_checked() -> None:
    by_hand = {"API_KEY", "BASE_URL", "MEDIA_HOSTS", "SITE_URL", "PRICES"}
    assert set(values.RULES) | by_hand == conf.NAMES
    assert not set(values.RULES) & by_hand


def test_every_default_passes_its_rule() -> None:
    assert [name for name, rule in values.RULES.items() if not rule.accepts(getattr(conf.Settings(), name))] == []


WRONG_VALUES = [
    ("MODEL", ""),
    ("MODEL", "m" * 101),
    ("MODEL", None),
    ("ALLOW_PRIVATE_NETWORK", "False"),
    ("ALLOW_PRIVATE_NETWORK", 1),
    ("REQUESTS_PER_MINUTE", 0),
    ("REQUESTS_PER_MINUTE", 60.0),
    ("REQUESTS_PER_MINUTE", "600"),
    ("REQUESTS_PER_MINUTE", True),
    ("TAG", "t" * 65),
    ("TAG", "two\nlines"),
    ("READ_TIMEOUT", 0),
    ("READ_TIMEOUT", 61),
    ("READ_TIMEOUT", "20"),
    ("POST_TIMEOUT", -1),
    ("POST_TIMEOUT", float("inf")),
    ("RETRIES_AFTER_500", -1),
    ("RETRIES_AFTER_500", 11),
    ("QUEUE", ""),
    ("QUEUE", ["default"]),
    ("MAX_QUEUE_AGE", float("nan")),
    ("MAX_QUEUE_AGE", True),
    ("DEADLINE", 1e30),
    ("CREDIT_USD", 0.01),
    ("CREDIT_USD", "0"),
    ("CREDIT_USD", "a cent"),
    ("CREDIT_USD", "NaN"),
    ("CHARGE", "full"),
    ("CHARGE", {"late": "full"}),
    ("CHARGE", {"failed": "half"}),
    ("CHARGE", {"failed": 1.5}),
    ("CHARGE", {"failed": "-0.1"}),
    ("CHARGE", {"failed": float("nan")}),
    ("CHARGE", {"failed": True}),
    ("CHARGE", {"failed": None}),
    ("APPROVAL_ABOVE", -1),
    ("APPROVAL_ABOVE", True),
    ("APPROVAL_ABOVE", "10"),
    ("APPROVE_OWN", "no"),
    ("MAX_PROMPT_LENGTH", 0),
    ("MAX_IMAGE_BYTES", "10 MB"),
    ("STORAGE", ""),
    ("STORAGE", {"BACKEND": "…"}),
    ("UPLOAD_TO", "/srv/videos"),
    ("UPLOAD_TO", "videos/../../etc"),
    ("UPLOAD_TO", lambda instance, filename: filename),
    ("MAX_BYTES", 0),
    ("MAX_BYTES", 512e6),
    ("FETCH_SECONDS", None),
]


@pytest.mark.parametrize(("name", "value"), WRONG_VALUES)
def test_a_wrong_value(name: str, value: object) -> None:
    messages = [message for message in found({**RIGHT, name: value}) if message.id == "grokvideo.E003"]
    assert len(messages) == 1
    assert f'GROKVIDEO["{name}"] is ' in messages[0].msg
    assert f"the default is {getattr(conf.Settings(), name)!r}" in (messages[0].hint or "")


@pytest.mark.parametrize("grokvideo", [[("API_KEY", "sk-aig")], "sk-aig", 7, object()])
def test_settings_that_are_no_dict(grokvideo: object) -> None:
    assert ids(found(grokvideo)) == ["E001", "W001"]


def test_no_settings_at_all_lack_only_the_key() -> None:
    assert ids(found(None)) == ["W001"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("MAX_BYTE", "MAX_BYTES"), ("api_key", "API_KEY"), ("SITEURL", "SITE_URL"), ("zzz", None), (7, None)],
)
def test_an_unknown_name(name: object, meant: str | None) -> None:
    (message,) = found({**RIGHT, name: 1})
    assert message.id == "grokvideo.E002"
    assert repr(name) in message.msg
    assert ("Did you mean" in (message.hint or "")) == (meant is not None)
    assert meant is None or f'"{meant}"' in (message.hint or "")


def test_no_key_is_a_warning_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    (message,) = found({})
    assert message.id == "grokvideo.W001"
    assert "AIGATEWAY_API_KEY" in (message.hint or "")
    monkeypatch.setenv("AIGATEWAY_API_KEY", "sk-aig-environment")
    assert found({}) == []


@pytest.mark.parametrize(
    "key", ["sk aig secret", "sk-aig-secret\n", " sk-aig-secret", "sk-aig-sécret", 7, ["sk-aig-secret"]]
)
def test_a_key_that_cannot_be_sent_is_not_shown(key: object, monkeypatch: pytest.MonkeyPatch) -> None:
    (message,) = found({"API_KEY": key})
    assert message.id == "grokvideo.E004"
    assert 'GROKVIDEO["API_KEY"]' in message.msg
    assert "secret" not in str(message)
    monkeypatch.setenv("AIGATEWAY_API_KEY", "secret with spaces")
    (message,) = found({})
    assert message.id == "grokvideo.E004"
    assert "AIGATEWAY_API_KEY" in message.msg
    assert "secret" not in str(message)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.aigateway.sh/v1",
        "ftp://api.aigateway.sh/v1",
        "https://",
        "https://user:secret@api.aigateway.sh/v1",
        "https://api.aigateway.sh/v1?key=secret",
        "https://api.aigateway.sh/v1#",
        "https://api.aigateway.sh:99999/v1",
        "https://api aigateway.sh/v1",
        "https://[::1/v1",
        "http://gateway.example/v1",
        b"https://api.aigateway.sh/v1",
        None,
    ],
)
def test_an_address_of_the_gateway_that_cannot_be_used(url: object) -> None:
    (message,) = found({**RIGHT, "BASE_URL": url})
    assert message.id == "grokvideo.E005"
    assert "https://api.aigateway.sh/v1" in (message.hint or "")
    assert "secret" not in str(message)


@pytest.mark.parametrize(
    "url", ["https://api.aigateway.sh", "https://api.aigateway.sh/", "https://api.aigateway.sh/api"]
)
def test_an_address_of_the_gateway_without_a_version(url: str) -> None:
    assert ids(found({**RIGHT, "BASE_URL": url})) == ["W003"]


@pytest.mark.parametrize("host", ["127.0.0.1:8787", "localhost:8787", "gateway.localhost", "[::1]:8787"])
def test_a_local_gateway_needs_leave_for_its_results(host: str) -> None:
    local = {**RIGHT, "BASE_URL": f"http://{host}/v1"}
    assert ids(found(local)) == ["W004"]
    allowed = {**local, "ALLOW_PRIVATE_NETWORK": True}
    assert ids(found(allowed, DEBUG=True)) == []
    assert ids(found(allowed)) == ["W002"]


def test_a_gateway_of_the_private_network_may_speak_plain_http() -> None:
    settings = {**RIGHT, "BASE_URL": "http://sandbox:8787/v1", "ALLOW_PRIVATE_NETWORK": True}
    assert ids(found(settings, DEBUG=True)) == []


@pytest.mark.parametrize(
    "hosts",
    [
        "media.aigateway.sh",
        [],
        None,
        {"media.aigateway.sh": True},
        ["https://media.aigateway.sh"],
        ["media.aigateway.sh/videos"],
        ["*.aigateway.sh"],
        ["media.aigateway.sh:0"],
        [7],
    ],
)
def test_media_hosts_that_are_no_hosts(hosts: object) -> None:
    (message,) = found({**RIGHT, "MEDIA_HOSTS": hosts})
    assert message.id == "grokvideo.E006"
    assert '["media.aigateway.sh"]' in (message.hint or "")


@pytest.mark.parametrize("url", ["www.example.com", "ftp://example.com", "https://", "https://example.com/?a", None, 7])
def test_a_malformed_site_address(url: object) -> None:
    assert ids(found({**RIGHT, "SITE_URL": url})) == ["E007"]


FULL = {"480p": "5", "720p": "7", "image": "0.2"}


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ("5", ["E008"]),
        (None, ["E008"]),
        ({MODEL: "5"}, ["E008"]),
        ({MODEL: FULL, 7: FULL}, ["E008"]),
        ({MODEL: {**FULL, "480p": "five"}}, ["E008"]),
        ({MODEL: {**FULL, "480p": 0}}, ["E008"]),
        ({MODEL: {**FULL, "480p": "-5"}}, ["E008"]),
        ({MODEL: {**FULL, "image": "-1"}}, ["E008"]),
        ({MODEL: {**FULL, "720p": 0.07}}, ["E008"]),
        ({MODEL: {**FULL, "720p": True}}, ["E008"]),
        ({MODEL: {**FULL, "720p": "1e999"}}, ["E008"]),
        ({MODEL: {**FULL, "720p": "Infinity"}}, ["E008"]),
        ({MODEL: {**FULL, "1080p": "9"}}, ["E008"]),
        ({MODEL: {**FULL, 720: "9"}}, ["E008"]),
        ({}, ["E009"]),
        ({"xai/grok-imagine": FULL}, ["E009"]),
        ({MODEL: {"480p": "5", "image": 1}}, ["W010"]),
        ({MODEL: {"480p": "5", "720p": "7"}}, ["W010"]),
        ({MODEL: {}}, ["W010", "W010", "W010"]),
    ],
)
def test_a_wrong_price_list(prices: object, expected: list[str]) -> None:
    messages = found({**RIGHT, "PRICES": prices})
    assert ids(messages) == expected
    assert all(message.hint for message in messages)


def test_misspelt_prices_say_what_was_meant() -> None:
    (message,) = found({**RIGHT, "PRICES": {MODEL: {**FULL, "720": "9"}}})
    assert 'Did you mean "720p"?' in (message.hint or "")
    (message,) = found({**RIGHT, "MODEL": "xai/grok-imagine-vide"})
    assert f'Did you mean "{MODEL}"?' in (message.hint or "")


def test_a_storage_that_does_not_exist() -> None:
    (message,) = found({**RIGHT, "STORAGE": "videos"})
    assert message.id == "grokvideo.E010"
    assert "'default', 'staticfiles'" in (message.hint or "")


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"MEDIA_URL": "", "MEDIA_ROOT": ""}, "MEDIA_ROOT and MEDIA_URL are empty"),
        ({"MEDIA_URL": "", "MEDIA_ROOT": "/srv/media"}, "MEDIA_URL is empty"),
        ({"MEDIA_URL": "media/", "MEDIA_ROOT": ""}, "MEDIA_ROOT is empty"),
    ],
)
def test_videos_on_a_disk_that_no_page_reaches(others: dict[str, str], words: str) -> None:
    (message,) = found(**others)
    assert message.id == "grokvideo.W011"
    assert words in message.msg
    assert "MEDIA_ROOT = " in (message.hint or "")


def storage_named_videos(backend: str, **options: str) -> dict[str, Any]:
    """Settings of a site whose media are unset, with a storage for its videos."""
    default = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    videos = {"BACKEND": f"django.core.files.storage.{backend}", "OPTIONS": options}
    return {"STORAGES": {"default": default, "videos": videos}, "MEDIA_URL": "", "MEDIA_ROOT": ""}


@pytest.mark.parametrize(
    ("backend", "options", "expected"),
    [
        ("FileSystemStorage", {}, ["W011"]),
        ("FileSystemStorage", {"location": "/srv/videos", "base_url": "/videos/"}, []),
        ("InMemoryStorage", {}, []),
        ("FileSystemStorage", {"bucket": "videos"}, []),
        ("NoStorage", {}, []),
    ],
)
def test_only_the_storage_of_the_videos_counts(backend: str, options: dict[str, str], expected: list[str]) -> None:
    messages = found({**RIGHT, "STORAGE": "videos"}, **storage_named_videos(backend, **options))
    assert ids(messages) == expected


@pytest.mark.parametrize(
    ("queues", "words"),
    [
        ({"high": QUEUE, "low": QUEUE}, "'high', 'low'"),
        ({"default": "redis://localhost"}, "'default'"),
        ({}, "RQ_QUEUES = "),
        (None, "RQ_QUEUES = "),
        (["default"], "RQ_QUEUES = "),
    ],
)
def test_a_queue_that_does_not_exist(queues: object, words: str) -> None:
    (message,) = found(RQ_QUEUES=queues)
    assert message.id == "grokvideo.E011"
    assert words in (message.hint or "")


@pytest.mark.parametrize("app", ["django_rq", "django.contrib.auth", "django.contrib.contenttypes"])
def test_an_app_that_is_not_installed(app: str) -> None:
    with modify_settings(INSTALLED_APPS={"remove": [app]}):
        messages = found()
    assert [message.msg for message in messages if message.id == "grokvideo.E012"] == [
        f'"{app}" is not in INSTALLED_APPS.'
    ]


URL = "redis://localhost:6379/0"
TIME_OUT = {"socket_connect_timeout": 2}


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        ({"URL": URL}, ["W005"]),
        ({"URL": f"{URL}?socket_connect_timeout=2"}, []),
        ({"URL": URL, "REDIS_CLIENT_KWARGS": TIME_OUT}, ["W005", "W006"]),
        ({"URL": "redis://[::1"}, ["W005"]),
        ({"URL": None}, ["W005"]),
        ({"HOST": "localhost", "PORT": 6379}, ["W005"]),
        ({"HOST": "localhost", "PORT": 6379, "REDIS_CLIENT_KWARGS": "garbage"}, ["W005"]),
        ({"HOST": "localhost", "PORT": 6379, "REDIS_CLIENT_KWARGS": {"socket_timeout": 2}}, ["W005"]),
        ({"HOST": "localhost", "PORT": 6379, "REDIS_CLIENT_KWARGS": TIME_OUT}, []),
        ({"USE_REDIS_CACHE": "default"}, []),
        ({"UNIX_SOCKET_PATH": "/run/redis.sock", "DB": 0}, []),
        ({"SENTINELS": [("localhost", 26379)], "MASTER_NAME": "m"}, ["W005"]),
        ({"SENTINELS": [("localhost", 26379)], "MASTER_NAME": "m", "SOCKET_TIMEOUT": 1}, []),
        ({"SENTINELS": [("localhost", 26379)], "MASTER_NAME": "m", "CONNECTION_KWARGS": TIME_OUT}, []),
        ({**QUEUE, "ASYNC": False}, ["W007"]),
        ({**QUEUE, "SERIALIZER": "rq.serializers.JSONSerializer"}, ["W008"]),
    ],
)
def test_the_queue(queue: dict[str, Any], expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def without_default(self: object, socket_connect_timeout: float | None = None) -> None: ...

    monkeypatch.setattr(site.Redis, "__init__", without_default)  # as redis-py was before version 8
    messages = found(RQ_QUEUES={"default": queue})
    assert ids(messages) == expected
    assert all(message.hint for message in messages)


def test_a_redis_client_with_a_time_out_of_its_own_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_default(self: object, socket_connect_timeout: float | None = 5) -> None: ...

    monkeypatch.setattr(site.Redis, "__init__", with_default)
    assert found(RQ_QUEUES={"default": {"URL": URL}}) == []
    assert found(RQ_QUEUES={"default": {"HOST": "localhost", "PORT": 6379}}) == []
    unlimited = {"HOST": "localhost", "PORT": 6379, "REDIS_CLIENT_KWARGS": {"socket_connect_timeout": None}}
    assert ids(found(RQ_QUEUES={"default": unlimited})) == ["W005"]


@pytest.mark.parametrize(
    ("database", "words"),
    [
        ({**SQLITE, "OPTIONS": {}}, "no write-ahead log, no IMMEDIATE transactions"),
        ({"ENGINE": SQLITE["ENGINE"], "NAME": "db.sqlite3"}, "no write-ahead log, no IMMEDIATE transactions"),
        ({**SQLITE, "OPTIONS": {"transaction_mode": "immediate"}}, "no write-ahead log"),
        ({**SQLITE, "OPTIONS": {"init_command": "pragma journal_mode = wal"}}, "no IMMEDIATE transactions"),
        ({**SQLITE, "OPTIONS": {**SQLITE["OPTIONS"], "timeout": 1}}, "a short timeout"),  # type: ignore[dict-item]
        ({**SQLITE, "OPTIONS": {**SQLITE["OPTIONS"], "timeout": "20"}}, "a short timeout"),  # type: ignore[dict-item]
        ({**SQLITE, "OPTIONS": "garbage"}, "no write-ahead log, no IMMEDIATE transactions"),
    ],
)
def test_sqlite_that_is_slower_than_it_could_be(database: dict[str, Any], words: str) -> None:
    (message,) = found(DATABASES={"default": database})
    assert message.id == "grokvideo.W009"
    assert words in message.msg
    assert '"transaction_mode": "IMMEDIATE"' in (message.hint or "")


@pytest.mark.parametrize(
    "database",
    [
        {"ENGINE": "django.db.backends.postgresql", "NAME": "site"},
        {"ENGINE": SQLITE["ENGINE"], "NAME": ":memory:"},
        {"ENGINE": SQLITE["ENGINE"], "NAME": "file:x?mode=memory&cache=shared"},
        "garbage",
    ],
)
def test_other_databases_are_left_alone(database: object) -> None:
    assert found(DATABASES={"default": database}) == []


@pytest.mark.parametrize("options", [{}, {"isolation_level": "READ COMMITTED"}, {"charset": "utf8mb4"}])
def test_mariadb_that_shows_what_others_have_committed(options: dict[str, Any]) -> None:
    assert found(DATABASES={"default": {"ENGINE": "django.db.backends.mysql", "OPTIONS": options}}) == []


@pytest.mark.parametrize(
    ("level", "words"),
    [("repeatable read", "is 'repeatable read'"), (None, "is the server's own"), (7, "is 7"), ("", "is ''")],
)
def test_mariadb_that_does_not(level: object, words: str) -> None:
    database = {"ENGINE": "django.db.backends.mysql", "OPTIONS": {"isolation_level": level}}
    (message,) = found(DATABASES={"default": database})
    assert message.id == "grokvideo.E014"
    assert words in message.msg


def test_times_without_a_zone() -> None:
    assert ids(found(USE_TZ=False)) == ["E015"]


class Elsewhere:
    def db_for_write(self, model: type, **hints: object) -> str:
        return "other"


class Replica:
    """As in Django's documentation of routers."""

    def db_for_read(self, model: type, **hints: object) -> str:
        return "replica"


@pytest.mark.parametrize(("router", "words"), [(Elsewhere(), "writes to"), (Replica(), "reads to")])
def test_a_router_that_sends_the_ledger_elsewhere(router: object, words: str) -> None:
    (message,) = found(DATABASE_ROUTERS=[router])
    assert message.id == "grokvideo.E013"
    assert words in message.msg


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


garbage = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.builds(Unprintable)
    | st.sampled_from(["https://", "http://[", "1e999", "default", "redis://localhost:6379/0"]),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=6,
)
QUEUE_KEYS = ["URL", "HOST", "REDIS_CLIENT_KWARGS", "SENTINELS", "SOCKET_TIMEOUT", "CONNECTION_KWARGS", "ASYNC"]


@hypothesis_settings(max_examples=150)
@given(
    grokvideo=garbage | st.dictionaries(st.sampled_from(sorted(conf.NAMES)) | st.text(), garbage),
    prices=st.dictionaries(st.just(MODEL) | garbage.filter(lambda value: isinstance(value, str)), garbage),
    queues=garbage | st.fixed_dictionaries({"default": st.dictionaries(st.sampled_from(QUEUE_KEYS), garbage)}),
    policy=st.dictionaries(st.sampled_from(["failed", "canceled", 1]), garbage),
    database=st.dictionaries(st.sampled_from(["NAME", "OPTIONS", "TIMEOUT"]), garbage),
    storages=garbage,
)
def test_no_garbage_crashes_a_check(
    grokvideo: Any, prices: Any, queues: Any, policy: Any, database: Any, storages: Any
) -> None:
    database["ENGINE"] = SQLITE["ENGINE"]
    others = {"RQ_QUEUES": queues, "DATABASES": {"default": database}}
    for wrong in (grokvideo, {**RIGHT, "PRICES": prices, "CHARGE": policy}):
        for message in found(wrong, **others):
            assert message.hint
            assert str(message)
    with override_settings(GROKVIDEO=RIGHT, STORAGES=storages):
        assert site.check_storage() is not None
