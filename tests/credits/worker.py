"""A process of its own on the tests' database: ``python -m tests.credits.worker``.

Says ``ready``. For each line ``VERB KEY AMOUNT TIMES`` it does the same thing so many times, and prints how each of
them ended. Ends with its input.
"""

from __future__ import annotations

import json
import sys
from collections import Counter

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402 - after setup()

from grokvideo_django import credits, services, transactions  # noqa: E402
from grokvideo_django.exceptions import GrokVideoError  # noqa: E402
from grokvideo_django.models import CreditAccount, CreditEntry, VideoRequest  # noqa: E402


def hold(user_pk: int, amount: int) -> None:
    credits.hold(get_user_model().objects.get(pk=user_pk), amount)


def refund(entry_pk: int, amount: int) -> None:
    credits.refund(CreditEntry.objects.get(pk=entry_pk), amount)


def grant(user_pk: int, amount: int) -> None:
    credits.grant(get_user_model().objects.get(pk=user_pk), amount, key="the same for all")


def open_account(user_pk: int, _amount: int) -> None:
    CreditAccount.objects.for_user(get_user_model().objects.get(pk=user_pk))


def start(request_pk: int, _amount: int) -> None:
    services.start(VideoRequest.objects.get(pk=request_pk))


def start_new(user_pk: int, seconds: int) -> None:
    draft = VideoRequest(owner_id=user_pk, prompt="A fox", duration_seconds=seconds)
    transactions.run(draft.save)
    services.start(draft)


VERBS = {
    "hold": hold,
    "start": start,
    "start_new": start_new,
    "refund": refund,
    "grant": grant,
    "open_account": open_account,
}


def outcome(verb: str, pk: int, amount: int) -> str:
    """``done``, or the name of what was raised."""
    try:
        VERBS[verb](pk, amount)
    except GrokVideoError as error:
        return type(error).__name__
    except Exception as error:  # what the tests must not see
        return f"{type(error).__name__}: {error}"
    return "done"


def main() -> None:
    get_user_model().objects.count()  # connected
    print("ready", flush=True)
    for line in sys.stdin:
        verb, *numbers = line.split()
        pk, amount, times = map(int, numbers)
        print(json.dumps(Counter(outcome(verb, pk, amount) for _time in range(times))), flush=True)


if __name__ == "__main__":
    main()
