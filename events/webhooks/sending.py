"""One try of one delivery over HTTP: look the host up, judge every address, connect to exactly what was judged, and read the status.

The host's name is looked up once per try, all its addresses must be allowed, and the request goes to one of them by number: a name
that changes its mind between the look and the call (DNS rebinding) changes nothing. No redirects, no proxies, no cookies; the answer's
body is not read. Does not own what follows (``retrying``) nor which addresses are allowed (``jobs.webhook_rules``).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp

from ...jobs.addresses import Address, address_of
from ...jobs.webhook_rules import BadUrl, WebhookRules, WebhookUrl, parse_url
from .retrying import Answer, retry_after_of

CONNECT_TIMEOUT_S = 5.0
LOOKUP_TIMEOUT_S = 5.0
LOOKUP_THREADS = 16
ADDRESSES_TRIED = 3
_NOBODY_WORKS_THERE = frozenset({502, 503, 504})


class Resolver(Protocol):
    """Looks host names up."""

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """All addresses of ``host``, in the order to try them. ``OSError`` when there is none."""
        ...


class SystemResolver:
    """The system's own look-up, on threads of its own: one that hangs must not hold up ComfyUI's."""

    def __init__(self) -> None:
        """Starts no thread yet."""
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, "expeditor-webhook-lookup")

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """See ``Resolver``."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port)
        return tuple(dict.fromkeys(found))


def _look_up(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host} is no host name") from error
    return [str(each[4][0]) for each in found]


class Sender:
    """See the module's docstring. Used on one event loop; makes its session at the first try."""

    def __init__(
        self,
        rules: WebhookRules,
        resolver: Resolver,
        *,
        timeout_s: float,
        user_agent: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``timeout_s`` bounds a whole try; ``tls`` None: the system's certificates."""
        self._rules = rules
        self._resolver = resolver
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json", "User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._tls: ssl.SSLContext | bool = True if tls is None else tls
        self._session: aiohttp.ClientSession | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Try once; never raises but for a cancellation."""
        try:
            return await asyncio.wait_for(self._send(url, headers, body), self._timeout_s)
        except asyncio.TimeoutError:
            return Answer(error=f"No answer within {self._timeout_s:g} s.", reachable=False)
        except BadUrl as fault:
            return Answer(error=str(fault))
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            return Answer(error=_told(fault), reachable=False)

    async def close(self) -> None:
        """Let go of the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        wanted = parse_url(url)
        refusal = self._rules.refusal_of_url(wanted)
        if refusal is not None:
            return Answer(error=refusal)
        addresses = await self._addresses(wanted)
        if isinstance(addresses, Answer):
            return addresses
        fault: Exception | None = None
        for address in addresses[:ADDRESSES_TRIED]:
            try:
                return await self._post(wanted, address, headers, body)
            except aiohttp.ClientConnectorError as error:
                fault = error
        return Answer(error=_told(fault), reachable=False)

    async def _addresses(self, wanted: WebhookUrl) -> Sequence[Address] | Answer:
        """Where the host leads, all of it judged; or why it cannot be called."""
        try:
            found = await asyncio.wait_for(self._resolver.addresses(wanted.host, wanted.port), LOOKUP_TIMEOUT_S)
        except (OSError, asyncio.TimeoutError):
            return Answer(error="The host's name could not be looked up.", reachable=False)
        addresses: list[Address] = []
        for text in found:
            address = address_of(text)
            if address is None:
                return Answer(error="The host's name leads to something that is no address.")
            refusal = self._rules.refusal_of_address(wanted, address)
            if refusal is not None:
                return Answer(error=refusal)
            addresses.append(address)
        return addresses or Answer(error="The host has no address.", reachable=False)

    async def _post(self, wanted: WebhookUrl, address: Address, headers: Mapping[str, str], body: bytes) -> Answer:
        # The URL has the address in place of the name, so nothing is looked up again; the name goes into Host and TLS.
        parts = urlsplit(wanted.text)
        number = f"[{address}]" if address.version == 6 else str(address)
        there = parts._replace(netloc=f"{number}:{wanted.port}").geturl()
        async with self._open_session().post(
            there,
            data=body,
            headers={**self._headers, **headers, "Host": parts.netloc},
            allow_redirects=False,
            ssl=self._tls,
            server_hostname=wanted.host if wanted.scheme == "https" else None,
        ) as response:
            answer = _answer(response)
            response.close()  # whatever else it would send
            return answer

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_TIMEOUT_S),
                trust_env=False,
                auto_decompress=False,
            )
        return self._session


def _answer(response: aiohttp.ClientResponse) -> Answer:
    code = response.status
    if 200 <= code < 300:
        return Answer(code)
    reason = "Redirects are not followed" if 300 <= code < 400 else "The target did not take the message"
    return Answer(
        code,
        f"{reason} (HTTP {code}).",
        retry_after_of(response.headers.get("Retry-After")),
        reachable=code not in _NOBODY_WORKS_THERE,
    )


def _told(fault: Exception | None) -> str:
    """In words, without the URL and the address."""
    if isinstance(fault, aiohttp.ClientConnectorCertificateError):
        return "The target's certificate is not valid for its name."
    if isinstance(fault, aiohttp.ClientSSLError):
        return "No TLS connection could be made."
    if isinstance(fault, aiohttp.ClientConnectorError):
        return f"No connection: {fault.os_error.strerror or type(fault.os_error).__name__}."
    return f"The connection failed ({type(fault).__name__})."
