"""The tests' settings, with a model of users of the site's own."""

# ruff: noqa: F403, F405

from tests.settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "tests.own_users"]
AUTH_USER_MODEL = "ownusers.Member"
