"""What every job needs, loaded once in the worker instead of in each process that it forks.

RQ forks for each job, and imports a job's function only after that: 100 ms for the HTTP client, 40 for the decoder of
posters, 30 for the image formats, 20 for each TLS context; the job itself takes 15 to 30. And its first full garbage
collection touches, so copies, everything that it got from the worker: 50 more. Other processes stay lean.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final

from PIL import Image

WORKERS: Final = frozenset({"rqworker", "rqworker-pool"})
"""The stock management commands. A worker that is started in another way does the same work, only slower."""


def for_worker(argv: Sequence[str]) -> bool:
    """Load it all if ``argv`` starts a worker; whether it does."""
    if not WORKERS.intersection(argv[1:2]):
        return False
    import_module("grokvideo_django.jobs")
    with suppress(ImportError):
        import_module("av")
    Image.preinit()
    import_module("grokvideo_django.gateway.transport").ssl_context()
    gc.collect()
    gc.freeze()  # what is here now stays; https://docs.python.org/3/library/gc.html#gc.freeze
    return True
