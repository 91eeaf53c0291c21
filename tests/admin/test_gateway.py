"""The page of the gateway's state."""

import pytest
from django.utils import timezone

from grokvideo_django.lifecycle import site
from grokvideo_django.models import GatewayState

from .conftest import as_, text_of

pytestmark = pytest.mark.django_db

STATE = "/admin/grokvideo/gatewaystate/"


def test_a_new_site_is_running_and_looking_at_it_writes_nothing(manager):
    text = text_of(as_(manager).get(STATE))
    assert "Submissions are running" in text
    assert "A worker last looked after the requests never" in text
    assert not GatewayState.objects.exists()


def test_a_pause_says_why_and_that_nothing_is_lost(manager):
    site.pause(timezone.now(), status=401, message="<b>bad key</b>")
    response = as_(manager).get(STATE)
    text = text_of(response)
    assert "Submissions are paused" in text
    assert "The gateway does not accept this site's key." in text
    assert "HTTP status 401" in text
    assert "&lt;b&gt;bad key" in response.content.decode()


def test_its_row_can_only_be_looked_at(manager):
    GatewayState.objects.ensure()
    client = as_(manager)
    assert client.get(f"{STATE}1/change/").status_code == 200
    assert client.post(f"{STATE}1/change/", {"pause_reason": "x"}).status_code == 403
    assert client.get(f"{STATE}add/").status_code == 403
    assert client.post(f"{STATE}1/delete/", {"post": "yes"}).status_code == 403


def test_editors_do_not_see_it(client):
    assert client.get(STATE).status_code == 403
