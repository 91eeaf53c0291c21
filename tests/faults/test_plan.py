"""The random run's own promises: a seed repeats it, and it leaves nothing out."""

import itertools

import pytest

from grokvideo_django.sandbox.faults import VOCABULARY, markers

from . import plan, words
from .chaos import Chaos


def some(seed: int) -> list[plan.Step]:
    return list(itertools.islice(plan.steps(seed), 400))


def test_a_seed_repeats_everything():
    assert some(7) == some(7)
    assert some(7) != some(8)


def test_every_fault_and_every_word_comes():
    seen = some(7)
    assert {step.fault for step in seen} == set(plan.FAULTS)
    assert {word for step in seen for word in step.words} == set(words.ENDS)


def test_every_fault_can_strike():
    assert all(callable(getattr(Chaos, fault.replace(" ", "_").replace("'", ""))) for fault in plan.FAULTS)


def test_every_word_of_the_sandbox_is_there_or_left_out_for_a_reason():
    named = {name for word in words.ENDS for name in words.names_of(word)}
    assert named | set(words.LEFT_OUT) == set(VOCABULARY)
    assert not named & set(words.LEFT_OUT)


@pytest.mark.parametrize("word", words.ENDS)
def test_the_sandbox_understands_it(word):
    assert {fault.name for fault in markers(words.prompt(1, word))} == words.names_of(word)
