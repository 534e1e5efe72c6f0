"""The address of a shared store: every form, every fault in words, and no secret in what is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.store.bullmq.address import Address, AddressError, Login, Tls, parse, redacted

FORMS = [
    ("redis://cache", Address("redis", (("cache", 6379),))),
    ("redis://cache:7000/3", Address("redis", (("cache", 7000),), database=3)),
    ("redis://cache/?db=4", Address("redis", (("cache", 6379),), database=4)),
    ("redis://[::1]:7000/0", Address("redis", (("::1", 7000),))),
    ("redis://:p%40%2Fw@cache", Address("redis", (("cache", 6379),), login=Login(None, "p@/w"))),
    ("redis://ada:a@b:c@cache", Address("redis", (("cache", 6379),), login=Login("ada", "a@b:c"))),
    ("rediss://cache", Address("rediss", (("cache", 6379),), tls=Tls())),
    (
        "rediss://cache?ssl_ca_certs=/ca&ssl_certfile=/c&ssl_keyfile=/k&ssl_password=kp&ssl_check_hostname=False",
        Address("rediss", (("cache", 6379),), tls=Tls("/ca", "/c", "/k", "kp", check_hostname=False)),
    ),
    ("unix:///run/r.sock?db=2", Address("unix", socket_path="/run/r.sock", database=2)),
    ("unix://:pw@/run/r.sock", Address("unix", socket_path="/run/r.sock", login=Login(None, "pw"))),
    (
        "redis+sentinel://:pw@h1,h2:5000/mymaster/1?sentinel_username=su&sentinel_password=sp",
        Address(
            "redis+sentinel",
            (("h1", 26379), ("h2", 5000)),
            master="mymaster",
            database=1,
            login=Login(None, "pw"),
            sentinel_login=Login("su", "sp"),
        ),
    ),
    ("rediss+sentinel://h1/m", Address("rediss+sentinel", (("h1", 26379),), master="m", tls=Tls())),
]


@pytest.mark.parametrize(("text", "address"), FORMS)
def test_every_form_is_read(text: str, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://cache", "must begin with one of redis://"),
        ("cache:6379", "must begin with one of"),
        ("redis://", "a host is missing"),
        ("redis://:6379", "is no host and port"),
        ("redis://cache:port", "a number from 1 to 65535"),
        ("redis://cache:70000", "a number from 1 to 65535"),
        ("redis://cache:0", "is no host and port"),
        ("redis://cache/one", "the database must be a whole number from 0 on, not 'one'"),
        ("redis://cache/-1", "not '-1'"),
        ("redis://cache/0/more", "number of a database and nothing else"),
        ("redis://cache/0?db=1", "stands in it twice"),
        ("redis://a,b/0", "several hosts need sentinels"),
        ("redis://secret@cache", "a password stands after a colon"),
        ("redis://:secret/x@cache", "must be written as %2F"),
        ("redis://:secret?x@cache", "write %3F"),
        ("redis://:secret#x@cache", "write it as %23"),
        ("redis://cache?timeout=3", "'timeout' is not known; with redis:// these are: db"),
        ("redis://cache?ssl_ca_certs=/ca", "(for rediss://)"),
        ("rediss://cache?ssl_certfile=/c", "come together"),
        ("rediss://cache?ssl_check_hostname=maybe", "must be true or false"),
        ("rediss://cache?ssl_ca_certs=", "ssl_ca_certs is empty"),
        ("rediss://cache?ssl_ca_certs=/a&ssl_ca_certs=/b", "stands in it twice"),
        ("unix://run/r.sock", "the absolute path of a socket"),
        ("redis+sentinel://h1", "the master's name"),
        ("redis+sentinel://h1/m/0/x", "the master's name"),
        ("redis+sentinel://h1,,h2/m", "a host is missing"),
    ],
)
def test_a_fault_is_told_and_no_secret(text: str, words: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "secret" not in redacted(text)


def test_what_is_shown_names_the_place_alone() -> None:
    assert redacted("redis://ada:pw@cache:1/2") == "redis://***@cache:1/2"
    assert redacted("rediss://[::1]:1/2?ssl_password=pw") == "rediss://[::1]:1/2"
    assert redacted("unix://:pw@/run/r.sock?db=2") == "unix://***@/run/r.sock?db=2"
    assert redacted("redis+sentinel://:pw@h1,h2:5/m?sentinel_password=pw") == "redis+sentinel://***@h1:26379,h2:5/m/0"
    assert redacted("redis://:pw@h1:x") == "redis://***@h1:x"
    assert redacted("sqlite") == "sqlite"


@given(
    st.sampled_from(["redis", "rediss", "unix", "redis+sentinel", "http"]),
    st.text(alphabet="ab:/?#@%&=,[]", max_size=12),
    st.sampled_from(["cache", "cache:1/0", "/run/x", "h/m/0", ""]),
)
def test_no_secret_is_ever_shown(scheme: str, noise: str, place: str) -> None:
    text = f"{scheme}://{noise}:HUSH{noise}HUSH@{place}"
    assert "HUSH" not in redacted(text)
    assert "HUSH" not in told(text)


def told(text: str) -> str:
    """All that anybody may say of an address."""
    try:
        read = parse(text)
    except AddressError as error:
        return str(error)
    return f"{read} {read!r}"
