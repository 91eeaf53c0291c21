"""Users as a site may have them: no groups, no column that says who is active, and keys that are no numbers."""

import uuid
from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models


class Member(AbstractBaseUser, PermissionsMixin):
    """Active until they leave."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    left_on = models.DateField(null=True, blank=True)
    groups = None
    is_staff = True

    objects: ClassVar[BaseUserManager["Member"]] = BaseUserManager()

    USERNAME_FIELD = "email"

    @property
    def is_active(self) -> bool:
        return self.left_on is None
