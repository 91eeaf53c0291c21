from django.conf import settings

SETTINGS = "tests.own_users.settings"

# A model of users is chosen at start-up: tests/test_own_users.py runs these in a process of their own.
collect_ignore_glob = [] if settings.SETTINGS_MODULE == SETTINGS else ["*.py"]
