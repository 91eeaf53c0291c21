"""Whether the demo may spend real money."""

from __future__ import annotations

from collections.abc import Callable

from .people import CREDITS

WARNING = f"""\
AIGATEWAY_API_KEY is set: every video that you generate in this demo is made by the real gateway and costs real money
(about 5 to 7 cents a second). The demo's users have {CREDITS} credits each, which is about ${CREDITS / 100:.2f}.
With --sandbox the demo ignores the key and costs nothing."""

REFUSAL = "Nothing was started, because nobody could be asked. Add --yes-spend-real-money or --sandbox."


class Refused(Exception):  # noqa: N818 - the sentence is the message
    """Nobody agreed to spending money."""


def ask(*, interactive: bool, agreed: bool, say: Callable[[str], None], read: Callable[[str], str]) -> None:
    """Say what it costs, and go on only with a yes.

    Raises:
        Refused: no yes.
    """
    say(WARNING)
    if agreed:
        return
    if not interactive:
        raise Refused(REFUSAL)
    if read("Spend real money? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise Refused("Nothing was started.")
