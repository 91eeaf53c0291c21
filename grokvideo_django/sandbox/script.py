"""Which faults strike a request: those queued from outside, then those that came with the job's own prompt."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from grokvideo_django.sandbox.faults import Fault, Kind, parse

if TYPE_CHECKING:
    from collections.abc import Iterable


class Script:
    """Queued faults, and the count of how often each has struck. Every take is one short critical section."""

    def __init__(self) -> None:
        """Everything behaves."""
        self._lock = threading.Lock()
        self._queued: list[Fault] = []
        self._posts: dict[str, list[Fault]] = {}

    def behave(self, text: str, *, times: int | None = None, match: str = "") -> Fault:
        """Queue one word; *times* overrides a ``*N`` in it. Raises ``UnknownWordError``."""
        fault = parse(text)
        fault.left = fault.left if times is None else times
        fault.match = match
        with self._lock:
            self._queued.append(fault)
        return fault

    def clear(self) -> None:
        """Everything behaves again, but for what jobs brought with them."""
        with self._lock:
            self._queued.clear()
            self._posts.clear()

    def waiting(self) -> list[dict[str, str]]:
        """What is queued and has not struck for the last time."""
        with self._lock:
            return [{"word": str(fault), "match": fault.match} for fault in self._queued]

    def of_post(self, subject: str, found: list[Fault]) -> list[Fault]:
        """A POST's own create faults. A repeated POST (the same *subject*) goes on counting where the first one was."""
        if not found:
            return found
        with self._lock:
            return self._posts.setdefault(subject, found)

    def take(self, kind: Kind, about: str, own: Iterable[Fault] = ()) -> list[Fault]:
        """The faults of *kind* that strike now: at most one that decides, and all that only change or delay.

        *about* is what a fault's ``match`` is sought in: the prompt and the job's id.
        """
        own = [fault for fault in own if fault.word.kind is kind]
        if not own and not self._queued:
            return []
        taken: list[Fault] = []
        decided = False
        with self._lock:
            for fault in [*self._queued, *own]:
                decides = fault.word.decides
                if fault.word.kind is not kind or fault.left == 0 or fault.match not in about or (decides and decided):
                    continue
                decided = decided or decides
                if fault.left is not None:
                    fault.left -= 1
                taken.append(fault)
            self._queued = [fault for fault in self._queued if fault.left != 0]
        return taken
