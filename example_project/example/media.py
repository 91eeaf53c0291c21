"""Uploaded files, in parts where a player asks for parts. In production a web server or a bucket does this."""

import mimetypes

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import default_storage
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from grokvideo_django.media.ranges import ranged_response


@require_safe
def media(request: HttpRequest, path: str) -> HttpResponseBase:
    """A file below MEDIA_ROOT, with Range: ``django.views.static.serve`` knows none, so nobody could seek."""
    try:
        file = default_storage.open(path)
    except (OSError, ValueError, SuspiciousFileOperation) as error:
        raise Http404("There is no such file.") from error
    content_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return ranged_response(request, file, content_type=content_type)
