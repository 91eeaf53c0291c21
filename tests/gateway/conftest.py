from __future__ import annotations

import pytest

from grokvideo_django.gateway import GatewayClient
from tests.gateway.server import Server

KEY = "sk-aig-secret-0123456789"


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def client(server):
    with GatewayClient(base_url=server.url, api_key=KEY, read_timeout=5, post_timeout=5) as client:
        yield client


@pytest.fixture
def hurried(server):
    """A client that has little time."""
    with GatewayClient(base_url=server.url, api_key=KEY, read_timeout=0.4, post_timeout=0.4) as client:
        yield client
