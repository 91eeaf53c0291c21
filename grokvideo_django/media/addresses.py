"""May this result URL be fetched? Pure: nothing here looks a name up or connects.

A result URL is hostile input. ``check_url`` judges its text, and ``check_address`` judges each address that its
host name stands for. Odd forms are refused rather than normalised, because two parsers that disagree about an odd
URL are how a filter is passed. What is public is decided by the tables below and not by ``ipaddress.is_global``
alone, which is True for NAT64 of 169.254.169.254, for ``fec0::1`` and multicast, and before Python 3.13 for 6to4.
Sources: IANA's IPv4 and IPv6 Special-Purpose Address Registries; RFC 3986, 4291, 6052, 7526, 8215.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urljoin

from ..exceptions import MediaRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_URL_LENGTH = 4096
DEFAULT_PORTS = {"https": 443, "http": 80}

_VISIBLE_ASCII = re.compile(r"[!-~]+")
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?]*)(?P<rest>.*)", re.IGNORECASE | re.ASCII)
_AUTHORITY = re.compile(
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[1-9][0-9]{0,4}))?", re.IGNORECASE | re.ASCII
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a last label like this makes a URL parser read an IPv4 address

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network


def _networks(text: str) -> tuple[_Network, ...]:
    return tuple(ip_network(part) for part in text.split())


# Inside the address space that is otherwise public: 0.0.0.0/0, and 2000::/3, the only global unicast space of IPv6.
# So 6to4 (2002::/16), Teredo (2001::/32), site-local, IPv4-compatible, multicast and local-use NAT64
# (64:ff9b:1::/48) are refused whatever they wrap: no media host has only such an address.
_NOT_PUBLIC = _networks(
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
    "192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 "
    "2001::/23 2001:db8::/32 2002::/16 3fff::/20"
)
_GLOBAL_UNICAST = _networks("0.0.0.0/0 2000::/3")
# What allow_private adds. Link-local addresses are not among them.
_LOCAL = _networks("10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 172.16.0.0/12 192.168.0.0/16 ::1/128 fc00::/7")
# Clouds answer with credentials there: Alibaba, Azure, Oracle, AWS, Google (169.254.0.0/16 is in no list that allows).
_METADATA = _networks("100.100.100.200/32 168.63.129.16/32 192.0.0.192/32 fd00:ec2::/32 fd20:ce::254/128")
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which hosts videos may come from.

    ``hosts`` holds ``host`` or ``host:port`` (IPv6 as ``[::1]`` or ``[::1]:8080``); a bare host means its scheme's
    default port. ``allow_private`` is for a sandbox: the listed hosts may be loopback or private, plain http is
    allowed, and a bare host means any port. Link-local and metadata addresses stay forbidden.
    """

    hosts: Sequence[str]
    allow_private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL that may be fetched, in parts. ``host`` is in lower case; an IPv6 address has no brackets."""

    scheme: str
    host: str
    port: int
    path_and_query: str

    @property
    def authority(self) -> str:
        """What a ``Host`` header says: the port only when it is not the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole URL again."""
        return f"{self.scheme}://{self.authority}{self.path_and_query}"


def check_url(url: str, policy: Policy) -> Target:
    """The parts of a URL that may be fetched. Raises MediaRefused with a sentence that names no more than the host."""
    _check_characters(url)
    match = _URL.fullmatch(url)
    if match is None:
        _refuse("it is not an https URL")
    scheme = match["scheme"].lower()
    if scheme not in DEFAULT_PORTS or (scheme == "http" and not policy.allow_private):
        _refuse("it is not an https URL")
    if "@" in match["authority"]:
        _refuse("it holds a user name")
    parts = split_host(match["authority"])
    if parts is None:
        _refuse("its host is not written in the usual form")
    host, port = parts[0], parts[1] or DEFAULT_PORTS[scheme]
    if not _is_listed(host, port, scheme, policy):
        _refuse(f"{host}:{port} is not one of the hosts in MEDIA_HOSTS")
    if literal_address(host) is not None:
        check_address(host, policy)
    rest = match["rest"]
    return Target(scheme=scheme, host=host, port=port, path_and_query=rest if rest.startswith("/") else f"/{rest}")


def check_redirect(location: str, came_from: Target, policy: Policy) -> Target:
    """Where a ``Location`` header leads, judged from scratch. Raises MediaRefused."""
    _check_characters(location)
    if location.startswith("//"):
        return check_url(f"{came_from.scheme}:{location}", policy)
    if ":" in re.split("[/?]", location, maxsplit=1)[0]:  # it names a scheme, so it is not relative
        return check_url(location, policy)
    return check_url(urljoin(came_from.url, location), policy)


def check_address(ip: str, policy: Policy) -> None:
    """Raises MediaRefused unless this address, as a resolver or a URL gives it, may be connected to."""
    address = literal_address(ip)
    if address is None:  # also an IPv6 zone: fe80::1%eth0
        _refuse("its address is not written in the usual form")
    real = _unwrapped(address)
    allowed = _is_public(real) or (policy.allow_private and _is_in(real, _LOCAL))
    if not allowed or _is_in(real, _METADATA):
        _refuse(f"its address {address} is not a public one")


def literal_address(host: str) -> _Address | None:
    """The address that a host is, or None for a name and for an address with a zone."""
    try:
        return None if "%" in host else ip_address(host)
    except ValueError:
        return None


def split_host(text: str) -> tuple[str, int | None] | None:
    """``host`` or ``host:port`` in parts, in lower case, an IPv6 address without its brackets. None for anything odd.

    Odd are user names, zones, percent signs, letters beyond ASCII (an international name is written as ``xn--…``),
    empty labels and a dot at the end, ports with zeros before them or above 65535, and numbers that are no dotted
    IPv4 address (``2130706433``, ``0x7f.1``, ``0177.0.0.1``, ``127.1``).
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    host, port = match["host"].lower(), int(match["port"] or 0)
    if port > 65535 or not _is_plain(host):
        return None
    return host.strip("[]"), port or None


def _check_characters(url: str) -> None:
    if len(url) > MAX_URL_LENGTH:
        _refuse(f"it is longer than {MAX_URL_LENGTH} characters")
    if not _VISIBLE_ASCII.fullmatch(url) or "\\" in url or "#" in url:
        _refuse("it is empty or holds spaces, control characters, letters beyond ASCII, a backslash or a fragment")


def _is_plain(host: str) -> bool:
    if host.startswith("["):
        return isinstance(literal_address(host.strip("[]")), IPv6Address)
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return literal_address(host) is not None
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def _is_listed(host: str, port: int, scheme: str, policy: Policy) -> bool:
    ports = [listed[1] for entry in policy.hosts if (listed := split_host(entry)) and listed[0] == host]
    bare_is_enough = policy.allow_private or port == DEFAULT_PORTS[scheme]
    return port in ports or (bare_is_enough and None in ports)


def _unwrapped(address: _Address) -> _Address:
    """The IPv4 address that packets to an IPv4-mapped or NAT64 address really go to; any other address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def _is_public(address: _Address) -> bool:
    return _is_in(address, _GLOBAL_UNICAST) and not _is_in(address, _NOT_PUBLIC) and address.is_global


def _is_in(address: _Address, networks: Sequence[_Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _refuse(reason: str) -> NoReturn:
    raise MediaRefused(f"The video's URL may not be fetched: {reason}.")
