"""The table of states in the architecture is what the transitions do."""

from __future__ import annotations

import re
from pathlib import Path

from grokvideo_django.models import VideoRequest

from . import test_reading, test_storing, test_submitting

ARCHITECTURE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"


def documented() -> set[tuple[str, str]]:
    """Pairs of a state and one that it leads to."""
    rows = re.findall(r"^\| `([a-z_]+)` \|.*\|([^|]*)\|$", ARCHITECTURE.read_text(encoding="utf-8"), re.MULTILINE)
    return {(state, after) for state, leads_to in rows for after in re.findall(r"`([a-z_]+)`", leads_to)}


def test_every_transition_of_a_worker_is_documented() -> None:
    cases = [*test_reading.CASES, *test_storing.CASES, *test_submitting.CASES]
    moves = {(str(before), str(case.to)) for case in cases if case.to for before in case.allowed if before != case.to}
    assert moves <= documented()


def test_states_that_end_lead_nowhere() -> None:
    assert not {before for before, _after in documented()} & set(VideoRequest.ENDED)
