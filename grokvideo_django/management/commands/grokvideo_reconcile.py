"""``manage.py grokvideo_reconcile``: whether the books are right, and whether the gateway's bill is the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError
from django.utils import timezone

from grokvideo_django import bill, reconcile
from grokvideo_django.gateway import GatewayError

LINE = "{:<13} {:<44} {:<32} {}"
BILL = "{:<32} {:>9} {:>12}  {:>9} {:>9} {:>12}  {:>12}"


class Command(BaseCommand):
    """Reads only, unless it is told to repair."""

    help = (
        "Prove the books: balances against entries, grants against draws, holds against requests; and with --gateway "
        "the month against the gateway's own figures. Exits 1 if something is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The books, and the bill."""
        parser.add_argument(
            "--repair",
            action="store_true",
            help="First write balances, remainders and counters anew from the entries, which are never changed.",
        )
        parser.add_argument("--gateway", action="store_true", help="Compare a month with what the gateway charged.")
        parser.add_argument("--month", metavar="YYYY-MM", help="With --gateway: which month, in UTC. This one.")
        parser.add_argument(
            "--tolerance",
            default="1%",
            metavar="1%|50",
            help="With --gateway: how much a tag may differ, in percent of the gateway's figure or in US cents.",
        )

    def handle(
        self,
        *,
        repair: bool = False,
        gateway: bool = False,
        month: str | None = None,
        tolerance: str = "1%",
        **_options: Any,
    ) -> None:
        """A line for everything that is wrong, or one that says that nothing is."""
        asked = _month(month)
        allowed = _tolerance(tolerance)
        if month and not gateway:
            raise CommandError("--month is about the gateway's figures: say --gateway too. Nothing was compared.")
        if repair:
            self._repair()
        self._prove()
        if gateway:
            self._compare(asked, allowed)

    def _prove(self) -> None:
        wrong = 0
        for finding in reconcile.findings():
            if not wrong:
                self.stdout.write(LINE.format("KIND", "WHAT", "EXPECTED", "FOUND"))
            self.stdout.write(LINE.format(finding.kind, finding.what, finding.expected, finding.found))
            wrong += 1
        if wrong:
            raise CommandError(
                f"The books are wrong in {wrong} places. Nothing was changed; keep a copy of the database first."
            )
        proved = ", ".join(f"{number} {name}" for name, number in reconcile.counts().items())
        self.stdout.write(f"The books are right: {proved}.")

    def _repair(self) -> None:
        try:
            written = list(reconcile.repair())
        except IntegrityError as error:
            raise CommandError(f"The entries make no sense, so nothing was repaired: {error}") from error
        for figure in written:
            self.stdout.write(f"Repaired: {figure.what}: {figure.kind} is {figure.expected}, was {figure.found}.")
        if not written:
            self.stdout.write("There was nothing to repair.")

    def _compare(self, month: str, allowed: _Tolerance) -> None:
        try:
            theirs = bill.billed(month)
        except GatewayError as error:
            raise CommandError(f"The gateway's figures cannot be had, so nothing was compared. {error}") from error
        lines = bill.compare(month, theirs)
        self.stdout.write(f"\n{month} in UTC, the gateway's figures beside ours:")
        self.stdout.write(BILL.format("TAG", "THEIRS", "USD", "OURS", "CREDITS", "USD", "DIFFERENCE").rstrip())
        differing = []
        for line in lines:
            agrees = line.agrees(allowed.usd(line.billed_usd))
            self.stdout.write(_row(line))
            for words in _notes(line, agrees=agrees):
                self.stdout.write(f"    {words}")
            if not agrees:
                differing.append(line.tag or "(none)")
        if differing:
            raise CommandError(
                f"The gateway's figures for {', '.join(differing)} differ from ours by more than {allowed.words} and "
                "what is undecided. The lines above say what it may come from; nothing was changed."
            )
        self.stdout.write(f"The gateway's figures agree with ours, within {allowed.words} and what is undecided.")


class _Tolerance:
    """How much a figure may differ: a share of theirs, or US cents."""

    def __init__(self, number: Decimal, *, is_percent: bool) -> None:
        self._number = number
        self._is_percent = is_percent
        self.words = f"{number} %" if is_percent else f"{number} cents"

    def usd(self, theirs: Decimal) -> Decimal:
        return self._number / 100 * (abs(theirs) if self._is_percent else 1)


def _row(line: bill.Line) -> str:
    counted = line.theirs.requests if line.theirs is not None else 0
    ours = [line.requests, line.credits, f"{line.usd:.2f}", f"{line.difference_usd:+.2f}"] if line.is_ours else [""] * 4
    number = "?" if counted is None else counted
    return BILL.format(line.tag or "(none)", number, f"{line.billed_usd:.2f}", *ours).rstrip()


def _notes(line: bill.Line, *, agrees: bool) -> Iterator[str]:
    if not line.is_ours:
        yield "This site has sent nothing under this tag: it is not compared."
        return
    if line.difference_usd:
        yield from line.explained()
    if line.undecided_usd:
        yield f"Undecided, and perhaps on their bill already: up to {line.undecided_usd:.2f} USD."
    if agrees or line.difference_usd > 0:
        return
    yield "They charged less than we did: our prices are higher than theirs, or we charged where they did not."


def _month(text: str | None) -> str:
    if text is None:
        return bill.this_month(timezone.now())
    if not re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", text):
        raise CommandError(f"--month {text!r} is no month such as 2026-11. Nothing was compared.")
    return text


def _tolerance(text: str) -> _Tolerance:
    """``2%``, ``0.5%``, or cents: ``50``."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,4})?)\s*(%?)", text.strip())
    if found is None:
        raise CommandError(f"--tolerance {text!r} is neither a percentage such as 1% nor cents. Nothing was compared.")
    return _Tolerance(Decimal(found[1]), is_percent=bool(found[2]))
