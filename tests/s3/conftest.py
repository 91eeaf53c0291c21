"""An S3 server, and a look into its buckets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from ..conftest import unavailable

FOLDER = Path(__file__).parent
SETTINGS = "tests.s3.settings"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skipped before any fixture is made, in a run with other settings."""
    if django_settings.SETTINGS_MODULE != SETTINGS:
        words = f"pytest tests/s3 --ds={SETTINGS} runs these: a field's storage is chosen at start-up"
        for item in items:
            if FOLDER in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=words))


class S3Server:
    """A server that can be stopped and started again, and its buckets."""

    def __init__(self, address: str) -> None:
        self.address, _colon, port = address.rpartition(":")
        self.port = int(port)
        self._server: Any = None

    def start(self) -> None:
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 - optional

        self._server = ThreadedMotoServer(ip_address=self.address, port=self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        """Its buckets stay: they are this process's memory."""
        if self._server is not None:
            self._server.stop()
            self._server._server.server_close()
            self._server = None

    @property
    def client(self) -> Any:
        """The backend's own client."""
        from django.core.files.storage import storages  # noqa: PLC0415

        return storages["videos"].connection.meta.client

    def make_buckets(self) -> None:
        for name in django_settings.BUCKETS:
            self.client.create_bucket(Bucket=name)

    def empty(self) -> None:
        for name in django_settings.BUCKETS:
            for key in self.keys(name):
                self.client.delete_object(Bucket=name, Key=key)

    def keys(self, bucket: str = "videos") -> list[str]:
        found = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return sorted(entry["Key"] for entry in found)

    def content(self, key: str, bucket: str = "videos") -> bytes:
        body: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body


@pytest.fixture(scope="session")
def s3_session() -> Iterator[S3Server]:
    try:
        import moto.server  # noqa: F401, PLC0415
        import storages.backends.s3  # noqa: F401, PLC0415
    except ImportError as error:
        unavailable(f"pip install -e '.[s3]' brings what is missing: {error}")
    server = S3Server(django_settings.S3_ADDRESS)
    server.start()
    server.make_buckets()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_session: S3Server) -> S3Server:
    """Running, with empty buckets."""
    s3_session.empty()
    return s3_session
