"""The ledger: accounts, the grants on them, and append-only entries. Written by ``credits`` alone.

For every account, always::

    posted           = Σ entries.posted_delta
    held             = Σ entries.held_delta    = Σ amounts of unresolved holds
    posted - held    = Σ grants.remaining
    grant.remaining  = Σ draws.delta           (a draw is one entry's effect on one grant)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..exceptions import CreditError

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.base_user import AbstractBaseUser

M = TypeVar("M", bound=models.Model)


class CreditAccountManager(models.Manager["CreditAccount"]):
    """Finds the account of a user."""

    def for_user(self, user: AbstractBaseUser) -> CreditAccount:
        """The user's account, opened empty if there is none.

        One that a deleted user with the same key has left is the user's again: the key says who somebody is.

        Raises:
            CreditError: the user is not saved yet, or the database takes another user's key for this one.
        """
        if user.pk is None:
            raise CreditError("An account needs a saved user. Nothing was changed; save the user first.")
        key, name = str(user.pk), user.get_username()[:255]
        account, _created = self.get_or_create(user_key=key, defaults={"user_id": user.pk, "user_name": name})
        if account.user_key != key:
            raise CreditError(
                f"The database takes the users' keys {account.user_key!r} and {key!r} for the same, so only one of "
                "them can have an account. Nothing was changed."
            )
        if account.user_id is None and type(user)._base_manager.filter(pk=user.pk).exists():  # not a stale instance
            self.filter(pk=account.pk, user=None).update(user_id=user.pk, user_name=name)
            account.refresh_from_db()
        return account


class CreditAccount(models.Model):
    """The credits of one user."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        verbose_name=_("user"),
        related_name="credit_account",
        null=True,
        blank=True,
    )
    user_key = models.CharField(_("user's key"), max_length=255, unique=True, editable=False)
    user_name = models.CharField(_("user's name"), max_length=255, blank=True, editable=False)
    posted = models.BigIntegerField(_("posted"), default=0, editable=False)
    held = models.BigIntegerField(_("held"), default=0, editable=False)
    created_at = models.DateTimeField(_("opened"), default=timezone.now, editable=False)

    objects = CreditAccountManager()

    class Meta:
        verbose_name = _("credit account")
        verbose_name_plural = _("credit accounts")
        ordering = ("user_name", "pk")
        permissions = (
            ("grant", _("Can grant credits")),
            ("view_usage", _("Can see what everybody uses")),
        )
        constraints = (
            models.CheckConstraint(name="grokvideo_account_held", condition=Q(held__gte=0)),
            models.CheckConstraint(name="grokvideo_account_posted", condition=Q(posted__gte=F("held"))),
        )

    def __str__(self) -> str:
        """Whose it is."""
        return self.user_name or self.user_key

    @property
    def available(self) -> int:
        """What can be spent now: posted - held - what is left on expired grants that were not swept yet. One query."""
        return self.posted - self.held - self.expired_remainder(timezone.now())

    def expired_remainder(self, now: datetime) -> int:
        """What is left on grants that have expired. One query."""
        left = self.grants.filter(expires_at__lte=now, remaining__gt=0).aggregate(left=Sum("remaining"))["left"]
        return int(left or 0)


class CreditGrant(models.Model):
    """Credits that were given, with what is left of them."""

    class Category(models.TextChoices):
        """Why they were given."""

        ALLOWANCE = "allowance", _("allowance")
        PURCHASE = "purchase", _("purchase")
        PROMOTION = "promotion", _("promotion")
        ADJUSTMENT = "adjustment", _("adjustment")

    account = models.ForeignKey(CreditAccount, models.PROTECT, verbose_name=_("account"), related_name="grants")
    amount = models.BigIntegerField(_("amount"))
    remaining = models.BigIntegerField(_("remaining"))
    category = models.CharField(_("category"), max_length=16, choices=Category, default=Category.ADJUSTMENT)
    priority = models.SmallIntegerField(_("priority"), default=100, help_text=_("The lowest is spent first."))
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, db_index=True)
    reason = models.CharField(_("reason"), max_length=255, blank=True)
    actor = models.CharField(_("granted by"), max_length=255, blank=True)
    created_at = models.DateTimeField(_("granted"), default=timezone.now)

    class Meta:
        verbose_name = _("credit grant")
        verbose_name_plural = _("credit grants")
        ordering = ("-pk",)
        constraints = (
            models.CheckConstraint(name="grokvideo_grant_amount", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="grokvideo_grant_left", condition=Q(remaining__gte=0, remaining__lte=F("amount"))
            ),
        )

    def __str__(self) -> str:
        """How much, and why."""
        return f"{self.amount} ({self.reason or self.get_category_display()})"


class AppendOnlyQuerySet(models.QuerySet[M]):
    """Rows are added, never changed."""

    def update(self, **kwargs: Any) -> int:  # noqa: ARG002 - Django's signature
        """Refused."""
        raise CreditError("Ledger entries are never changed. Nothing was changed; post a correcting entry instead.")

    def delete(self) -> tuple[int, dict[str, int]]:
        """Refused."""
        raise CreditError("Ledger entries are never deleted. Nothing was changed; post a correcting entry instead.")


class AppendOnly(models.Model):
    """A row that is inserted once, and neither changed nor deleted."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert only."""
        if not self._state.adding:
            raise CreditError("Ledger entries are never changed. Nothing was changed; post a correcting entry instead.")
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:  # noqa: ARG002 - Django's signature
        """Refused."""
        raise CreditError("Ledger entries are never deleted. Nothing was changed; post a correcting entry instead.")


class CreditEntryQuerySet(AppendOnlyQuerySet["CreditEntry"]):
    """The statement's lines."""


class CreditEntry(AppendOnly):
    """One line of an account's statement. Append-only: ``resolves`` points back, nothing is ever edited."""

    class Kind(models.TextChoices):
        """What it did."""

        GRANT = "grant", _("grant")
        HOLD = "hold", _("hold")
        CAPTURE = "capture", _("capture")
        RELEASE = "release", _("release")
        REFUND = "refund", _("refund")
        EXPIRE = "expire", _("expire")
        VOID = "void", _("void")

    account = models.ForeignKey(CreditAccount, models.PROTECT, verbose_name=_("account"), related_name="entries")
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    key = models.CharField(_("key"), max_length=200, unique=True)
    posted_delta = models.BigIntegerField(_("posted"), default=0)
    held_delta = models.BigIntegerField(_("held"), default=0)
    posted_after = models.BigIntegerField(_("posted after"))
    held_after = models.BigIntegerField(_("held after"))
    resolves = models.OneToOneField(
        "self", models.PROTECT, verbose_name=_("resolves"), related_name="resolution", null=True, blank=True
    )
    refunds = models.ForeignKey(
        "self", models.PROTECT, verbose_name=_("refunds"), related_name="refunded_by", null=True, blank=True
    )
    request_key = models.CharField(_("request"), max_length=64, blank=True, db_index=True)
    actor = models.CharField(_("who"), max_length=255, blank=True)
    reason = models.CharField(_("why"), max_length=255, blank=True)
    created_at = models.DateTimeField(_("at"), default=timezone.now, editable=False)

    objects = CreditEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("credit entry")
        verbose_name_plural = _("credit entries")
        ordering = ("-pk",)
        # In the order of the statement: its newest lines are found without looking at those of others.
        indexes = (models.Index(fields=["account", "id"], name="grokvideo_entry_statement"),)

    def __str__(self) -> str:
        """What it did, by how much."""
        return f"{self.kind} {self.posted_delta:+} posted, {self.held_delta:+} held"


class CreditDraw(AppendOnly):
    """What one entry did to what is left of one grant: a hold draws (negative), a release gives back (positive)."""

    entry = models.ForeignKey(CreditEntry, models.PROTECT, verbose_name=_("entry"), related_name="draws")
    grant = models.ForeignKey(CreditGrant, models.PROTECT, verbose_name=_("grant"), related_name="draws")
    delta = models.BigIntegerField(_("remaining"))

    objects = AppendOnlyQuerySet["CreditDraw"].as_manager()

    class Meta:
        verbose_name = _("draw")
        verbose_name_plural = _("draws")
        ordering = ("pk",)

    def __str__(self) -> str:
        """By how much."""
        return f"{self.delta:+}"
