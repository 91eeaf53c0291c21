from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from grokvideo_django.exceptions import MediaRefused
from grokvideo_django.media.addresses import Policy, Target, check_address, check_redirect, check_url, split_host

HOSTS = ["media.example", "files.example:8443", "93.184.216.34", "[2606:4700::1111]", "xn--mnchen-3ya.example"]
PUBLIC = Policy(hosts=HOSTS)
SANDBOX = Policy(
    hosts=["localhost", "127.0.0.1", "[::1]", "10.1.2.3:9000", "sandbox", "169.254.169.254", "0.0.0.0", "[fe80::1]"],
    allow_private=True,
)


@pytest.mark.parametrize(
    ("url", "host", "port", "path_and_query"),
    [
        ("https://media.example/a/b.mp4", "media.example", 443, "/a/b.mp4"),
        ("https://media.example:443/a.mp4", "media.example", 443, "/a.mp4"),
        ("HTTPS://MEDIA.Example/A.mp4", "media.example", 443, "/A.mp4"),
        ("https://media.example", "media.example", 443, "/"),
        ("https://media.example?sig=a%2Fb&x=1", "media.example", 443, "/?sig=a%2Fb&x=1"),
        ("https://media.example/a?next=https://evil.example/@", "media.example", 443, "/a?next=https://evil.example/@"),
        ("https://files.example:8443/a", "files.example", 8443, "/a"),
        ("https://93.184.216.34/a", "93.184.216.34", 443, "/a"),
        ("https://[2606:4700::1111]/a", "2606:4700::1111", 443, "/a"),
        ("https://xn--mnchen-3ya.example/a", "xn--mnchen-3ya.example", 443, "/a"),
    ],
)
def test_listed_public_urls_are_taken_apart(url, host, port, path_and_query):
    target = check_url(url, PUBLIC)
    assert target == Target(scheme="https", host=host, port=port, path_and_query=path_and_query)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/a",
        "http://localhost:38271/a",
        "http://127.0.0.1:38271/a",
        "http://[::1]:38271/a",
        "https://127.0.0.1:38271/a",
        "http://10.1.2.3:9000/a",
        "http://sandbox:80/a",
    ],
)
def test_a_sandbox_may_be_private_plain_and_on_any_port(url):
    assert check_url(url, SANDBOX).url.replace("sandbox/", "sandbox:80/") == url
    with pytest.raises(MediaRefused):
        check_url(url, Policy(hosts=SANDBOX.hosts))


@pytest.mark.parametrize(
    "url",
    [
        # Other schemes and none
        "http://media.example/a",
        "ftp://media.example/a",
        "file:///etc/passwd",
        "file://media.example/etc/passwd",
        "gopher://media.example/a",
        "data:video/mp4;base64,AAAA",
        "javascript:alert(1)",
        "//media.example/a",
        "media.example/a",
        "https:media.example/a",
        "https:/media.example/a",
        "https:///media.example/a",
        "https://",
        "",
        # Other hosts and ports
        "https://evil.example/a",
        "https://media.example.evil.example/a",
        "https://evil-media.example/a",
        "https://media.example:8443/a",
        "https://media.example:80/a",
        "https://files.example/a",
        "https://files.example:8444/a",
        "https://sub.media.example/a",
        "https://93.184.216.35/a",
        # User names
        "https://user@media.example/a",
        "https://user:password@media.example/a",
        "https://media.example@evil.example/a",
        "https://@media.example/a",
        "https://media.example:443@evil.example/a",
        # Characters on which parsers disagree
        "https://evil.example\\@media.example/a",
        "https://media.example\\.evil.example/a",
        "https:\\\\media.example\\a",
        "https://evil.example#@media.example/a",
        "https://media.example/a#t=1",
        "https://media.example/a b",
        " https://media.example/a",
        "https://media.example/a\n",
        "https://media.example/\r\nHost: evil.example",
        "https://media\t.example/a",
        "https://media.example\x00.evil.example/a",
        "https://media.example/\x7f",
        "https://m\u00fcnchen.example/a",
        "https://media\u3002example/a",
        "https://\uff4dedia.example/a",
        "https://media.example/\u00e4",
        "https://media%2eexample/a",
        "https://media.example%00/a",
        # Dots, labels and ports in odd forms
        "https://media.example./a",
        "https://media..example/a",
        "https://.media.example/a",
        "https://-media.example/a",
        "https://media-.example/a",
        "https://media.example:/a",
        "https://media.example:0/a",
        "https://media.example:0443/a",
        "https://media.example:+443/a",
        "https://media.example:443:443/a",
        "https://media.example:65979/a",  # 443 + 65536
        "https://media.example:99999/a",
        "https://" + "a" * 64 + ".example/a",
        "https://" + "a." * 130 + "example/a",
        "https://media.example/" + "a" * 4096,
    ],
)
def test_other_urls_are_refused(url):
    with pytest.raises(MediaRefused, match=r"^The video's URL may not be fetched: .*\.$"):
        check_url(url, PUBLIC)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",  # decimal
        "017700000001",  # octal
        "0x7f000001",  # hexadecimal
        "0x7f.1",
        "0x7f.0.0.0x1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "127.0.0.256",
        "0x",
        "media.0x7f",
        "[127.0.0.1]",
        "[::1",
        "::1",
        "[::1]]",
        "[::1%lo]",
        "[::1%25lo]",
        "[fe80::1%25eth0]",
        "[:::1]",
        "[1::2::3]",
        "[12345::]",
        "[v1.fe80]",
        "[]",
    ],
)
def test_odd_hosts_are_refused_even_when_listed(host):
    with pytest.raises(MediaRefused, match="usual form"):
        check_url(f"http://{host}/a", Policy(hosts=[host, "media.example"], allow_private=True))


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://0.0.0.0/a", "http://[fe80::1]/a"])
def test_listing_does_not_open_link_local_addresses(url):
    with pytest.raises(MediaRefused, match="not a public one"):
        check_url(url, SANDBOX)


def nat64(ip: str, prefix: str = "64:ff9b::") -> str:
    high, low = divmod(int.from_bytes(bytes(map(int, ip.split(".")))), 65_536)
    return str(IPv6Address(f"{prefix}{high:x}:{low:x}"))


def six_to_four(ip: str) -> str:
    high, low = divmod(int.from_bytes(bytes(map(int, ip.split(".")))), 65_536)
    return f"2002:{high:x}:{low:x}::1"


def teredo(server: str, client: str) -> str:
    mask = 0xFFFF_FFFF ^ int.from_bytes(bytes(map(int, client.split("."))))
    number = (0x2001_0000 << 96) | (int.from_bytes(bytes(map(int, server.split(".")))) << 64) | mask
    return str(IPv6Address(number))


LOCAL = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.254",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:10.0.0.1",
    "::ffff:192.168.1.1",
    nat64("127.0.0.1"),
    nat64("10.0.0.1"),
    nat64("192.168.1.1"),
]
NEVER = [
    # Link-local, and where clouds keep their credentials
    "169.254.169.254",
    "169.254.0.1",
    "169.254.170.2",
    "fe80::1",
    "fe80::1%eth0",
    "fe80::a9fe:a9fe",
    "febf::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    # The same, wrapped
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "0:0:0:0:0:ffff:a9fe:a9fe",
    "::ffff:100.100.100.200",
    "::ffff:192.0.0.192",
    "::ffff:168.63.129.16",
    "::ffff:0.0.0.0",
    "::ffff:255.255.255.255",
    "::ffff:0:a9fe:a9fe",  # translated, RFC 2765
    "::169.254.169.254",
    "::a9fe:a9fe",
    "::127.0.0.1",
    "::8.8.8.8",
    nat64("169.254.169.254"),
    nat64("100.100.100.200"),
    nat64("192.0.0.192"),
    nat64("224.0.0.1"),
    nat64("0.0.0.0"),
    nat64("169.254.169.254", "64:ff9b:1::"),
    nat64("127.0.0.1", "64:ff9b:1::"),
    nat64("8.8.8.8", "64:ff9b:1::"),
    "64:ff9b:1:a9fe:a9:fe00::",  # embedded in the middle, RFC 6052
    six_to_four("169.254.169.254"),
    six_to_four("127.0.0.1"),
    six_to_four("10.0.0.1"),
    six_to_four("8.8.8.8"),
    teredo("8.8.8.8", "169.254.169.254"),
    teredo("8.8.8.8", "127.0.0.1"),
    teredo("127.0.0.1", "8.8.8.8"),
    # Unspecified, multicast, broadcast, reserved, documentation, benchmarking, other special purposes
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "239.255.255.250",
    "ff02::1",
    "ff0e::1",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "2001:db8::1",
    "3fff::1",
    "2001:2::1",
    "2001:10::1",
    "100::1",
    "fec0::1",
    "5f00::1",
    "4000::1",
    # Not an address in the usual form
    "",
    "media.example",
    "127.1",
    "0x7f000001",
    "2130706433",
    "0177.0.0.1",
    "[::1]",
    "::1%lo",
    "127.0.0.1:80",
    "127.0.0.1 ",
]


@pytest.mark.parametrize("ip", LOCAL + NEVER)
def test_addresses_that_are_not_public_are_refused(ip):
    with pytest.raises(MediaRefused):
        check_address(ip, PUBLIC)


@pytest.mark.parametrize("ip", NEVER)
def test_some_addresses_are_refused_in_a_sandbox_too(ip):
    with pytest.raises(MediaRefused):
        check_address(ip, SANDBOX)


@pytest.mark.parametrize("ip", LOCAL)
def test_a_sandbox_may_be_local(ip):
    check_address(ip, SANDBOX)


@pytest.mark.parametrize("policy", [PUBLIC, SANDBOX])
@pytest.mark.parametrize(
    "ip",
    [
        "8.8.8.8",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "169.253.255.255",
        "198.20.0.1",
        "223.255.255.254",
        "2606:4700::1111",
        "2a00:1450:4001::200e",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
        nat64("8.8.8.8"),
    ],
)
def test_public_addresses_are_allowed(ip, policy):
    check_address(ip, policy)


HERE = Target(scheme="https", host="media.example", port=443, path_and_query="/a/b.mp4?sig=1")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://files.example:8443/c", "https://files.example:8443/c"),
        ("/c?d", "https://media.example/c?d"),
        ("c.mp4", "https://media.example/a/c.mp4"),
        ("//media.example/c", "https://media.example/c"),
        ("?x=1", "https://media.example/a/b.mp4?x=1"),
    ],
)
def test_redirects_to_listed_hosts_are_followed(location, url):
    assert check_redirect(location, HERE, PUBLIC).url == url


@pytest.mark.parametrize(
    "location",
    [
        "",
        "http://media.example/c",
        "https://evil.example/c",
        "//evil.example/c",
        "///evil.example/c",
        "https:evil.example/c",
        "https:/evil.example/c",
        "javascript:alert(1)",
        "/\\evil.example/c",
        "\\\\evil.example/c",
        "https://media.example:8080/c",
        "https://169.254.169.254/",
        "https://[::ffff:a9fe:a9fe]/",
        "//[",
        "//[::1%25lo]/",
        "\thttps://media.example/c",
        "ht\ntps://media.example/c",
        "https://user@media.example/c",
        "file:///etc/passwd",
        "/c#d",
    ],
)
def test_other_redirects_are_refused(location):
    with pytest.raises(MediaRefused):
        check_redirect(location, HERE, PUBLIC)


@pytest.mark.parametrize(
    ("target", "authority"),
    [
        (Target(scheme="https", host="media.example", port=443, path_and_query="/"), "media.example"),
        (Target(scheme="https", host="media.example", port=80, path_and_query="/"), "media.example:80"),
        (Target(scheme="http", host="::1", port=80, path_and_query="/"), "[::1]"),
        (Target(scheme="http", host="::1", port=8080, path_and_query="/"), "[::1]:8080"),
    ],
)
def test_authority_is_what_a_host_header_says(target, authority):
    assert target.authority == authority


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("media.example", ("media.example", None)),
        ("Media.Example:8080", ("media.example", 8080)),
        ("[::1]", ("::1", None)),
        ("[::1]:8080", ("::1", 8080)),
        ("grok_sandbox", ("grok_sandbox", None)),
        ("https://media.example", None),
        ("media.example/", None),
        ("*.example", None),
        ("\u212aelvin.example", None),  # the Kelvin sign is a K to a careless regular expression
        ("", None),
    ],
)
def test_hosts_of_the_settings_are_read_strictly(text, parts):
    assert split_host(text) == parts


def test_a_string_in_place_of_a_list_opens_nothing():
    with pytest.raises(MediaRefused):
        check_url("https://media.example/a", Policy(hosts="media.example"))
