"""The installed wheel in a site of its own: checks, migrations, a request, its price, and a refusal."""

import warnings

warnings.simplefilter("error")

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="smoke",
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.messages",
        "django.contrib.sessions", "django_rq", "grokvideo_django",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    ROOT_URLCONF="grokvideo_django.urls",
    MEDIA_ROOT="media",
    MEDIA_URL="media/",
    RQ_QUEUES={"default": {"URL": "redis://127.0.0.1:1/0?socket_connect_timeout=1"}},
    GROKVIDEO={"API_KEY": "sk-aig-smoke"},
)  # fmt: skip
django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.template import Context, Template

from grokvideo_django import credits, services
from grokvideo_django.exceptions import InsufficientCredits
from grokvideo_django.models import CreditAccount, VideoRequest

call_command("check")
call_command("migrate", verbosity=0)
user = User.objects.create_user("smoke")
request = VideoRequest.objects.create(owner=user, prompt="A fox crosses a frozen lake")
price = services.quote(request)
try:
    services.start(request)
except InsufficientCredits as error:
    assert error.missing == price
else:
    raise AssertionError("A request was started without credits.")
credits.grant(user, price)
services.start(request)
assert request.status == "queued"
assert CreditAccount.objects.for_user(user).available == 0
assert Template("{% load grokvideo %}{% grokvideo thing %}").render(Context({"thing": "/a.mp4"}))
print(f"Django {django.__version__}: a request for {price} credits waits for its worker.")
