"""What can be chosen of a video, and the states of a request."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    """Where the request is."""

    DRAFT = "draft", _("draft")
    AWAITING_APPROVAL = "awaiting_approval", _("awaiting approval")
    QUEUED = "queued", _("queued")
    SUBMITTING = "submitting", _("submitting")
    SUBMITTED = "submitted", _("generating")
    RENDERED = "rendered", _("downloading")
    SUCCEEDED = "succeeded", _("ready")
    FAILED = "failed", _("failed")
    CANCELED = "canceled", _("canceled")
    IN_DOUBT = "in_doubt", _("in doubt")


class Operation(models.TextChoices):
    """What kind of video is made, and from what."""

    TEXT = "text", _("from text")
    IMAGE = "image", _("from an image")
    EXTEND = "extend", _("extend a video")
    EDIT = "edit", _("edit a video")


class Mode(models.TextChoices):
    """The model's mode; empty leaves it to the gateway."""

    NORMAL = "normal", _("normal")
    FUN = "fun", _("fun")
    CUSTOM = "custom", _("custom")


class AspectRatio(models.TextChoices):
    """Width to height."""

    SQUARE = "1:1", "1:1"
    WIDE = "16:9", "16:9"
    TALL = "9:16", "9:16"
    LANDSCAPE = "4:3", "4:3"
    PORTRAIT = "3:4", "3:4"
    PHOTO = "3:2", "3:2"
    PHOTO_TALL = "2:3", "2:3"


class Resolution(models.TextChoices):
    """The short side in pixels."""

    SD = "480p", "480p"
    HD = "720p", "720p"


ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)
RUNNING = (Status.QUEUED, Status.SUBMITTING, Status.SUBMITTED, Status.RENDERED)
UNDELETABLE = (Status.AWAITING_APPROVAL, *RUNNING, Status.IN_DOUBT)
