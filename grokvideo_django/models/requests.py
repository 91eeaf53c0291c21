"""A video that somebody asked for, and everything that happened to it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.core.files.storage import Storage, storages
from django.core.validators import MaxValueValidator, MinValueValidator, URLValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import conf
from ..exceptions import InvalidTransition
from . import choices
from .querying import UNDELETABLE_MESSAGE, VideoRequestQuerySet

if TYPE_CHECKING:
    from collections.abc import Iterable

MIN_DURATION_SECONDS = 1
MAX_DURATION_SECONDS = 15  # https://docs.x.ai: 1 to 15 s


def result_storage() -> Storage:
    """The storage of finished videos, posters and input images: the alias in ``GROKVIDEO["STORAGE"]``."""
    return storages[conf.current().STORAGE]


def image_path(request: VideoRequest, filename: str) -> str:
    """Where an input image is kept."""
    return f"{conf.current().UPLOAD_TO.rstrip('/')}/images/{request.uuid}/{filename}"


def result_path(request: VideoRequest, filename: str) -> str:
    """Where a video or poster that is assigned by hand is kept; fetched ones bring their own planned name."""
    return f"{conf.current().UPLOAD_TO.rstrip('/')}/{request.uuid}/{filename}"


class VideoRequest(models.Model):
    """One video that somebody asked for. See ``docs/architecture.md`` for the states and who may change them.

    Create it with ``VideoRequest.objects.create(owner=…, prompt=…)`` and hand it to ``services.start``. Every change of
    ``status`` is made by ``lifecycle``; ``save()`` writes the fields of a draft only.
    """

    Status = choices.Status
    Operation = choices.Operation
    Mode = choices.Mode
    AspectRatio = choices.AspectRatio
    Resolution = choices.Resolution

    ENDED = choices.ENDED
    RUNNING = choices.RUNNING
    UNDELETABLE = choices.UNDELETABLE

    # What is asked for
    uuid = models.UUIDField(_("key"), default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        verbose_name=_("owner"),
        related_name="video_requests",
        null=True,
        blank=True,
    )
    owner_name = models.CharField(_("owner's name"), max_length=255, blank=True, editable=False)
    prompt = models.TextField(_("prompt"), help_text=_("Subject, action, scene, camera, sound."))
    operation = models.CharField(_("operation"), max_length=16, choices=Operation, default=Operation.TEXT)
    mode = models.CharField(_("mode"), max_length=16, choices=Mode, blank=True)
    duration_seconds = models.IntegerField(
        _("duration"),
        default=5,
        validators=[MinValueValidator(MIN_DURATION_SECONDS), MaxValueValidator(MAX_DURATION_SECONDS)],
        help_text=_("Seconds, 1 to 15."),
    )
    aspect_ratio = models.CharField(_("aspect ratio"), max_length=8, choices=AspectRatio, default=AspectRatio.WIDE)
    resolution = models.CharField(_("resolution"), max_length=8, choices=Resolution, default=Resolution.SD)
    image = models.ImageField(
        _("image"),
        upload_to=image_path,
        storage=result_storage,
        max_length=255,
        blank=True,
        help_text=_("The first frame, for a video from an image."),
    )
    image_url = models.URLField(
        _("image's address"),
        max_length=2000,
        blank=True,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text=_("Instead of an image: its public address."),
    )
    source = models.ForeignKey(
        "self",
        models.SET_NULL,
        verbose_name=_("source"),
        related_name="derived",
        null=True,
        blank=True,
        help_text=_("The video that this one extends or edits."),
    )
    retry_of = models.ForeignKey(
        "self",
        models.SET_NULL,
        verbose_name=_("retry of"),
        related_name="retries",
        null=True,
        blank=True,
        editable=False,
    )
    model = models.CharField(_("model"), max_length=100, blank=True, editable=False)

    # Where the result goes
    target_content_type = models.ForeignKey(
        ContentType, models.SET_NULL, verbose_name=_("target's type"), related_name="+", null=True, blank=True
    )
    target_object_id = models.CharField(_("target's id"), max_length=255, blank=True)
    target = GenericForeignKey("target_content_type", "target_object_id")
    target_field = models.CharField(
        _("target's field"),
        max_length=100,
        blank=True,
        help_text=_("A file field, a URL field or a foreign key to a video request."),
    )

    # Where it is
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.DRAFT, editable=False)
    gateway_job_id = models.CharField(
        _("gateway job id"), max_length=200, null=True, blank=True, unique=True, editable=False, default=None
    )
    """NULL until it is known: an empty text would be unique only once."""
    gateway_status = models.CharField(_("gateway's status"), max_length=64, blank=True, editable=False)
    error_code = models.CharField(_("error code"), max_length=64, blank=True, editable=False)
    error_message = models.TextField(_("error"), blank=True, editable=False)
    due_at = models.DateTimeField(_("next look"), null=True, blank=True, editable=False, db_index=True)
    lease_token = models.UUIDField(_("lease"), null=True, blank=True, editable=False)
    queue_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    submit_attempts = models.PositiveIntegerField(_("submissions"), default=0, editable=False)
    server_faults = models.PositiveIntegerField(default=0, editable=False)
    tag = models.CharField(_("tag"), max_length=64, blank=True, default="", db_default="", editable=False)
    """What it was sent with, whatever TAG says now: the gateway's bill is by tag."""
    reads = models.PositiveIntegerField(_("reads"), default=0, editable=False)
    failed_reads = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    """Since the last one that worked: each makes the next one wait longer."""
    fetch_attempts = models.PositiveIntegerField(_("downloads"), default=0, editable=False)
    media_refusals = models.PositiveIntegerField(default=0, editable=False)
    attach_attempts = models.PositiveIntegerField(default=0, editable=False)
    cancel_requested_at = models.DateTimeField(_("cancel requested"), null=True, blank=True, editable=False)
    cancel_refused_at = models.DateTimeField(_("cancel refused"), null=True, blank=True, editable=False)

    file_expires_at = models.DateTimeField(_("deleted at the gateway"), null=True, blank=True, editable=False)
    """When the gateway deletes the file of a video that it has finished; NULL until then, and once it is stored."""
    file_warn_at = models.DateTimeField(null=True, blank=True, editable=False, db_index=True)
    """When to warn of that; NULL once it was done, or need not be."""

    # What it costs, in credits
    quoted_credits = models.PositiveBigIntegerField(_("price"), null=True, blank=True, editable=False)
    charged_credits = models.PositiveBigIntegerField(_("charged"), null=True, blank=True, editable=False)

    # The result
    result_url = models.TextField(_("result's address"), blank=True, editable=False)
    video = models.FileField(
        _("video"), upload_to=result_path, storage=result_storage, max_length=255, blank=True, editable=False
    )
    poster = models.FileField(
        _("poster"), upload_to=result_path, storage=result_storage, max_length=255, blank=True, editable=False
    )
    delivered_seconds = models.FloatField(_("length"), null=True, blank=True, editable=False)
    reported_seconds = models.FloatField(null=True, blank=True, editable=False)
    width = models.PositiveIntegerField(_("width"), null=True, blank=True, editable=False)
    height = models.PositiveIntegerField(_("height"), null=True, blank=True, editable=False)
    size_bytes = models.PositiveBigIntegerField(_("size"), null=True, blank=True, editable=False)
    has_audio = models.BooleanField(_("sound"), null=True, blank=True, editable=False)
    sha256 = models.CharField(max_length=64, blank=True, editable=False)

    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False, db_index=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)
    queued_at = models.DateTimeField(_("queued"), null=True, blank=True, editable=False)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True, editable=False)
    """When the gateway was last asked to make it, also where its answer was lost."""
    submitted_at = models.DateTimeField(_("submitted"), null=True, blank=True, editable=False)
    last_read_at = models.DateTimeField(_("last look"), null=True, blank=True, editable=False)
    """When it was last seen unfinished: it was rendered between then and ``rendered_at``, if that is set."""
    rendered_at = models.DateTimeField(_("rendered"), null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(_("ended"), null=True, blank=True, editable=False)

    objects = VideoRequestQuerySet.as_manager()

    CONTENT_FIELDS = (
        "owner", "owner_name", "prompt", "operation", "mode", "duration_seconds", "aspect_ratio", "resolution",
        "image", "image_url", "source", "retry_of", "target_content_type", "target_object_id", "target_field",
        "updated_at",
    )  # fmt: skip
    """What ``save()`` writes on an existing draft."""

    class Meta:
        verbose_name = _("video request")
        verbose_name_plural = _("video requests")
        ordering = ("-created_at", "-pk")
        indexes = (
            models.Index(fields=["owner", "created_at"], name="grokvideo_req_owner"),
            models.Index(fields=["status", "created_at"], name="grokvideo_req_status"),
            models.Index(fields=["target_content_type", "target_object_id"], name="grokvideo_req_target"),
            models.Index(fields=["lease_token"], name="grokvideo_req_lease"),
            models.Index(fields=["submitted_at"], name="grokvideo_req_submitted"),
            models.Index(fields=["rendered_at"], name="grokvideo_req_rendered"),
        )
        permissions = (
            ("change_all", _("Can see and change the video requests of everybody")),
            ("approve", _("Can approve or decline video requests")),
            ("exceed", _("Can exceed a budget, with a reason")),
        )
        constraints = (
            models.CheckConstraint(
                name="grokvideo_req_status",
                condition=Q(
                    status__in=[
                        "draft",
                        "awaiting_approval",
                        "queued",
                        "submitting",
                        "submitted",
                        "rendered",
                        "succeeded",
                        "failed",
                        "canceled",
                        "in_doubt",
                    ]
                ),
            ),
            models.CheckConstraint(
                name="grokvideo_req_duration",
                condition=Q(status="draft") | Q(duration_seconds__gte=1, duration_seconds__lte=15),
            ),
            models.CheckConstraint(
                name="grokvideo_req_idle",
                condition=Q(due_at__isnull=True) | ~Q(status__in=["draft", "awaiting_approval", "failed", "canceled"]),
            ),
            models.CheckConstraint(
                name="grokvideo_req_charge",
                condition=Q(charged_credits__isnull=True)
                | Q(quoted_credits__isnull=True)
                | Q(charged_credits__lte=models.F("quoted_credits")),
            ),
        )

    def __str__(self) -> str:
        """The prompt's beginning."""
        text = " ".join(self.prompt.split())
        return text if len(text) <= 60 else f"{text[:59]}…"

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Insert, or write the content of a draft.

        A model instance is a stale copy as soon as a worker moves its row on: writing all of its columns would undo
        transitions. So an existing row is written only while it is a draft, and only its content. ``update_fields``
        says otherwise, explicitly.

        Raises:
            InvalidTransition: the row is no longer a draft. Nothing was written.
        """
        if self.operation == self.Operation.TEXT and self.has_image:
            self.operation = self.Operation.IMAGE
        if self.owner is not None:
            self.owner_name = self.owner.get_username()[:255]
        if update_fields is not None:
            super().save(*args, update_fields=update_fields, **kwargs)
            return
        if self._state.adding:
            # A new instance with the key of an old row would otherwise overwrite all of that row.
            kwargs.setdefault("force_insert", not kwargs.get("force_update"))
            super().save(*args, **kwargs)
            return
        using = kwargs.get("using") or self._state.db
        with transaction.atomic(using=using):
            # Writing first takes the row's lock (and SQLite's), so nothing can start it until the content is saved.
            draft = VideoRequest.objects.using(using).filter(pk=self.pk, status=self.Status.DRAFT)
            if not draft.update(updated_at=timezone.now()):
                raise InvalidTransition(
                    "This request was started in the meantime, so its content can no longer be changed. "
                    "Nothing was saved; make a new request instead."
                )
            super().save(*args, update_fields=self.CONTENT_FIELDS, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Only drafts and ended requests can be deleted.

        Raises:
            InvalidTransition: it is under way. Nothing was deleted.
        """
        using = kwargs.get("using") or self._state.db
        rows = VideoRequest.objects.using(using).filter(pk=self.pk)
        with transaction.atomic(using=using):
            rows.update(updated_at=F("updated_at"))  # locks the row: nobody starts it meanwhile
            if rows.filter(status__in=self.UNDELETABLE).exists():
                raise InvalidTransition(str(UNDELETABLE_MESSAGE))
            return super().delete(*args, **kwargs)

    @property
    def key(self) -> str:
        """What the ledger, the gateway (Idempotency-Key) and log lines call this request: its UUID as text."""
        return str(self.uuid)

    @property
    def has_image(self) -> bool:
        """Whether an input image is sent, and paid for."""
        return bool(self.image or self.image_url)

    @property
    def is_draft(self) -> bool:
        """Still being written."""
        return self.status == self.Status.DRAFT

    @property
    def is_ended(self) -> bool:
        """Nothing will happen to it any more."""
        return self.status in self.ENDED

    @property
    def is_running(self) -> bool:
        """A worker or the gateway is busy with it, or will be."""
        return self.status in self.RUNNING
