"""German is whole: nothing of the source is missing in it, fuzzy, left over or compiled from something else."""

from __future__ import annotations

import gettext
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import translation

import grokvideo_django
from grokvideo_django import services
from grokvideo_django.exceptions import InsufficientCredits, KeyConflict
from grokvideo_django.models import VideoRequest

from .admin.conftest import EDITING, LIST, as_, person, text_of
from .conftest import make_draft, unavailable

PACKAGE = Path(grokvideo_django.__file__).parent
CATALOGUE = Path("locale/de/LC_MESSAGES/django.po")
TOOLS = ("xgettext", "msgmerge", "msguniq", "msgattrib", "msgfmt")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package whose German catalogue was brought up to date with its source."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        unavailable(f"no gettext: {', '.join(missing)} is not on the path")
    copy = tmp_path_factory.mktemp("translations") / "grokvideo_django"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.mo"))
    # -P: the folder has modules that are called as those of the standard library.
    django = (
        "-P",
        "-c",
        "from django.core.management import execute_from_command_line as run; import sys; run(sys.argv)",
    )
    options = (
        "--locale=de",
        "--no-location",
        "--no-wrap",
        "--settings=tests.settings",
    )
    root = Path(__file__).resolve().parent.parent
    run(sys.executable, *django, "makemessages", *options, f"--pythonpath={root}", cwd=copy)
    return copy / CATALOGUE


@pytest.mark.parametrize("what", ["--untranslated", "--only-fuzzy", "--only-obsolete"])
def test_nothing_is_missing_fuzzy_or_left_over(extracted: Path, what: str) -> None:
    found = run("msgattrib", what, "--no-wrap", extracted, cwd=extracted.parent)
    assert re.findall(r'^(?:#~ )?msgid "(.+)"$', found, re.MULTILINE) == []


def test_each_translation_fits_its_format(extracted: Path) -> None:
    run("msgfmt", "--check", "--output-file=/dev/null", extracted, cwd=extracted.parent)


def test_what_is_compiled_is_what_is_written(extracted: Path, tmp_path: Path) -> None:
    compiled = tmp_path / "django.mo"
    run("msgfmt", f"--output-file={compiled}", PACKAGE / CATALOGUE, cwd=tmp_path)

    def entries(path: Path) -> dict[object, str]:
        with path.open("rb") as file:
            catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        return {key: text for key, text in catalogue.items() if key}

    assert entries(compiled) == entries((PACKAGE / CATALOGUE).with_suffix(".mo"))


@pytest.mark.django_db
def test_a_page_of_the_admin_speaks_german() -> None:
    editor = person("editor", *EDITING, amount=100)
    row = make_draft(editor)
    services.start(row)
    services.cancel(row)
    client = as_(editor)
    with translation.override("de"):
        text = text_of(client.get(f"{LIST}{row.pk}/change/"))
        listed = text_of(client.get(LIST))
    assert "Sie wurde abgebrochen. Es hat nichts gekostet; was reserviert war, ist wieder verfügbar." in text
    assert "Was gewünscht wurde" in text
    assert "abgebrochen" in listed
    assert "Videoanfrage" in listed


@pytest.mark.django_db
def test_a_refusal_is_said_in_the_language_of_the_request() -> None:
    poor = User.objects.create_user("poor")
    with translation.override("de"), pytest.raises(InsufficientCredits) as refused:
        services.start(make_draft(poor))
    assert str(refused.value).startswith("Dafür sind 5 Credits nötig, und 0 sind verfügbar: Es fehlen 5.")
    with translation.override("de"):
        assert str(KeyConflict()).startswith("Der Schlüssel wurde bereits für einen anderen Vorgang verwendet.")


@pytest.mark.django_db
def test_what_is_stored_is_the_same_for_all_who_read_it() -> None:
    editor = person("editor", amount=100)
    row = make_draft(editor)
    with translation.override("de"):
        services.start(row)
        services.cancel(row)
    messages = list(VideoRequest.objects.get(pk=row.pk).events.values_list("message", flat=True))
    assert messages == ["Started for 5 credits.", "Canceled before the gateway accepted it. It cost nothing."]
