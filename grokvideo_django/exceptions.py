"""Every error that this app raises on purpose.

    GrokVideoError
    ├── InvalidRequest          also a django ValidationError
    ├── InvalidTransition
    ├── UnknownPrice
    ├── QuoteChanged
    ├── NotAllowed
    ├── CreditError
    │   ├── InvalidAmount       also a ValueError
    │   ├── InsufficientCredits
    │   ├── BudgetExceeded
    │   ├── AlreadyResolved
    │   ├── KeyConflict
    │   ├── UnknownEntry
    │   └── RefundExceedsCapture
    └── MediaError
        ├── MediaUnavailable    a passing fault: the same URL may work later
        └── MediaRefused        the answer itself is wrong: not a video, too big, a forbidden address
            ├── MediaForbidden  401 or 403: the API can sign another URL
            └── MediaExpired    404 or 410: the job, read again, may name another URL

Errors of the gateway's HTTP client are in ``grokvideo_django.gateway``.
"""

# ruff: noqa: N818 -- the names say what happened

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext


class GrokVideoError(Exception):
    """Something in grokvideo_django went wrong."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or _((self.__doc__ or "").strip()))


class InvalidRequest(GrokVideoError, ValidationError):
    """The video request cannot be sent as it is. Nothing was charged; correct it and try again."""

    def __init__(self, message: Any = "") -> None:
        ValidationError.__init__(self, message or _((InvalidRequest.__doc__ or "").strip()))

    def __str__(self) -> str:
        """The sentences themselves, not the repr of a list."""
        return " ".join(self.messages)


class InvalidTransition(GrokVideoError):
    """The request is no longer in a state that allows this. Nothing was changed; reload the page."""


class UnknownPrice(GrokVideoError):
    """There is no price for this model and resolution, so it cannot be sent. Add one to GROKVIDEO["PRICES"]."""


class QuoteChanged(GrokVideoError):
    """The price changed since it was shown. Nothing was charged; look at the new price and confirm it."""

    def __init__(self, message: str = "", *, expected: int, actual: int) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(
            message
            or ngettext(
                "The price is now %(actual)d credit, not %(expected)d as shown. "
                "Nothing was charged; confirm the new price.",
                "The price is now %(actual)d credits, not %(expected)d as shown. "
                "Nothing was charged; confirm the new price.",
                actual,
            )
            % {"actual": actual, "expected": expected}
        )


class CreditError(GrokVideoError):
    """The ledger refused this operation. Nothing was changed."""


class InvalidAmount(CreditError, ValueError):
    """An amount of credits must be a whole number above zero. Nothing was changed."""


class InsufficientCredits(CreditError):
    """There are not enough credits for this. Nothing was charged; ask a site manager for a grant."""

    def __init__(self, message: str = "", *, needed: int, available: int) -> None:
        self.needed = needed
        self.available = available
        super().__init__(
            message
            or ngettext(
                "This needs %(needed)d credit; available: %(available)d, missing: %(missing)d. "
                "Nothing was charged; ask a site manager for a grant.",
                "This needs %(needed)d credits; available: %(available)d, missing: %(missing)d. "
                "Nothing was charged; ask a site manager for a grant.",
                needed,
            )
            % {"needed": needed, "available": available, "missing": self.missing}
        )

    @property
    def missing(self) -> int:
        """Credits that a grant would have to add; none, if enough came back since it was refused."""
        return max(0, self.needed - self.available)


class BudgetExceeded(CreditError):
    """A budget of this site does not allow this now. Nothing was charged."""

    def __init__(
        self, message: str = "", *, budget: object = None, left: int | None = None, resets_at: datetime | None = None
    ) -> None:
        self.budget = budget
        self.left = left  # credits, where the ceiling was passed
        self.resets_at = resets_at
        super().__init__(message)


class NotAllowed(GrokVideoError):
    """You may not do this. Nothing was changed; ask a site manager."""


class AlreadyResolved(CreditError):
    """The hold was already captured or released. Nothing was changed."""


class KeyConflict(CreditError):
    """The key was already used for a different operation. Nothing was changed; use a new key."""


class UnknownEntry(CreditError):
    """The ledger has no such entry: its transaction was rolled back, or it was changed. Nothing was changed."""


class RefundExceedsCapture(CreditError):
    """All refunds of a capture together cannot exceed it. Nothing was changed."""


class MediaError(GrokVideoError):
    """The finished video could not be fetched."""


class MediaUnavailable(MediaError):
    """The video could not be fetched just now. It stays at the gateway and is tried again."""

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after  # seconds, when the host said so
        super().__init__(message)


class MediaRefused(MediaError):
    """What the gateway offers as the video is not acceptable."""


class MediaForbidden(MediaRefused):
    """The file's host asks for permission (401 or 403). The API is asked for a signed URL; no key is ever sent."""


class MediaExpired(MediaRefused):
    """The file is not at this URL any more (404 or 410). The job is read again: it may name a new one."""


DOCSTRINGS = (
    gettext_noop("The video request cannot be sent as it is. Nothing was charged; correct it and try again."),
    gettext_noop("The request is no longer in a state that allows this. Nothing was changed; reload the page."),
    gettext_noop("The ledger refused this operation. Nothing was changed."),
    gettext_noop("An amount of credits must be a whole number above zero. Nothing was changed."),
    gettext_noop("A budget of this site does not allow this now. Nothing was charged."),
    gettext_noop("You may not do this. Nothing was changed; ask a site manager."),
    gettext_noop("The hold was already captured or released. Nothing was changed."),
    gettext_noop("The key was already used for a different operation. Nothing was changed; use a new key."),
    gettext_noop(
        "The ledger has no such entry: its transaction was rolled back, or it was changed. Nothing was changed."
    ),
    gettext_noop("All refunds of a capture together cannot exceed it. Nothing was changed."),
)
"""Default messages that people read, where translators find them: the words of the docstrings above."""
