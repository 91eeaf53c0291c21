"""Turns what happened into a message on the next page: what, whether it cost anything, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import pricing
from ..exceptions import GrokVideoError, InvalidRequest, InvalidTransition, QuoteChanged

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest


def in_words(credits_: int) -> str:
    """``25 credits, about $0.25``."""
    words = ngettext("%(credits)d credit, about %(dollars)s", "%(credits)d credits, about %(dollars)s", credits_)
    return words % {"credits": credits_, "dollars": pricing.in_dollars(credits_)}


def counted(credits_: int) -> str:
    """``25 credits``, where the dollars stand elsewhere."""
    return ngettext("%(credits)d credit", "%(credits)d credits", credits_) % {"credits": credits_}


def price_for(http_request: HttpRequest, payer: AbstractBaseUser | None, credits_: int) -> str:
    """``25 credits, about $0.25``, and who pays where that is not the reader."""
    words = in_words(credits_)
    if payer is None or payer.pk == http_request.user.pk:
        return words
    return _("%(price)s (paid by %(owner)s)") % {"price": words, "owner": payer.get_username()}


def sentence(error: GrokVideoError) -> str:
    """An error in words that end with what it cost."""
    match error:
        case InvalidRequest() if hasattr(error, "error_dict"):  # what is wrong with it, field by field: of a start
            return _("%(problems)s It was not started, and nothing was charged.") % {"problems": str(error)}
        case QuoteChanged(expected=0):
            return _("It costs %(price)s. Nothing was charged yet; press Generate to confirm.") % {
                "price": in_words(error.actual)
            }
        case QuoteChanged():
            return _(
                "The price is now %(actual)s, not %(expected)d as shown. Nothing was charged; "
                "press Generate to confirm the new price."
            ) % {"actual": in_words(error.actual), "expected": error.expected}
        case _:
            return str(error)


def level(error: GrokVideoError) -> int:
    """Somebody was faster: information. A new price: a warning. The rest: errors."""
    match error:
        case InvalidTransition():
            return messages.INFO
        case QuoteChanged():
            return messages.WARNING
        case _:
            return messages.ERROR


def tell(request: HttpRequest, error: GrokVideoError, *, before: str = "") -> None:
    """Put an error on the next page."""
    messages.add_message(request, level(error), f"{before} {sentence(error)}".strip())
