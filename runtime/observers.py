"""Counts requests and logs them; owns which requests are worth a log line."""

from __future__ import annotations

from ..routes.v2.table import OWN_PREFIX, PREFIX
from ..telemetry.logs import log_access
from ..telemetry.metrics import Metrics

OURS = ("/expeditor/", PREFIX + "/")
PROBES = frozenset(
    {
        *("/expeditor/health", "/expeditor/ready", "/expeditor/metrics", "/metrics"),
        *(mount + path for mount in (PREFIX, OWN_PREFIX) for path in ("/health", "/jobs/{job_id}")),
    }
)
"""What monitoring asks, and the polls of the Comfy API v2, which its clients send every second while they wait."""


def _worth_a_line(method: str, route: str) -> bool:
    # What ComfyUI's page reads, and what is asked every few seconds, is counted, but would drown the log.
    return method != "GET" or (route.startswith(OURS) and route not in PROBES)


class RequestMetrics:
    """Fits ``host.ports.RequestLog``."""

    def __init__(self, metrics: Metrics, *, access_log: bool) -> None:
        """Count into ``metrics``; ``access_log`` also writes one line per request."""
        self._metrics = metrics
        self._access_log = access_log

    def request(
        self,
        *,
        method: str,
        route: str,
        path: str,
        status: int,
        duration_s: float,
        client_id: str | None,
        code: str | None,
    ) -> None:
        """One request was answered."""
        self._metrics.request(route, method, status, duration_s)
        if code is not None:
            self._metrics.request_error(code)
        if self._access_log and _worth_a_line(method, route):
            log_access(method=method, route=route, path=path, status=status, client_id=client_id, duration_s=duration_s)
