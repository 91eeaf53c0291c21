"""Models, balance and usage: what a site reads to show prices and to reconcile its books."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from grokvideo_django.sandbox import shapes
from grokvideo_django.sandbox.faults import Fault, Kind
from grokvideo_django.sandbox.misbehave import decision, html_answer, status_answer, status_of
from grokvideo_django.sandbox.orders import MODEL, Refused
from grokvideo_django.sandbox.wire import Answer, json_answer

if TYPE_CHECKING:
    from grokvideo_django.sandbox.wire import Request
    from grokvideo_django.sandbox.world import World


def models(world: World, request: Request, model_id: str | None) -> Answer:
    """All models of ``?modality=`` and ``?provider=``, or the one called *model_id* (with its slash).

    Raises ``Refused`` (404).
    """
    struck = world.script.take(Kind.ACCOUNT, "models")
    if (wrong := _misanswer(struck)) is not None:
        return wrong
    if not model_id:
        model = shapes.model()
        asked = {"modality": request.query.get("modality"), "owned_by": request.query.get("provider")}
        fits = all(value in {None, "", model[name]} for name, value in asked.items())
        return json_answer({"object": "list", "data": [model] if fits else []})
    if model_id == MODEL:
        return json_answer(shapes.model())
    if model_id == f"{MODEL}/schema":
        return json_answer(shapes.model()["schema"])
    raise Refused(404, f"The model {model_id!r} does not exist.")


def balance(world: World, _: Request) -> Answer:
    """The wallet."""
    struck = world.script.take(Kind.ACCOUNT, "balance")
    world.pause(struck, "account-stall")
    wrong = _misanswer(struck)
    return json_answer(shapes.balance(*world.wallet())) if wrong is None else wrong


def usage(world: World, request: Request) -> Answer:
    """What the jobs of ``?month=YYYY-MM`` (UTC; by default this one) cost, by tag."""
    month = request.query.get("month") or _month(world.clock.now())
    struck = world.script.take(Kind.ACCOUNT, "usage")
    if (wrong := _misanswer(struck)) is not None:
        return wrong
    rows: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for job in world.jobs.all():
        if _month(job.accepted.at) == month:
            requests, mills = rows[job.accepted.tag]
            rows[job.accepted.tag] = requests + 1, mills + (0 if job.cancelled_at else job.charged_mills)
    return json_answer(shapes.usage(month, rows, struck))


def _month(at: float) -> str:
    return time.strftime("%Y-%m", time.gmtime(at))


def _misanswer(struck: list[Fault]) -> Answer | None:
    fault = decision(struck)
    if fault is None:
        return None
    return html_answer() if fault.name == "account-html" else status_answer(status_of(fault) or 500, fault.value)
