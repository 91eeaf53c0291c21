"""Settings are read when they are needed."""

import dataclasses

import pytest
from django.test import override_settings

from grokvideo_django import conf


@pytest.mark.parametrize("value", [None, [], "dict", 5])
def test_what_is_no_dict_is_no_setting(settings, value):
    settings.GROKVIDEO = value
    assert conf.raw() == {}
    assert conf.current().QUEUE == "default"


def test_without_any_setting(settings):
    del settings.GROKVIDEO
    assert conf.current().BASE_URL == "https://api.aigateway.sh/v1"
    assert conf.current().MEDIA_HOSTS == ("media.aigateway.sh",)
    assert conf.current().PRICES["xai/grok-imagine-video"]["480p"] == "5"


def test_read_at_access(settings):
    settings.GROKVIDEO = {"QUEUE": "videos", "REQUESTS_PER_MINUTE": 7}
    assert (conf.current().QUEUE, conf.current().REQUESTS_PER_MINUTE) == ("videos", 7)
    settings.GROKVIDEO = {"QUEUE": "others"}
    assert (conf.current().QUEUE, conf.current().REQUESTS_PER_MINUTE) == ("others", 600)


def test_an_unknown_name_is_left_to_the_checks(settings):
    settings.GROKVIDEO = {"QUEUEU": "videos", "queue": "videos"}
    assert conf.raw()["QUEUEU"] == "videos"
    assert conf.current().QUEUE == "default"


@pytest.mark.parametrize(
    ("given", "environment", "key"),
    [
        ({"API_KEY": "sk-a"}, "sk-b", "sk-a"),
        ({}, "sk-b", "sk-b"),
        ({"API_KEY": ""}, "sk-b", "sk-b"),
        ({"API_KEY": None}, "sk-b", "sk-b"),
        ({"API_KEY": None}, None, ""),
    ],
)
def test_the_key_comes_from_the_environment_when_the_site_has_none(settings, monkeypatch, given, environment, key):
    settings.GROKVIDEO = given
    if environment is None:
        monkeypatch.delenv("AIGATEWAY_API_KEY", raising=False)
    else:
        monkeypatch.setenv("AIGATEWAY_API_KEY", environment)
    assert key == conf.current().API_KEY


def test_the_key_is_in_no_repr_and_nothing_is_changed_in_place(settings):
    settings.GROKVIDEO = {"API_KEY": "sk-aig-secret"}
    current = conf.current()
    assert "secret" not in f"{current!r} {current}"
    with pytest.raises(dataclasses.FrozenInstanceError):
        current.QUEUE = "other"


def test_every_name_has_a_default():
    assert {"API_KEY", "BASE_URL", "MEDIA_HOSTS", "ALLOW_PRIVATE_NETWORK", "QUEUE", "REQUESTS_PER_MINUTE"} <= conf.NAMES
    assert conf.Settings().DEADLINE == conf.Settings().MAX_QUEUE_AGE == 86400


def test_a_site_that_does_not_say_where_it_is():
    assert conf.site_url() == ""


@pytest.mark.parametrize("configured", ["https://www.example.com", "https://www.example.com/"])
def test_where_the_site_is_by_its_setting(configured, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "SITE_URL": configured}
    assert conf.site_url() == "https://www.example.com/"


def test_where_the_site_is_by_djangos_sites(settings):
    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "django.contrib.sites"], SITE_ID=1):
        from django.contrib.sites import models  # noqa: PLC0415 - importable only where it is installed

        models.SITE_CACHE[1] = models.Site(pk=1, domain="films.example.com")
        try:
            assert conf.site_url() == "https://films.example.com/"
        finally:
            models.SITE_CACHE.clear()


def test_djangos_sites_without_a_site(settings):
    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "django.contrib.sites"], SITE_ID=None):
        from django.contrib.sites import models  # noqa: F401, PLC0415 - importable only where it is installed

        assert conf.site_url() == ""
