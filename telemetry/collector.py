"""What is worked out at the moment of a scrape: the queue's depth, the windows, counts that live elsewhere.

Families are built anew for each scrape, so a row that is gone leaves no stale series behind. Not owned: asking the
store (``routes.metrics`` does, with a deadline) and everything that is counted as it happens (``metrics``).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Protocol

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ..jobs.model import PRIORITY_MAX, PRIORITY_MIN, JobStatus

_log = logging.getLogger("expeditor.telemetry")
_ALWAYS_SHOWN = (JobStatus.QUEUED.value, JobStatus.RUNNING.value)


class Depth(Protocol):
    """How many unfinished jobs stand at one priority in one status (``store.base.DepthRow`` fits)."""

    @property
    def priority(self) -> int:
        """1 to 10."""
        ...

    @property
    def status(self) -> JobStatus:
        """Not a final one."""
        ...

    @property
    def jobs(self) -> int:
        """How many."""
        ...

    @property
    def work_s(self) -> float:
        """Their estimated seconds."""
        ...


class QueueDepths(Protocol):
    """The queue at a glance (``store.base.QueueSummary`` fits)."""

    @property
    def rows(self) -> Sequence[Depth]:
        """Several rows may name the same priority and status."""
        ...

    @property
    def oldest_queued_at_s(self) -> float | None:
        """None when nothing waits."""
        ...


def _gauge(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"expeditor_{name}", documentation, labels=labels)


class QueueCollector(Collector):
    """The depth gauges, from the last summary it was given."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock``: seconds since the epoch, as in the summary."""
        self._clock = clock
        self._lock = Lock()
        self._depths: QueueDepths | None = None
        self._capacity = math.inf
        self._shown = {(p, s): 0 for s in _ALWAYS_SHOWN for p in range(PRIORITY_MIN, PRIORITY_MAX + 1)}

    def replace(self, depths: QueueDepths) -> None:
        """Show ``depths`` from the next scrape on."""
        with self._lock:
            self._depths = depths

    def limit(self, jobs: int | None) -> None:
        """How many jobs the queue takes; None when it has no limit (shown as ``+Inf``)."""
        with self._lock:
            self._capacity = math.inf if jobs is None else float(jobs)

    def describe(self) -> Iterable[Metric]:
        """The families without samples."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """The families as the last summary has them; zeroes before the first one."""
        depth, oldest, work, capacity = families = self._families()
        with self._lock:
            depths, limit = self._depths, self._capacity
            counts = self._counts(depths)
        for (priority, status), jobs in counts.items():
            depth.add_metric([str(priority), status], jobs)
        since_s = depths.oldest_queued_at_s if depths else None
        oldest.add_metric([], 0.0 if since_s is None else max(0.0, self._clock() - since_s))
        work.add_metric([], sum(row.work_s for row in depths.rows if row.status is JobStatus.QUEUED) if depths else 0.0)
        capacity.add_metric([], limit)
        return families

    def _counts(self, depths: QueueDepths | None) -> dict[tuple[int, str], int]:
        """Jobs by priority and status. A pair once seen stays, as 0: a gauge that vanishes cannot fall to zero."""
        counts = dict(self._shown)
        for row in depths.rows if depths else ():
            key = (row.priority, row.status.value)
            counts[key] = counts.get(key, 0) + row.jobs
            self._shown[key] = 0
        return counts

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        oldest = "Age of the longest waiting job; 0 when nothing waits."
        return (
            _gauge("queue_depth", "Unfinished jobs by priority (10 is most urgent) and status.", "priority", "status"),
            _gauge("queue_oldest_seconds", oldest),
            _gauge("queue_work_seconds", "Estimated seconds of work that waits."),
            _gauge("queue_capacity", "Jobs that may wait at once; +Inf without a limit."),
        )


class ReadingCollector(Collector):
    """One unlabelled gauge whose value is read at the scrape. A reading that fails is left out, and the scrape goes on."""

    def __init__(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """``read`` must be quick and may run on any thread."""
        self._name = name
        self._documentation = documentation
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """The family without its sample."""
        return (GaugeMetricFamily(self._name, self._documentation, labels=[]),)

    def collect(self) -> Iterable[Metric]:
        """The family with what ``read`` says now."""
        family = GaugeMetricFamily(self._name, self._documentation, labels=[])
        try:
            family.add_metric([], self._read())
        except Exception:  # noqa: BLE001 - one reading must not cost the operator all the others
            _log.warning("%s could not be read", self._name, exc_info=True)
        return (family,)


class CountsCollector(Collector):
    """One gauge with one label, whose values are read at the scrape. A reading that fails is left out, and the scrape goes on."""

    def __init__(self, name: str, documentation: str, label: str, read: Callable[[], Mapping[str, int]]) -> None:
        """``read`` must be quick and may run on any thread; it gives values by the label's."""
        self._name = name
        self._documentation = documentation
        self._label = label
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """The family without its samples."""
        return (GaugeMetricFamily(self._name, self._documentation, labels=[self._label]),)

    def collect(self) -> Iterable[Metric]:
        """The family with what ``read`` says now."""
        family = GaugeMetricFamily(self._name, self._documentation, labels=[self._label])
        try:
            for value, count in self._read().items():
                family.add_metric([value], count)
        except Exception:  # noqa: BLE001 - as above
            _log.warning("%s could not be read", self._name, exc_info=True)
        return (family,)


class WithoutCreated(CollectorRegistry):
    """A view of a registry that leaves out the ``_created`` series: they double a scrape and nothing of ours reads them.

    The client's own switch for this is global to the process, which is not ours alone.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        """Show ``registry``; nothing is registered here."""
        super().__init__()
        self._shown_registry = registry

    def collect(self) -> Iterator[Metric]:
        """The families of the registry, each without its ``_created`` samples."""
        for family in self._shown_registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
