"""What the documents say is so."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands
from django.dispatch import Signal

from grokvideo_django import signals
from grokvideo_django.conf import Settings
from grokvideo_django.models import VideoRequest
from grokvideo_django.templatetags.grokvideo import grokvideo

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/*.md")])
EXAMPLE_COMMANDS = {"demo", "demo_content"}
DJANGO_COMMANDS = {"check", "migrate", "rqworker", "rqcron"}
DERIVED_DEFAULTS = {"PRICES"}
"""Shown in a block of its own."""

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def fenced(text: str) -> Iterator[str]:
    """Every fenced block, without its fences."""
    for match in re.finditer(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield match[1]


def prose(text: str) -> str:
    return re.sub(r"^```[^\n]*\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), f"{document.name} links to {target}"
        if fragment:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert fragment in map(anchor, headings), f"{document.name} links to {target}"


@every_document
def test_commands_exist(document: Path) -> None:
    known = {*get_commands(), *EXAMPLE_COMMANDS}
    named = set(re.findall(r"manage\.py ([a-z_]+)", document.read_text(encoding="utf-8")))

    assert named <= known
    assert known >= DJANGO_COMMANDS


@every_document
def test_every_document_can_be_found(document: Path) -> None:
    """From the README or the index."""
    entrances = (ROOT / "README.md", ROOT / "docs" / "index.md")
    assert document in entrances or any(document.name in entrance.read_text(encoding="utf-8") for entrance in entrances)


def test_the_first_two_commands_are_the_demo_and_the_tests() -> None:
    blocks = [block for block in fenced((ROOT / "README.md").read_text(encoding="utf-8")) if "pip install" in block]
    demo, tests = (block.strip() for block in blocks[:2])

    assert "\n" not in demo
    assert demo.endswith("example_project/manage.py demo")
    assert "\n" not in tests
    assert tests.endswith("pytest")
    assert (ROOT / "example_project" / "manage.py").exists()


def documented_settings() -> dict[str, str]:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([A-Z0-9_]+)` \| (.+?) \|", prose(text), re.MULTILINE))


def test_every_setting_is_documented() -> None:
    assert {field.name for field in fields(Settings)} <= set(documented_settings())


@pytest.mark.parametrize("name", [field.name for field in fields(Settings) if field.name not in DERIVED_DEFAULTS])
def test_a_documented_default_is_the_default(name: str) -> None:
    said = documented_settings()[name]

    assert ast.literal_eval(said.strip("`")) == getattr(Settings(), name)


def test_the_documented_prices_are_the_prices() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    block = next(block for block in fenced(text) if block.startswith("PRICES"))
    default: Any = next(field for field in fields(Settings) if field.name == "PRICES").default_factory

    assert default is not MISSING
    assert ast.literal_eval(block.partition("=")[2].strip()) == default()


def test_every_state_is_documented() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE)) == set(VideoRequest.Status.values)


def test_every_signal_is_described() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/signals.md").read_text(encoding="utf-8"), re.MULTILINE))

    assert described == {name for name, value in vars(signals).items() if isinstance(value, Signal)}


def test_every_option_of_the_template_tag_is_documented() -> None:
    text = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+?) \| .+? \| ", text, re.MULTILINE)
    options = inspect.signature(grokvideo).parameters.values()
    by_name = {option.name for option in options if option.kind == option.KEYWORD_ONLY}

    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == by_name - {"css_class"} | {"class"}
