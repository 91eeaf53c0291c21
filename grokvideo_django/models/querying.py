"""The vocabulary of queries: what is due, what is in flight, what a user may see, what may be deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin
from django.db import models, transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from ..exceptions import InvalidTransition
from .choices import UNDELETABLE

if TYPE_CHECKING:
    from datetime import datetime

    from .requests import VideoRequest  # noqa: F401 - the rows


UNDELETABLE_MESSAGE = _(
    "A request that is under way holds credits and may already be paid for, so it cannot be deleted. "
    "Nothing was changed; cancel it, or wait until it has ended."
)


class VideoRequestQuerySet(models.QuerySet["VideoRequest"]):
    """The vocabulary: what is due, what is in flight, what a user may see."""

    def due(self, now: datetime) -> VideoRequestQuerySet:
        """Rows that need work now, the longest waiting first."""
        return self.filter(due_at__lte=now).order_by("due_at", "pk")

    def in_flight(self) -> VideoRequestQuerySet:
        """Rows that somebody must still look after."""
        return self.filter(due_at__isnull=False)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> VideoRequestQuerySet:
        """What this user may see and touch: their own, or all with the permission ``change_all``."""
        if not isinstance(user, AbstractBaseUser) or not user.is_active:
            return self.none()
        if isinstance(user, PermissionsMixin) and user.has_perm("grokvideo.change_all"):
            return self.all()
        return self.filter(owner_id=user.pk)

    def delete(self) -> tuple[int, dict[str, int]]:
        """Only drafts and ended requests can be deleted: money hangs on the others."""
        with transaction.atomic(using=self.db):
            self.order_by().update(updated_at=F("updated_at"))  # locks the rows: none is started meanwhile
            if self.filter(status__in=UNDELETABLE).exists():
                raise InvalidTransition(str(UNDELETABLE_MESSAGE))
            return super().delete()

    delete.queryset_only = True  # type: ignore[attr-defined]  # no ``VideoRequest.objects.delete()``
