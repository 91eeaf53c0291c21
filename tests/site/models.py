"""Targets of every kind."""

import uuid
from typing import Any

from django.core.files.storage import FileSystemStorage
from django.db import models

from grokvideo_django.models import VideoRequest

from .. import settings


def own_storage() -> FileSystemStorage:
    return FileSystemStorage(location=settings.SCRATCH / "target-media", base_url="/target-media/")


class Article(models.Model):
    """A page with every kind of field that can take a video."""

    title = models.CharField(max_length=100)
    hero = models.FileField(upload_to="heroes/", storage=own_storage, blank=True)
    hero_url = models.URLField(max_length=500, blank=True)
    request = models.ForeignKey(VideoRequest, models.SET_NULL, null=True, blank=True, related_name="+")
    number = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.title


class Page(models.Model):
    """A page whose key is a UUID."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    clip = models.FileField(upload_to="clips/", blank=True)

    def __str__(self) -> str:
        return str(self.id)


class Stubborn(models.Model):
    """A target that cannot be saved."""

    clip = models.FileField(upload_to="clips/", blank=True)

    def __str__(self) -> str:
        return "stubborn"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk:
            raise RuntimeError("no, thank you")
        super().save(*args, **kwargs)
