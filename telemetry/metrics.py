"""Every metric, with its unit and its labels: the one place where a name is made. ``docs/metrics.md`` is held to it by a test.

Names are DESIGN 9's, in base units. Label values that come from outside are bounded. Not owned: when something is
counted (``listener`` for jobs, the HTTP edge for requests, ``host`` for nodes and devices), nor the scrape's HTTP
(``routes.metrics``). All methods are quick, safe from any thread and do no I/O.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary
from prometheus_client.exposition import choose_encoder

from ..jobs.model import Cause, JobStatus, Source
from .collector import CountsCollector, QueueCollector, QueueDepths, ReadingCollector, WithoutCreated
from .labels import FirstSeen, bound_method
from .window import BusyWindow, RateWindow

ROUTES_NAMED = 60
CODES_NAMED = 64
CLASSES_NAMED = 200
NO_CAUSE = "none"

# Few buckets where there is a label: a scrape takes about 5 microseconds a line, and each bucket is a line per label value.
_REQUEST_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0)
_WAIT_BUCKETS = (0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
_END_TO_END_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0)
_RUN_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_BATCH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
_GAP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class _Factory:
    """Makes metrics in one registry, under our prefix."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"expeditor_{name}", documentation, labels, registry=self._registry)

    def gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"expeditor_{name}", documentation, labels, registry=self._registry)

    def summary(self, name: str, documentation: str, *labels: str) -> Summary:
        return Summary(f"expeditor_{name}", documentation, labels, registry=self._registry)

    def histogram(self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"expeditor_{name}", documentation, labels, registry=self._registry, buckets=buckets)

    def reading(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        self._registry.register(ReadingCollector(f"expeditor_{name}", documentation, read))


class Metrics:
    """All counters, gauges and histograms of one server. Durations are seconds, times seconds since the epoch.

    Fits ``dispatch.ports.RunObserver`` and ``store.listeners.StoreObserver``.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, clock: Callable[[], float]) -> None:
        """Register everything in ``registry``, by default a new one; a second ``Metrics`` in the same one raises ``ValueError``.

        ``clock`` is the store's, by which all times that come in were taken.
        """
        self._registry = registry if registry is not None else CollectorRegistry()
        self._clock = clock
        make = _Factory(self._registry)
        self._make_requests(make)
        self._make_jobs(make)
        self._make_store_and_nodes(make)
        self._make_machine(make)

    # -- requests ---------------------------------------------------------------------------------------------------

    def request(self, route: str, method: str, code: int, duration_s: float) -> None:
        """One HTTP request was answered. ``route`` is the route's template (``/jobs/{id}``), never the path."""
        route = self._routes.bound(route)
        self._requests.labels(route, bound_method(method), str(code)).inc()
        self._request_duration.labels(route).observe(duration_s)

    def request_error(self, code: str) -> None:
        """A request was refused or failed with one of our codes (``QUEUE_FULL`` ...)."""
        self._request_errors.labels(self._codes.bound(code)).inc()

    # -- jobs -------------------------------------------------------------------------------------------------------

    def job_submitted(self, priority: int, source: Source) -> None:
        """A job was committed to the queue."""
        self._jobs_submitted.labels(str(priority), source.value).inc()

    def job_finished(self, status: JobStatus, cause: Cause | None, end_to_end_s: float | None) -> None:
        """A job ended. ``end_to_end_s``: from its creation; None for a job whose end says nothing about speed."""
        self._jobs_finished.labels(status.value, cause.value if cause else NO_CAUSE).inc()
        if end_to_end_s is not None:
            self._job_end_to_end.observe(max(0.0, end_to_end_s))

    def queue_wait(self, priority: int, wait_s: float) -> None:
        """An attempt began after ``wait_s`` in the queue."""
        self._job_queue_wait.labels(str(priority)).observe(max(0.0, wait_s))

    def attempt_ended(self, cause: Cause | None, run_s: float | None) -> None:
        """An attempt ended. ``run_s``: its time on the machine; None when nobody saw its end."""
        self._attempts.labels(cause.value if cause else NO_CAUSE).inc()
        if run_s is not None:
            self._job_run.observe(max(0.0, run_s))

    def events_published(self, event_type: str) -> None:
        """One committed event was told."""
        self._events_published.labels(event_type).inc()

    def webhook_delivery(self, outcome: str) -> None:
        """One try of a webhook ended: ``delivered``, ``retry``, ``failed`` or ``gone``."""
        self._webhook_deliveries.labels(outcome).inc()

    # -- the queue and the worker -----------------------------------------------------------------------------------

    def queue(self, depths: QueueDepths) -> None:
        """The queue as it is now; shown until the next call."""
        self._queue.replace(depths)

    def queue_refresh_failed(self) -> None:
        """The queue could not be asked in time, so a scrape shows the last values."""
        self._queue_refresh_failures.inc()

    def queue_capacity(self, jobs: int | None) -> None:
        """How many jobs may wait; None for no limit."""
        self._queue.limit(jobs)

    def worker_busy(self, job_id: str, at_s: float) -> None:
        """``job_id`` is on the machine from ``at_s``."""
        self._busy.begin(job_id, at_s)

    def worker_freed(self, job_id: str, at_s: float) -> None:
        """``job_id`` left the machine at ``at_s``; a job that was not on it is ignored."""
        self._busy.end(job_id, at_s)

    def job_drained(self, at_s: float) -> None:
        """A job that had run ended at ``at_s``."""
        self._drained.add(at_s)

    def job_drained_elsewhere(self, at_s: float) -> None:
        """A job that had run on another instance of the queue ended at ``at_s``."""
        self._drained_elsewhere.add(at_s)

    def drain_rate(self) -> float:
        """Jobs ended per second on this machine over the last five minutes, idle time included; 0 when none ended."""
        return self._drained.per_second(self._clock())

    def queue_drain_rate(self) -> float:
        """As ``drain_rate``, of all machines that share the queue."""
        return self.drain_rate() + self._drained_elsewhere.per_second(self._clock())

    def worker_busy_ratio(self) -> float:
        """The share of the last five minutes in which a job was on the machine."""
        return self._busy.ratio(self._clock())

    def gap(self, duration_s: float) -> None:
        """Between the end of a run and the claim of the next one so much time passed although a job waited."""
        self._dispatch_gap.observe(max(0.0, duration_s))

    # -- nodes, store, devices --------------------------------------------------------------------------------------

    def node_ran(self, class_type: str, duration_s: float) -> None:
        """One node ran."""
        self._node_run.labels(self._classes.bound(class_type)).observe(max(0.0, duration_s))

    def nodes_cached(self, hits: int, misses: int) -> None:
        """Of one run's nodes, ``hits`` came from ComfyUI's cache and ``misses`` had to run."""
        self._node_cache_hits.inc(hits)
        self._node_cache_misses.inc(misses)

    def committed(self, duration_s: float, verbs: int) -> None:
        """One commit of the store took ``duration_s`` for ``verbs`` verbs ."""
        self._store_commit.observe(duration_s)
        self._store_batch_size.observe(verbs)

    def vram(self, device: str, kind: str, amount_bytes: float) -> None:
        """Memory of a device; ``kind`` is ``total``, ``free`` or ``torch``."""
        self._vram.labels(device, kind).set(amount_bytes)

    def gpu_utilization(self, device: str, ratio: float) -> None:
        """How busy a GPU is, 0 to 1."""
        self._gpu_utilization.labels(device).set(ratio)

    def model_loads(self, count: int) -> None:
        """So many models are in memory after a run that were not there after the run before."""
        self._model_loads.inc(count)

    def models_loaded(self, count: Callable[[], float]) -> None:
        """Ask ``count`` at each scrape; to be called once."""
        _Factory(self._registry).reading("models_loaded", "Models that ComfyUI has loaded.", count)

    def websocket_clients(self, count: Callable[[], float]) -> None:
        """Ask ``count`` at each scrape; to be called once."""
        _Factory(self._registry).reading("websocket_clients", "Open sockets of ComfyUI's /ws.", count)

    def workers(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """Ask ``counts`` (instances by state) at each scrape; to be called once."""
        self._registry.register(
            CountsCollector("expeditor_workers", "Instances of this queue, by state.", "state", counts)
        )

    def event_streams(self, count: Callable[[], float]) -> None:
        """Ask ``count`` at each scrape; to be called once."""
        _Factory(self._registry).reading("event_streams", "Open streams of events.", count)

    def build_info(self, *, version: str, comfyui_version: str) -> None:
        """Name the versions that run here, Python's included."""
        python_version = platform.python_version()
        self._build.info({"version": version, "comfyui_version": comfyui_version, "python_version": python_version})

    # -- the scrape -------------------------------------------------------------------------------------------------

    def render(self, accept: str) -> tuple[bytes, str]:
        """Everything in the format that an ``Accept`` header asks for: the body and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(WithoutCreated(self._registry)), content_type

    # -- where the names are ----------------------------------------------------------------------------------------

    def _make_requests(self, make: _Factory) -> None:
        self._routes, self._codes = FirstSeen(ROUTES_NAMED), FirstSeen(CODES_NAMED)
        self._requests = make.counter(
            "requests_total", "HTTP requests answered, by route template, method and status.", "route", "method", "code"
        )
        self._request_errors = make.counter(
            "request_errors_total", "Requests answered with one of our error codes.", "code"
        )
        self._request_duration = make.histogram(
            "request_duration_seconds", "Time from a request to the end of its answer.", _REQUEST_BUCKETS, "route"
        )

    def _make_jobs(self, make: _Factory) -> None:
        self._jobs_submitted = make.counter(
            "jobs_submitted_total", "Jobs committed to the queue, by priority and door.", "priority", "source"
        )
        self._jobs_finished = make.counter(
            "jobs_finished_total", "Jobs ended, by final status and cause.", "status", "cause"
        )
        self._job_queue_wait = make.histogram(
            "job_queue_wait_seconds", "Wait in the queue before an attempt began.", _WAIT_BUCKETS, "priority"
        )
        self._job_run = make.histogram("job_run_seconds", "Time of an attempt on the machine.", _RUN_BUCKETS)
        self._job_end_to_end = make.histogram(
            "job_end_to_end_seconds",
            "From a job's creation to its end, for jobs that succeeded or failed.",
            _END_TO_END_BUCKETS,
        )
        self._attempts = make.counter("attempts_total", "Attempts ended, by cause.", "cause")
        self._events_published = make.counter("events_published_total", "Committed events told, by type.", "type")
        self._webhook_deliveries = make.counter("webhook_deliveries_total", "Tries of webhooks, by outcome.", "outcome")
        self._queue = QueueCollector(self._clock)
        self._registry.register(self._queue)
        self._queue_refresh_failures = make.counter(
            "queue_refresh_failures_total",
            "Scrapes whose queue gauges are old because the store did not answer in time.",
        )

    def _make_store_and_nodes(self, make: _Factory) -> None:
        self._classes = FirstSeen(CLASSES_NAMED)
        # A summary, not a histogram: with a bucket list per class, 200 classes would make most of a scrape.
        self._node_run = make.summary("node_run_seconds", "Time of one node's run, by class.", "class_type")
        self._node_cache_hits = make.counter("node_cache_hits_total", "Nodes whose result came from ComfyUI's cache.")
        self._node_cache_misses = make.counter("node_cache_misses_total", "Nodes that had to run.")
        self._store_commit = make.histogram(
            "store_commit_seconds", "Time of one durable commit of the store.", _COMMIT_BUCKETS
        )
        self._store_batch_size = make.histogram("store_batch_size", "Verbs in one commit of the store.", _BATCH_BUCKETS)

    def _make_machine(self, make: _Factory) -> None:
        started_at_s = self._clock()
        self._busy, self._drained = BusyWindow(started_at_s), RateWindow(started_at_s)
        self._drained_elsewhere = RateWindow(started_at_s)
        make.reading(
            "worker_busy_ratio", "Share of the last five minutes with a job on the machine.", self.worker_busy_ratio
        )
        make.reading("drain_rate_jobs_per_second", "Jobs ended per second over the last five minutes.", self.drain_rate)
        self._dispatch_gap = make.histogram(
            "dispatch_gap_seconds", "Idle time between two runs while a job waited.", _GAP_BUCKETS
        )
        self._vram = make.gauge(
            "vram_bytes", "Memory of a device as ComfyUI sees it; system memory on a CPU.", "device", "kind"
        )
        self._model_loads = make.counter(
            "model_loads_total", "Models in memory after a run that were not there after the run before."
        )
        self._gpu_utilization = make.gauge("gpu_utilization_ratio", "How busy a GPU is, 0 to 1.", "device")
        self._build = Info("expeditor_build", "Versions that run here; always 1.", registry=self._registry)
