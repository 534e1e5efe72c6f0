"""Which URLs and addresses a webhook may have: nothing that only this server can reach, however it is written."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.jobs.addresses import address_of, is_outside
from expeditor.jobs.webhook_rules import BadUrl, WebhookRules, parse_url

PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 169.254.169.254 172.16.0.1 172.31.255.255
192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::8.8.8.8 64:ff9b:1::1 100::1
2001::1 2001:0:7f00:1:: 2001:db8::1 2002:7f00:1:: 2002:a00:1::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%1 fec0::1 ff02::1
""".split()
PUBLIC = "1.1.1.1 8.8.8.8 93.184.216.34 100.128.0.1 172.32.0.1 192.169.0.1 2606:4700:4700::1111 2a00:1450::1 ::ffff:8.8.8.8".split()


@pytest.mark.parametrize("text", PRIVATE)
def test_addresses_that_lead_inwards(text):
    assert not is_outside(address_of(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_addresses_of_the_public_internet(text):
    assert is_outside(address_of(text))


@given(st.ip_addresses(v=4))
def test_ipv4_in_ipv6_is_the_same_address(address):
    assert is_outside(address_of(f"::ffff:{address}")) == is_outside(address)


@given(st.ip_addresses())
def test_nothing_passes_that_python_knows_to_be_private(address):
    if not address.is_global or address.is_multicast:
        assert not is_outside(address_of(str(address)))


def test_an_allowed_network_may_be_called_at_any_port():
    rules = WebhookRules(networks=(ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8")))
    inner, other = parse_url("https://inner.test:9999/"), address_of("10.2.0.1")
    assert rules.refusal_of_address(inner, address_of("10.1.2.3")) is None
    assert rules.refusal_of_address(inner, address_of("::ffff:10.1.2.3")) is None
    assert rules.refusal_of_address(inner, address_of("fd00::1")) is None
    assert "public internet" in rules.refusal_of_address(inner, other)
    assert "port 9999" in rules.refusal_of_address(inner, address_of("8.8.8.8"))


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://Example.COM/a?b=c", "example.com", 443),
        ("http://example.com.:8080", "example.com", 8080),
        ("https://[2606:4700::1]:8443/", "2606:4700::1", 8443),
        ("https://8.8.8.8/", "8.8.8.8", 443),
    ],
)
def test_the_parts_of_a_url(url, host, port):
    parsed = parse_url(url)
    assert (parsed.host, parsed.port) == (host, port)


@pytest.mark.parametrize(
    "url",
    [
        "example.com", "//example.com/", "https://", "https://:443/", "ftp://a/", "file:///etc/passwd", "gopher://a/", "https://a b/",
        "https://a/\n", "https://a\\@b/", "https://a@b/", "https://a:b@c/", "https://@a/", "https://a/#x", "https://a/#", "https://a:x/",
        "https://a:70000/", "https://a:0/", "https://[::1/", "https://exämple.com/", "https://a\x00/", "https://-a/", "https://a%2eb/",
        "https://[fe80::1%25eth0]x/", " https://a/", "HTTPS//a/", "https://" + "a" * 2_048, 5, None, b"https://a/",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_webhook(url):
    with pytest.raises(BadUrl) as fault:
        parse_url(url)
    assert not isinstance(url, str) or len(url) < 5 or url not in str(fault.value)


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "https://[::1]/", "https://localhost/", "https://169.254.169.254/latest/"]
)
def test_what_is_inward_by_its_text_is_told_at_once(url):
    assert "public internet" in WebhookRules().refusal_of_url(parse_url(url))


def test_only_hosts_that_the_operator_names():
    rules = WebhookRules(hosts=("*.Example.com", "one.test"))
    assert rules.refusal_of_url(parse_url("https://a.example.com/")) is None
    assert rules.refusal_of_url(parse_url("https://ONE.test/")) is None
    for url in ("https://example.com.evil.test/", "https://example.com/", "https://two.test/"):
        assert "webhook_hosts" in rules.refusal_of_url(parse_url(url))


def test_http_is_off_unless_allowed():
    url = parse_url("http://example.com/")
    assert "https" in WebhookRules().refusal_of_url(url)
    assert WebhookRules(allow_http=True).refusal_of_url(url) is None
