"""Who is meant: all active users, or those of a group.

A site's own model of users need not have groups, nor a column that says who is active.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import FieldDoesNotExist
from django.db.models import ManyToManyField, Q

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

AT_ONCE: Final = 2000


def can_be_in_groups() -> bool:
    """Whether this site's users have Django's groups."""
    field = _field("groups")
    return isinstance(field, ManyToManyField) and issubclass(field.related_model, Group)


def active(among: Q = Q(), *, limit: int | None = None) -> list[AbstractBaseUser]:  # noqa: B008 - immutable
    """Active users by their names, each once, at most ``limit``. One query.

    Without a column ``is_active``, the attribute of each user says it.
    """
    model = get_user_model()
    users = model._default_manager.filter(among).order_by(model.USERNAME_FIELD, "pk")
    field = _field("is_active")
    if field is not None and field.concrete:
        return list(users.filter(is_active=True)[:limit])
    return list(islice((user for user in users.iterator(chunk_size=AT_ONCE) if user.is_active), limit))


def members(groups: Collection[int]) -> Q:
    """The users in any of the groups with these keys: nobody, where users have no groups."""
    if not can_be_in_groups():
        return Q(pk__in=[])
    users = get_user_model()._default_manager
    return Q(pk__in=users.filter(groups__in=groups).order_by().values("pk"))  # a join has who is in two of them twice


def _field(name: str) -> Any:
    try:
        return get_user_model()._meta.get_field(name)
    except FieldDoesNotExist:
        return None
