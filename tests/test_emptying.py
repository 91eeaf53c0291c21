"""The quick ``flush`` leaves what Django's own would."""

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection

from .conftest import make_draft


def flush():
    call_command("flush", verbosity=0, interactive=False, reset_sequences=False, inhibit_post_migrate=False)


def names():
    permissions = Permission.objects.values_list("content_type__app_label", "content_type__model", "codename")
    return set(permissions), set(ContentType.objects.values_list("app_label", "model"))


@pytest.mark.django_db(transaction=True)
def test_every_table_is_empty_but_for_what_migrations_make(editor):
    make_draft(editor)
    editor.user_permissions.add(Permission.objects.first())
    flush()
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    with connection.cursor() as cursor:
        filled = {table for table in tables if cursor.execute(f"SELECT 1 FROM {table} LIMIT 1") and cursor.fetchone()}
    assert filled == {"auth_permission", "django_content_type"}


@pytest.mark.django_db(transaction=True)
def test_what_a_test_has_changed_of_that_is_made_again(editor):
    flush()
    before, pks = names(), set(Permission.objects.values_list("pk", flat=True))
    flush()
    assert set(Permission.objects.values_list("pk", flat=True)) == pks
    Permission.objects.filter(codename="add_user").delete()
    Permission.objects.create(codename="fly", content_type=ContentType.objects.create(app_label="site", model="fox"))
    flush()
    assert names() == before
