"""What the admins share: typed bases, and pages that only show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib.admin import ModelAdmin, TabularInline
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import PermissionsMixin

from ..models import (
    Allowance,
    Budget,
    CreditAccount,
    CreditEntry,
    CreditGrant,
    GatewayState,
    VideoRequest,
    VideoRequestEvent,
)

if TYPE_CHECKING:
    from django.http import HttpRequest

    RequestModelAdmin = ModelAdmin[VideoRequest]
    AccountModelAdmin = ModelAdmin[CreditAccount]
    EntryModelAdmin = ModelAdmin[CreditEntry]
    GrantModelAdmin = ModelAdmin[CreditGrant]
    GatewayModelAdmin = ModelAdmin[GatewayState]
    BudgetModelAdmin = ModelAdmin[Budget]
    AllowanceModelAdmin = ModelAdmin[Allowance]
    EventInline = TabularInline[VideoRequestEvent, VideoRequest]
else:
    RequestModelAdmin = AccountModelAdmin = EntryModelAdmin = GrantModelAdmin = GatewayModelAdmin = ModelAdmin
    BudgetModelAdmin = AllowanceModelAdmin = ModelAdmin
    EventInline = TabularInline


LONGEST_REASON: Final = 255


def may(request: HttpRequest, permission: str) -> bool:
    """Whether the user has a permission of this app; False for a user model without permissions."""
    user = request.user
    return isinstance(user, PermissionsMixin) and user.is_active and user.has_perm(f"grokvideo.{permission}")


def actor_of(request: HttpRequest) -> AbstractBaseUser | None:
    """Who does it, for the record."""
    return request.user if isinstance(request.user, AbstractBaseUser) else None


def reason_of(request: HttpRequest) -> str:
    """The reason that was posted, as the database can keep it: PostgreSQL stores no NUL."""
    return request.POST.get("reason", "").replace("\0", "").strip()[:LONGEST_REASON]


def number_of(request: HttpRequest, name: str) -> int | None:
    """A whole number of a hidden field; None if it is none, or was tampered with."""
    text = request.POST.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def is_theirs(request: HttpRequest, obj: VideoRequest) -> bool:
    """Whether a video request is the user's own, or they may change all."""
    return obj.owner_id == request.user.pk or may(request, "change_all")


class ReadOnly:
    """Nobody adds, changes or deletes here. The money's rows are written by ``credits`` alone."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """No."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """No."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """No."""
        return False
