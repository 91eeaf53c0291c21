"""``{% grokvideo thing %}``."""

import pytest
from django.core.files.storage import Storage
from django.template import Context, Engine, Template, TemplateSyntaxError
from django.test import override_settings
from django.utils.safestring import mark_safe

from grokvideo_django import embed
from grokvideo_django.media import links
from grokvideo_django.models import VideoRequest
from tests.site.models import Article

LABEL = '<figcaption class="grokvideo-label">AI-generated</figcaption>'
EVIL = "\"><script>alert('x')</script>"


def render(tag, **context):
    return Template("{% load grokvideo %}" + tag).render(Context(context))


def ready(**values):
    facts = {"status": "succeeded", "video": "a/clip.mp4", "poster": "a/clip.jpg", "width": 848, "height": 480}
    return VideoRequest(**{**facts, **values})


def test_a_finished_request():
    assert render("{% grokvideo it %}", it=ready()) == (
        '<figure class="grokvideo"><video src="/media/a/clip.mp4" poster="/media/a/clip.jpg" width="848" height="480" '
        'preload="metadata" controls playsinline><a href="/media/a/clip.mp4">Play the video</a></video>'
        f"{LABEL}</figure>\n"
    )


def test_a_stored_file_takes_no_query():
    html = render("{% grokvideo it.hero %}", it=Article(hero="heroes/a.mp4"))
    assert '<video src="/target-media/heroes/a.mp4" preload="metadata" controls playsinline>' in html


@pytest.mark.parametrize("url", ["https://example.com/a.mp4?b=1&c=2", "http://x/a.mp4", "/a.mp4", "a.mp4", "//x/a.mp4"])
def test_an_address(url):
    assert f'src="{url.replace("&", "&amp;")}"' in render("{% grokvideo it %}", it=url)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " JavaScript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,x",
        "ftp://example.com/a.mp4",
        "file:///etc/passwd",
        "blob:https://example.com/1",
        "https:\\\\example.com",
        "http://[bad",
        "a\nb",
    ],
)
def test_any_other_address_renders_nothing(url):
    assert render("{% grokvideo it %}", it=url) == ""
    assert "poster" not in render("{% grokvideo '/a.mp4' poster=it %}", it=url)


@pytest.mark.parametrize("thing", [None, "", "  ", 5, Article().hero, VideoRequest().video, object(), b"x", [1]])
def test_nothing_renders_nothing(thing):
    assert render("{% grokvideo it %}", it=thing) == ""
    assert render("{% grokvideo it placeholder=True %}", it=thing) == ""
    assert render("{% grokvideo missing %}") == ""


@pytest.mark.parametrize("status", [name for name in VideoRequest.Status.values if name != "succeeded"])
def test_an_unfinished_request_renders_nothing_public(status):
    request = ready(status=status, prompt="secret", error_message="secret")
    assert render("{% grokvideo it %}", it=request) == ""
    html = render("{% grokvideo it placeholder=True %}", it=request)
    assert "secret" not in html
    assert ("The video is not ready yet." in html) == (status not in {"failed", "canceled"})


def test_a_request_whose_video_was_taken_away():
    assert render("{% grokvideo it %}", it=ready(video="")) == ""


def test_the_prompt_is_never_shown():
    assert "secret" not in render("{% grokvideo it %}", it=ready(prompt="secret"))


def test_what_plays_by_itself_is_muted():
    html = render("{% grokvideo it autoplay=True loop=True %}", it="/a.mp4")
    assert "controls autoplay loop muted playsinline>" in html


def test_options():
    html = render(
        "{% grokvideo it muted=True controls=False preload='none' css_class='wide hero' label=False title='A fox' %}",
        it="/a.mp4",
    )
    assert html == (
        '<figure class="grokvideo wide hero"><video src="/a.mp4" preload="none" muted playsinline aria-label="A fox">'
        '<a href="/a.mp4">Play the video</a></video></figure>\n'
    )
    assert '<figure class="grokvideo small">' in render("{% grokvideo it class='small' %}", it="/a.mp4")
    assert 'preload="metadata"' in render("{% grokvideo it preload='lots' %}", it="/a.mp4")


def test_an_unknown_option_is_an_error_of_the_template():
    with pytest.raises(TemplateSyntaxError, match="knows no option onclick"):
        render("{% grokvideo it onclick='x' %}", it="/a.mp4")


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ("width=424", 'width="424" height="240"'),
        ("height='240'", 'width="424" height="240"'),
        ("width=100 height=100", 'width="100" height="100"'),
        ("width='x'", 'width="848" height="480"'),
        ("width=-5", 'width="848" height="480"'),
    ],
)
def test_sizes_keep_the_shape(options, size):
    assert size in render("{% grokvideo it " + options + " %}", it=ready())


def test_a_size_without_a_known_shape():
    assert '<video src="/a.mp4" width="100" preload' in render("{% grokvideo it width=100 %}", it="/a.mp4")
    assert "height" not in render("{% grokvideo it %}", it=ready(width=None, height=None))


@override_settings(USE_THOUSAND_SEPARATOR=True)
def test_sizes_are_numbers_of_html_not_of_a_language():
    assert 'width="1920" height="1080"' in render("{% grokvideo it %}", it=ready(width=1920, height=1080))


def test_a_poster_of_ones_own():
    assert 'poster="/p.jpg"' in render("{% grokvideo it poster='/p.jpg' %}", it=ready())
    article = Article(hero="p.jpg")
    assert 'poster="/target-media/p.jpg"' in render("{% grokvideo '/a.mp4' poster=it.hero %}", it=article)


@pytest.mark.parametrize("autoescape", ["on", "off"])
@pytest.mark.parametrize("trusted", [str, mark_safe])
def test_everything_is_escaped(autoescape, trusted):
    tag = "{% grokvideo src poster=evil css_class=evil title=evil preload=evil width=evil %}"
    html = render(
        "{% autoescape " + autoescape + " %}" + tag + "{% endautoescape %}",
        src=trusted("/a.mp4" + EVIL),
        evil=trusted(EVIL),
    )
    assert "<script" not in html
    assert html.count('"') == 2 * html.count('="')


def test_escaping_does_not_depend_on_the_engine():
    engine = Engine(libraries={"grokvideo": "grokvideo_django.templatetags.grokvideo"}, autoescape=False)
    template = engine.from_string("{% load grokvideo %}{% grokvideo src %}")
    assert "<script" not in template.render(Context({"src": "/a" + EVIL}, autoescape=False))


class Unlisted(Storage):
    """A storage that is not on the web."""


class Signing(Storage):
    def url(self, name):
        return f"https://bucket.example.com/{name}?signature=1&expires=2"


def with_storage(storage):
    request = ready()
    request.video.storage = request.poster.storage = storage
    return request


@pytest.mark.parametrize("storage", [Unlisted(), Signing()])
def test_an_address_that_expires_gives_way_to_the_views(storage):
    request = with_storage(storage)
    html = render("{% grokvideo it %}", it=request)
    assert f'src="/grokvideo/media/{links.token(request)}"' in html
    assert f'poster="/grokvideo/poster/{links.token(request)}"' in html


@override_settings(ROOT_URLCONF="tests.urls_without_media")
def test_without_the_views_the_storage_says_what_it_can():
    assert "?signature=1&amp;expires=2" in render("{% grokvideo it %}", it=with_storage(Signing()))
    assert render("{% grokvideo it %}", it=with_storage(Unlisted())) == ""


def test_a_file_that_is_not_on_the_web():
    request = with_storage(Unlisted())
    assert embed.file_url(request.video) == ""
    assert render("{% grokvideo it %}", it=request.video) == ""


@pytest.mark.django_db
def test_a_request_takes_no_query(editor, django_assert_num_queries):
    request = VideoRequest.objects.create(owner=editor, prompt="A fox", status="succeeded", video="a.mp4")
    with django_assert_num_queries(0):
        assert 'src="/media/a.mp4"' in render("{% grokvideo it %}", it=request)
