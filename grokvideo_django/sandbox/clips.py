"""The clips: what one shows, and the studio that renders each different one once, in the background, and keeps it."""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from grokvideo_django.sandbox.wire import Hangup

THREADS = 2


class MissingExtraError(ImportError):
    """The sandbox renders its clips with PyAV: pip install "grokvideo-django[sandbox]"."""

    def __init__(self) -> None:
        """The docstring is the message."""
        super().__init__(self.__doc__)


@dataclass(slots=True, frozen=True)
class Clip:
    """What a file shows: seconds, pixels, and the picture that it starts from (empty: none)."""

    prompt: str
    duration: float
    width: int
    height: int
    image: bytes = b""
    sound: bool = True

    def digest(self, *, prompt: bool = True) -> str:
        """The name under which it is kept. Without *prompt*, all clips of one length and size are the same."""
        shown = (self.prompt, hashlib.sha256(self.image).hexdigest()) if prompt else ("", "")
        text = repr((*shown, self.duration, self.width, self.height, self.sound))
        return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:40]


Factory = Callable[[Clip, Path], None]
"""Writes the mp4 of a clip to a path."""


class Studio:
    """Renders clips with *factory* (None: ``film.py``) into *folder* (None: a temporary one)."""

    def __init__(self, folder: Path | None = None, factory: Factory | None = None, *, fast: bool = False) -> None:
        """Raises :class:`MissingExtraError` where PyAV is needed and not installed."""
        if factory is None and importlib.util.find_spec("av") is None:
            raise MissingExtraError
        self._factory = factory or _filmed(fast=fast)
        self._by_prompt = not fast
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sandbox-render")
        self._lock = threading.Lock()
        self._closed = False
        self._rendering: dict[str, Future[Path]] = {}
        self.rendered = 0
        """How many clips were rendered, not counting those found on disk."""

    def prepare(self, clip: Clip) -> Future[Path]:
        """Render *clip* in the background, unless it is there or under way."""
        name = clip.digest(prompt=self._by_prompt)
        with self._lock:
            if self._closed:
                raise Hangup
            if name not in self._rendering:
                self._rendering[name] = self._threads.submit(self._render, clip, self._place() / f"{name}.mp4")
            return self._rendering[name]

    def path(self, clip: Clip) -> Path:
        """The file of *clip*; waits until it is rendered. Raises what the rendering raised; ``Hangup`` if closed."""
        try:
            return self.prepare(clip).result()
        except CancelledError:
            raise Hangup from None

    def cancel(self) -> None:
        """Begin nothing more, so that nobody waits for what will not be rendered."""
        with self._lock:
            self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Cancel, wait for what has begun, and remove the folder if it is temporary."""
        self.cancel()
        self._threads.shutdown(wait=True)
        if self._temporary is not None:
            self._temporary.cleanup()

    def _place(self) -> Path:
        """The folder, made when the first clip needs it."""
        if self._folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="grokvideo-sandbox-")
            self._folder = Path(self._temporary.name)
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def _render(self, clip: Clip, path: Path) -> Path:
        if not path.exists():
            unfinished = path.with_suffix(f".{threading.get_ident()}.part")
            self._factory(clip, unfinished)
            unfinished.replace(path)
            with self._lock:
                self.rendered += 1
        return path


def _filmed(*, fast: bool) -> Factory:
    from grokvideo_django.sandbox import film  # noqa: PLC0415 - needs the extra, which a factory of the caller's does not

    return film.sketch if fast else film.shoot
