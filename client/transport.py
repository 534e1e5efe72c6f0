"""One HTTP request to the server, with the first two levels of retry: lost connections, and refusals that say when to come back.

The third level is the caller's: a request that is repeated is the same request, with the same key, also in another process.
Owns the connection pool and the waiting. Never repeats after another 4xx, nor what could do harm twice (``safe=False``).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from .faults import Busy, ClientError, Fault, NotHere, Refused, Unreachable

PATIENCE_S = 120.0
LONGEST_WAIT_S = 30.0
TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_COME_BACK = frozenset({429, 503})
_GATEWAY = frozenset({502, 504})
# With these nothing has reached the server: repeating is harmless whatever the request was.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

Tell = Callable[[str], None]
T = TypeVar("T")


def silent(_: str) -> None:
    """Tell nobody."""


class Lost(Unreachable):
    """No answer this time, and the request may be repeated."""


class _Patience:
    """When to give up: a server that is away and one that is full are borne for different times, each from when it began."""

    def __init__(self, away_s: float | None, busy_s: float | None) -> None:
        self._limits = {Lost: away_s, Busy: busy_s}
        self._kind: type[ClientError] | None = None
        self._since_s = 0.0

    def __call__(self, state: RetryCallState) -> bool:
        kind: type[ClientError] = Busy if isinstance(_fault(state), Busy) else Lost
        now_s = time.monotonic()
        if kind is not self._kind:
            self._kind, self._since_s = kind, now_s
        limit = self._limits[kind]
        return limit is not None and now_s - self._since_s + state.upcoming_sleep > limit


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. ``safe``: repeating it does no harm. ``final``: statuses that are answers here and not refusals."""

    method: str
    path: str
    json: Any = None
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    data: Mapping[str, str] | None = None
    files: Any = None
    safe: bool = True
    final: frozenset[int] = frozenset()


class Transport:
    """A pool of connections to one server; usable by several threads.

    ``patience_s``: how long to go on asking a server that does not answer; ``busy_patience_s``: one that is full or not ready; None:
    for ever. ``tell`` hears one sentence before each wait.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        patience_s: float | None = PATIENCE_S,
        busy_patience_s: float | None = PATIENCE_S,
        tell: Tell = silent,
        sleep: Callable[[float], None] = time.sleep,
        stretch: Callable[[], float] = lambda: random.uniform(1.0, 1.1),  # noqa: S311 - lest all clients come back together
        connections: int = 32,
    ) -> None:
        self.url = url.rstrip("/")
        self._tell, self._sleep, self._stretch = tell, sleep, stretch
        self.patience_s, self._busy_patience_s = patience_s, busy_patience_s
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        try:
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT, limits=limits)
        except (httpx.InvalidURL, ValueError) as fault:
            raise NotHere(f"{url} is not the address of a server: {fault}") from fault

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def ask(self, request: Ask) -> httpx.Response:
        """A 2xx, or a status of ``request.final``. Raises ``Refused``, ``Busy``, ``Unreachable``."""
        return self._patiently(lambda: self._once(request))

    def fetch(self, url: str, target: Path) -> None:
        """Save what ``url`` (absolute, or a path of the server) has as ``target``: whole, or not at all."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")

        def once() -> None:
            with self.stream(url) as answer, part.open("wb") as file:
                for piece in answer.iter_bytes():
                    file.write(piece)

        try:
            self._patiently(once)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _patiently(self, once: Callable[[], T]) -> T:
        tries = Retrying(
            retry=retry_if_exception_type((Lost, Busy)),
            wait=self._wait_s,
            stop=_Patience(self.patience_s, self._busy_patience_s),
            sleep=self._sleep,
            before_sleep=self._announce,
            reraise=True,
        )
        return tries(once)

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout = TIMEOUT,
    ) -> Generator[httpx.Response]:
        """A 2xx whose body is read as it comes; tried once. Raises ``Refused``, ``Busy``, ``Unreachable``, also while it is read.

        Redirects are followed. The token goes to the server alone, wherever a path or a redirect may lead.
        """
        try:
            request = self._http.build_request("GET", path, params=params, headers=headers, timeout=timeout)
            if _origin(request.url) != _origin(self._http.base_url):
                request.headers.pop("Authorization", None)
            answer = self._http.send(request, stream=True, follow_redirects=True)
            with closing(answer):
                if not answer.is_success:
                    answer.read()
                    raise refusal(answer)
                yield answer
        except httpx.TransportError as lost:
            raise Lost(f"{self.url} cannot be reached: {_said(lost)}") from lost

    def wait(self, seconds: float) -> None:
        """Stay away for so long."""
        self._sleep(seconds)

    def _once(self, request: Ask) -> httpx.Response:
        try:
            answer = self._http.request(
                request.method,
                request.path,
                json=request.json,
                params=dict(request.params) or None,
                headers=dict(request.headers),
                data=request.data,
                files=request.files,
            )
        except httpx.TransportError as lost:
            if request.safe or isinstance(lost, _NEVER_SENT):
                raise Lost(f"{self.url} cannot be reached: {_said(lost)}") from lost
            raise Unreachable(
                f"{self.url} did not answer ({_said(lost)}); it may have done what was asked all the same"
            ) from lost
        except httpx.InvalidURL as fault:
            raise NotHere(f"{self.url} is not the address of a server: {fault}") from fault
        if answer.is_success or answer.status_code in request.final:
            return answer
        if answer.status_code in _GATEWAY and request.safe:
            raise Lost(f"{self.url}: a proxy answered {answer.status_code} {answer.reason_phrase}")
        raise refusal(answer)

    def _wait_s(self, state: RetryCallState) -> float:
        fault = _fault(state)
        told_s = fault.retry_after_s if isinstance(fault, Busy) else 0.0
        return max(told_s, min(2.0 ** (state.attempt_number - 2), LONGEST_WAIT_S)) * self._stretch()

    def _announce(self, state: RetryCallState) -> None:
        fault = _fault(state)
        wait_s = state.next_action.sleep if state.next_action else 0.0
        what = f"{fault.status} {fault.code}" if isinstance(fault, Refused) else str(fault)
        self._tell(f"{what}; asking again in {wait_s:.0f} s" if wait_s >= 1 else f"{what}; asking again")


def refusal(answer: httpx.Response) -> ClientError:
    """An answer that is no 2xx, in the words of whichever of the three shapes it has: Expeditor's, core's, or none."""
    status = answer.status_code
    try:
        error = answer.json()["error"]
        code, message, faults = _read(error, answer)
    except (ValueError, KeyError, TypeError):
        code, faults = answer.reason_phrase or str(status), ()
        message = f"{answer.url} answered {status} {answer.reason_phrase}"
    if status in _COME_BACK:
        return Busy(status, code, message, _retry_after_s(answer))
    return Refused(status, code, message, faults)


def _read(error: Any, answer: httpx.Response) -> tuple[str, str, tuple[Fault, ...]]:
    if "code" in error:
        faults = tuple(
            Fault(str(each["pointer"]), str(each["message"]), str(each.get("hint") or ""))
            for each in error.get("errors") or ()
        )
        return str(error["code"]), str(error["message"]), faults
    nodes: dict[str, Any] = answer.json().get("node_errors") or {}
    faults = tuple(
        Fault(f"/prompt/{node}", f"{each.get('message', '')}: {each.get('details', '')}".rstrip(": "))
        for node, told in nodes.items()
        for each in told.get("errors", ())
    )
    message = f"{error.get('message', '')} {error.get('details') or ''}".strip()
    return str(error["type"]), message, faults


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _fault(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _retry_after_s(answer: httpx.Response) -> float:
    told = answer.headers.get("Retry-After", "")
    return float(told) if told.isdigit() else 1.0


def _said(lost: Exception) -> str:
    return str(lost) or type(lost).__name__
