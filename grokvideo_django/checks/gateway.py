"""The key, and the addresses of the gateway, of its results and of the site."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

from django.core.checks import CheckMessage

from ..media.addresses import literal_address, split_host
from .messages import default, effective, error, shown, site_setting, warning

KEY_VARIABLE: Final = "AIGATEWAY_API_KEY"
_KEY: Final = re.compile(r"[!-~]{1,512}")
_VERSION: Final = re.compile(r"v\d+\w*")


def check_key(**_: object) -> list[CheckMessage]:
    """E004, W001. Never shows the key."""
    value = effective("API_KEY")
    key = value or os.environ.get(KEY_VARIABLE, "")
    if not key:
        return [
            warning(
                1,
                "There is no API key, so nothing can be started, and what was started before waits for one.",
                f'Set the environment variable {KEY_VARIABLE}, or GROKVIDEO["API_KEY"].',
            )
        ]
    if isinstance(key, str) and _KEY.fullmatch(key):
        return []
    where = 'GROKVIDEO["API_KEY"]' if value else f"The environment variable {KEY_VARIABLE}"
    return [
        error(
            4,
            f"{where} is no key that can be sent: it is no text, or holds spaces, line breaks or letters beyond ASCII.",
            "Copy the key from the gateway's dashboard again, without quotes and without a line break at the end.",
        )
    ]


def check_base_url(**_: object) -> list[CheckMessage]:
    """E005, W003."""
    value = effective("BASE_URL")
    hint = f'Write GROKVIDEO["BASE_URL"] = "{default("BASE_URL")}", or remove it: this is the default.'
    parts = _web_address(value)
    if parts is None:
        # Not shown: what is malformed may hold a password.
        return [error(5, 'GROKVIDEO["BASE_URL"] is no http or https address of a gateway.', hint)]
    if parts.scheme == "http" and not _is_local(parts) and effective("ALLOW_PRIVATE_NETWORK") is not True:
        return [error(5, f"The API key would travel to {parts.netloc} in clear: BASE_URL is plain http.", hint)]
    if not _VERSION.fullmatch(parts.path.rstrip("/").rpartition("/")[2]):
        return [warning(3, f'GROKVIDEO["BASE_URL"] ends without a version: {shown(parts.path)}.', hint)]
    return []


def check_private_network(**_: object) -> list[CheckMessage]:
    """W002, W004."""
    allowed = effective("ALLOW_PRIVATE_NETWORK") is True
    if allowed and not site_setting("DEBUG"):
        return [
            warning(
                2,
                "ALLOW_PRIVATE_NETWORK is True while DEBUG is False: results may be fetched from inside the network.",
                'Remove GROKVIDEO["ALLOW_PRIVATE_NETWORK"] in production; only the sandbox needs it.',
            )
        ]
    parts = _web_address(effective("BASE_URL"))
    if parts is not None and _is_local(parts) and not allowed:
        return [
            warning(
                4,
                f"The gateway at {parts.netloc} is on this machine, and what it renders here would be refused.",
                'Set GROKVIDEO["ALLOW_PRIVATE_NETWORK"] = True, and its host in MEDIA_HOSTS, while you develop.',
            )
        ]
    return []


def check_media_hosts(**_: object) -> list[CheckMessage]:
    """E006."""
    value = effective("MEDIA_HOSTS")
    hint = 'List hosts without scheme and path: GROKVIDEO["MEDIA_HOSTS"] = ["media.aigateway.sh"] (or "host:port").'
    if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset):
        return [error(6, f'GROKVIDEO["MEDIA_HOSTS"] is {shown(value)}, but must be a list of hosts.', hint)]
    if not value:
        return [error(6, 'GROKVIDEO["MEDIA_HOSTS"] is empty, so no result may be fetched.', hint)]
    wrong = [host for host in value if not isinstance(host, str) or split_host(host) is None]
    return [error(6, f'GROKVIDEO["MEDIA_HOSTS"] holds {shown(host)}, which is no host.', hint) for host in wrong]


def check_site_url(**_: object) -> list[CheckMessage]:
    """E007."""
    value = effective("SITE_URL")
    if value == "" or _web_address(value) is not None:
        return []
    hint = 'Write GROKVIDEO["SITE_URL"] = "https://www.example.com", or remove it.'
    return [error(7, 'GROKVIDEO["SITE_URL"] is no http or https address of a site.', hint)]


def _web_address(value: object) -> SplitResult | None:
    """The parts of an http or https address without user name, query and fragment; None for anything else."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    is_plain = parts.scheme in {"http", "https"} and "?" not in value and "#" not in value
    return parts if is_plain and split_host(parts.netloc) is not None else None


def _is_local(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    address = literal_address(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)
