from django.apps import AppConfig


class OwnUsersConfig(AppConfig):
    name = "tests.own_users"
    label = "ownusers"
