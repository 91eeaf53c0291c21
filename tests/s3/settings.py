"""The tests' settings, with all media in two buckets: results in one, what they are copied into in another."""

# ruff: noqa: F403, F405

import os
from importlib.util import find_spec

from tests.settings import *

S3_ADDRESS = os.environ.setdefault("GROKVIDEO_TEST_S3", f"127.0.0.1:{free_port()}")
_OPTIONS = {
    "endpoint_url": f"http://{S3_ADDRESS}",
    "access_key": "tests",
    "secret_key": "tests",
    "region_name": "us-east-1",
    "max_memory_size": 1024 * 1024,
}
if find_spec("botocore"):
    from botocore.config import Config

    _OPTIONS["client_config"] = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})

BUCKETS = ("videos", "site")
STORAGES = {
    "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {**_OPTIONS, "bucket_name": "site"}},
    "videos": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {**_OPTIONS, "bucket_name": "videos"}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
GROKVIDEO = {**GROKVIDEO, "STORAGE": "videos"}
