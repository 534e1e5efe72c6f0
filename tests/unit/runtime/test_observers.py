"""Which requests are logged: what concerns the API, but not what is asked every few seconds."""

from __future__ import annotations

import logging

import pytest
from prometheus_client import CollectorRegistry

from expeditor.runtime.observers import RequestMetrics
from expeditor.telemetry.metrics import Metrics


@pytest.mark.parametrize(
    ("method", "route", "logged"),
    [
        ("GET", "/expeditor/jobs/{job_id}", True),
        ("GET", "/expeditor/health", False),
        ("GET", "/system_stats", False),
        ("POST", "/prompt", True),
        ("GET", "/api/v2/jobs", True),
        ("GET", "/api/v2/assets/{asset_id}/content", True),
        ("POST", "/api/v2/jobs", True),
        ("GET", "/api/v2/jobs/{job_id}", False),
        ("GET", "/expeditor/api/v2/jobs/{job_id}", False),
        ("GET", "/api/v2/health", False),
    ],
)
def test_which_requests_are_logged_and_that_all_are_counted(caplog, method, route, logged):
    registry = CollectorRegistry()
    observer = RequestMetrics(Metrics(registry, clock=lambda: 0.0), access_log=True)
    with caplog.at_level(logging.INFO, "expeditor.access"):
        observer.request(method=method, route=route, path=route, status=200, duration_s=0.1, client_id=None, code=None)
    assert bool(caplog.records) == logged
    labels = {"route": route, "method": method, "code": "200"}
    assert registry.get_sample_value("expeditor_requests_total", labels) == 1
