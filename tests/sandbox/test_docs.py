"""The page says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from grokvideo_django.management.commands.grokvideo_sandbox import Command
from grokvideo_django.sandbox import Sandbox
from grokvideo_django.sandbox.control import _COMMANDS
from grokvideo_django.sandbox.faults import VOCABULARY

PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")


def test_every_word_and_no_other() -> None:
    tables = PAGE.split("## Let it go wrong")[1].split("## Control it")[0]
    listed = set(re.findall(r"^\| `([a-z0-9_-]+)(?:=[^`]*)?` \|", tables, re.MULTILINE))
    for names, codes in re.findall(r"^\| `([a-z]+-)NNN` \| ([\d ]+)", tables, re.MULTILINE):
        listed |= {names + code for code in codes.split()}
    assert listed == set(VOCABULARY)


def test_every_control_command() -> None:
    for method, name in _COMMANDS:
        assert f"`{method} /sandbox/{name}`" in PAGE


def test_every_option() -> None:
    parser = Command().create_parser("manage.py", "grokvideo_sandbox")
    own = [action.option_strings[-1] for action in parser._actions if action.option_strings]
    django = {"--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color"}
    for option in set(own) - django - {"--force-color", "--skip-checks"}:
        assert f"`{option}" in PAGE, option


def test_the_example_runs() -> None:
    (example,) = re.findall(r"```python\n(def test_.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {"Sandbox": Sandbox}
    exec(example, names)
    for name, function in list(names.items()):
        if name.startswith("test_"):
            function()  # type: ignore[operator]
