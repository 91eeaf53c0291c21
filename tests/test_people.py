"""Who is meant. Other models of users: tests/own_users."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from grokvideo_django import people

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna() -> User:
    return User.objects.create(username="anna")


@pytest.fixture
def ben(anna: User) -> User:
    return User.objects.create(username="Ben")


def group(*users: User) -> Group:
    made = Group.objects.create(name=f"group {Group.objects.count()}")
    made.user_set.add(*users)
    return made


def test_all_who_are_active(anna: User, ben: User) -> None:
    User.objects.create(username="gone", is_active=False)
    assert set(people.active()) == {anna, ben}
    assert len(people.active(limit=1)) == 1


def test_each_member_once_in_one_query(anna: User, ben: User, django_assert_num_queries: Any) -> None:
    gone = User.objects.create(username="gone", is_active=False)
    groups = [group(anna, gone).pk, group(anna).pk]
    group(ben)
    with django_assert_num_queries(1):
        assert people.active(people.members(groups)) == [anna]
    assert people.active(people.members([])) == []


def test_users_can_be_in_groups() -> None:
    assert people.can_be_in_groups()
