"""The sandbox's time: the system's, moved forward at will so that a day's expiry takes a test no day."""

from __future__ import annotations

import time


class Clock:
    """Epoch seconds that only go forward. The sandbox's deadlines are measured with it; waits on a socket are not."""

    def __init__(self) -> None:
        """Starts in step with the system's clock."""
        self.reset()

    def reset(self) -> None:
        """In step with the system's clock again."""
        self._ahead = time.time() - time.monotonic()

    def now(self) -> float:
        """Epoch seconds."""
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass at once."""
        self._ahead += seconds
