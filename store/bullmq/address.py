"""The address of a shared Redis or Valkey, as the setting ``store`` gives it: read, checked, and told without its secrets.

Pure. Does not own how a connection is made (``connections``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote, urlsplit

DEFAULT_PORT = 6379
DEFAULT_SENTINEL_PORT = 26379
DATABASE_MAX = 16_383

_TLS_WORDS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_check_hostname")
_SENTINEL_WORDS = ("sentinel_username", "sentinel_password")
_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
_HIDDEN = "***"


class AddressError(ValueError):
    """What is wrong with an address, in words that repeat no secret."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Whose certificates are believed (None: those the system believes), and what is shown of ours. Paths of files in PEM."""

    authority: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: str | None = field(default=None, repr=False)
    check_hostname: bool = True


@dataclass(frozen=True, slots=True)
class Login:
    """Who we say we are; nobody, when both are None."""

    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the shared store is. ``hosts`` are the servers' (one, or all sentinels); empty with a ``socket_path``.

    ``master``: the name that the sentinels know the server by; None without sentinels.
    """

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    socket_path: str | None = None
    master: str | None = None
    database: int = 0
    login: Login = Login()
    sentinel_login: Login = Login()
    tls: Tls | None = None

    def __str__(self) -> str:
        """The address as it may be shown: user, password and keys hidden."""
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        login = f"{_HIDDEN}@" if self.login != Login() else ""
        if self.socket_path is not None:
            return f"{self.scheme}://{login}{self.socket_path}?db={self.database}"
        name = f"/{self.master}" if self.master else ""
        return f"{self.scheme}://{login}{hosts}{name}/{self.database}"


def parse(text: str) -> Address:
    """Read an address. ``AddressError`` says which part is wrong."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise AddressError(f"it must begin with one of {', '.join(f'{one}://' for one in _SCHEMES)}")
    if "#" in rest:
        raise AddressError("a # cannot stand in an address; write it as %23 where it is part of a password")
    before, _, query = rest.partition("?")
    if "@" in query:
        raise AddressError("an @ cannot stand after a ?; in a password write %3F for a ? and %40 for an @")
    credentials, _, place = before.rpartition("@")
    if "/" in credentials:
        raise AddressError("a / in the user or password must be written as %2F")
    words = _words(query, scheme)
    read = Address(
        scheme=scheme,
        login=_login(credentials),
        sentinel_login=Login(words.get("sentinel_username"), words.get("sentinel_password")),
        tls=_tls(words) if scheme.startswith("rediss") else None,
    )
    if scheme == "unix":
        return _of_socket(read, place, words)
    hosts, *path = place.split("/")
    path = path[:-1] if path and path[-1] == "" else path
    return (_of_sentinels if scheme.endswith("+sentinel") else _of_server)(read, hosts, path, words)


def redacted(text: str) -> str:
    """Any text that was given as an address, fit to be shown: whatever may be a secret is hidden, also where it cannot be read."""
    try:
        return str(parse(text))
    except AddressError:
        scheme, separator, rest = text.partition("://") if "://" in text else ("", "", text)
        login = f"{_HIDDEN}@" if "@" in rest else ""
        return f"{scheme}{separator}{login}{rest.rpartition('@')[2].partition('?')[0]}"


def _of_socket(read: Address, place: str, words: Mapping[str, str]) -> Address:
    if not place.startswith("/"):
        raise AddressError("after unix:// comes the absolute path of a socket, as in unix:///run/redis/redis.sock?db=0")
    return replace(read, socket_path=unquote(place), database=_database(words.get("db", "")))


def _of_server(read: Address, hosts: str, path: list[str], words: Mapping[str, str]) -> Address:
    if len(path) > 1:
        raise AddressError(f"after the host comes the number of a database and nothing else, not {'/'.join(path)!r}")
    found = _hosts(hosts, DEFAULT_PORT)
    if len(found) > 1:
        raise AddressError("several hosts need sentinels: redis+sentinel://host1:26379,host2:26379/mymaster/0")
    return replace(read, hosts=found, database=_database(_one(path, words)))


def _of_sentinels(read: Address, hosts: str, path: list[str], words: Mapping[str, str]) -> Address:
    if not path or len(path) > 2:
        raise AddressError("after the sentinels come the master's name and the number of a database, as in /mymaster/0")
    found = _hosts(hosts, DEFAULT_SENTINEL_PORT)
    return replace(read, hosts=found, master=unquote(path[0]), database=_database(_one(path[1:], words)))


def _one(path: list[str], words: Mapping[str, str]) -> str:
    if path and "db" in words:
        raise AddressError("the database stands in it twice: in the path and as db=")
    return path[0] if path else words.get("db", "")


def _database(text: str) -> int:
    if text == "":
        return 0
    if not (text.isascii() and text.isdigit()) or int(text) > DATABASE_MAX:
        raise AddressError(f"the database must be a whole number from 0 on, not {text!r}")
    return int(text)


def _hosts(text: str, default_port: int) -> tuple[tuple[str, int], ...]:
    return tuple(_host(part, default_port) for part in text.split(","))


def _host(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise AddressError(f"{text!r} is no host and port; the port is a number from 1 to 65535") from None
    if not host or port == 0 or parts.path or (text.endswith(":") and port is None):
        raise AddressError("a host is missing" if not text else f"{text!r} is no host and port")
    return host, port or default_port


def _login(text: str) -> Login:
    username, colon, password = text.partition(":")
    if text and not colon:
        raise AddressError("a password stands after a colon, also without a user: redis://:password@host")
    return Login(unquote(username) or None, unquote(password) or None)


def _words(query: str, scheme: str) -> dict[str, str]:
    known = ["db"]
    known += _TLS_WORDS if scheme.startswith("rediss") else ()
    known += _SENTINEL_WORDS if scheme.endswith("+sentinel") else ()
    words: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in words:
            raise AddressError(f"{name} stands in it twice")
        if name not in known:
            where = " (for rediss://)" if name in _TLS_WORDS else ""
            raise AddressError(f"{name!r} is not known{where}; with {scheme}:// these are: {', '.join(known)}")
        if value == "":
            raise AddressError(f"{name} is empty")
        words[name] = value
    return words


def _tls(words: Mapping[str, str]) -> Tls:
    check = words.get("ssl_check_hostname", "true").lower()
    if check not in ("true", "false"):
        raise AddressError("ssl_check_hostname must be true or false")
    if ("ssl_keyfile" in words) != ("ssl_certfile" in words):
        raise AddressError("ssl_certfile and ssl_keyfile come together")
    return Tls(
        authority=words.get("ssl_ca_certs"),
        certificate=words.get("ssl_certfile"),
        key=words.get("ssl_keyfile"),
        key_password=words.get("ssl_password"),
        check_hostname=check == "true",
    )
