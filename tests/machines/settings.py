"""The tests' settings for several machines: everything listens on a bridge of their own that nobody else sees."""

# ruff: noqa: E402, F403, F405

import os
import random

SUBNET = os.environ.setdefault("GROKVIDEO_TEST_SUBNET", f"10.{random.randrange(200, 250)}.{random.randrange(1, 250)}")
BRIDGE = f"{SUBNET}.1"

# Read by the settings that these are made of. The bridge does not exist yet: the ports are ours there.
os.environ.setdefault("GROKVIDEO_TEST_REDIS", f"redis://{BRIDGE}:6379/0")
os.environ.setdefault("GROKVIDEO_TEST_S3", f"{BRIDGE}:9000")
os.environ["GROKVIDEO_TEST_DATABASE"] = "postgres"
os.environ["GROKVIDEO_TEST_POSTGRES_PORT"] = "5432"

from tests.s3.settings import *

DATABASES["default"] |= {
    "HOST": BRIDGE,
    # A host that is cut off in a transaction keeps its locks for as long as the server waits for it.
    "OPTIONS": {
        "connect_timeout": 3,
        "tcp_user_timeout": 20_000,
        "options": "-c idle_in_transaction_session_timeout=15s",
    },
}
