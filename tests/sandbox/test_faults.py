"""The grammar of the words."""

from __future__ import annotations

import pytest

from grokvideo_django.sandbox.faults import VOCABULARY, Takes, UnknownWordError, markers, parse, without_markers


@pytest.mark.parametrize(
    ("text", "name", "value", "left"),
    [
        ("never", "never", None, None),
        ("delay", "delay", "30", None),
        ("delay=2.5", "delay", "2.5", None),
        ("delay=2*3", "delay", "2", 3),
        ("media-500*2", "media-500", None, 2),
        ("create-429=date:9*1", "create-429", "date:9", 1),
        ("result-url=https://a.example/b?c=d*2", "result-url", "https://a.example/b?c=d", 2),
        (" shape=data ", "shape", "data", None),
    ],
)
def test_words(text: str, name: str, value: str | None, left: int | None) -> None:
    fault = parse(text)
    assert (fault.name, fault.value, fault.left) == (name, value, left)
    assert parse(str(fault)) == fault


@pytest.mark.parametrize(
    "text", ["", "nonsense", "never=5", "delay=soon", "shape=round", "media-500*x", "delay=-1", "NEVER"]
)
def test_mistakes(text: str) -> None:
    with pytest.raises(UnknownWordError):
        parse(text)


def test_markers() -> None:
    prompt = (
        "A [sandbox:fail error=text] fox [in brackets] [sandbox:result-url=http://[::1]/x.mp4] runs [sandbox:delay=1]"
    )
    assert [str(fault) for fault in markers(prompt)] == [
        "fail=generation_failed",
        "error=text",
        "result-url=http://[::1]/x.mp4",
        "delay=1",
    ]
    assert without_markers(prompt) == "A fox [in brackets] runs"


def test_an_empty_marker_is_a_mistake() -> None:
    with pytest.raises(UnknownWordError):
        markers("[sandbox:]")


def test_the_vocabulary_is_consistent() -> None:
    for name, word in VOCABULARY.items():
        assert word.doc, name
        if word.default is not None:
            assert word.takes is not Takes.NOTHING, name
            assert parse(f"{name}={word.default}"), name
