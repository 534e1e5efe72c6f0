"""What happens when ComfyUI has loaded all packs and is about to listen: ``on_startup``, in order. Never raises.

ComfyUI runs nothing of ours at shutdown; the store is crash-only. The signal handlers only tell a stop from a death.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from ..host.capabilities import CapabilitySampler, comfy_memory, nvml_reader
from ..host.history import restored_entry
from ..host.native import NativeItem, native_item
from ..host.ownership import history_bound, our_queue
from ..jobs.belonging import is_home
from ..jobs.errors import ExpeditorError, StoreUnavailable
from ..jobs.model import Cause, JobStatus, JsonObject
from ..routes.errors import boundary
from ..routes.metrics import MetricsRoutes
from ..store.base import Recovered, RecoveryMode, RecoveryRule
from .health import StoreWatch
from .hooks import check_ownership, install_middleware, install_signals, stand_down, stand_up
from .services import Services

log = logging.getLogger("expeditor.runtime")

REOPEN_S = 5.0
"""How long after a failed opening of the store the next one is tried."""


class Lifespan:
    """Start-up of one server."""

    def __init__(self, services: Services, metrics_routes: MetricsRoutes) -> None:
        """``metrics_routes`` answers ``/metrics`` when nobody else does."""
        self._services = services
        self._metrics_routes = metrics_routes
        self._background: list[asyncio.Task[None]] = []

    async def start(self, app: web.Application) -> None:
        """For ``app.on_startup``: an exception here would stop ComfyUI, so whatever goes wrong is logged."""
        try:
            await self._start(app)
        except Exception:  # noqa: BLE001 - ComfyUI must start also when we cannot
            log.warning(
                "Expeditor could not start; ComfyUI goes on without it", exc_info=True, extra={"event": "start.failed"}
            )
            stand_down(self._services, "Expeditor could not start; the log says why")

    async def _start(self, app: web.Application) -> None:
        services = self._services
        install_middleware(services)
        install_signals(services)
        # What only measures comes first: once claims are open, nothing may fail any more (jobs of ours would run as core's).
        await self._start_measuring(app)
        if check_ownership(services):
            await self._open_queue()
        if services.settings.gc_freeze:
            # Modules, node classes and libraries live as long as the process. What is garbage already goes first.
            gc.collect()
            gc.freeze()
        hooks = " ".join(f"{name}={state}" for name, state in services.board.states().items())
        log.info(
            "Expeditor: %s; hooks %s", services.health.not_ready() or "ready", hooks, extra={"event": "start.done"}
        )

    async def _start_measuring(self, app: web.Application) -> None:
        services = self._services
        try:
            self._offer_metrics(app)
            services.metrics.event_streams(services.entrance.streams.count)
            loop = asyncio.get_running_loop()
            watches = [
                services.health.lag,
                services.health.disk,
                StoreWatch(services.store),
                services.keeper,
                services.entrance.shelf,
            ]
            self._background += [loop.create_task(each.watch()) for each in watches if each is not None]
            reader = await asyncio.to_thread(_gpu_reader)
            sampler = CapabilitySampler(services.metrics, comfy_memory, reader, services.settings.sample_interval_s)
            services.company.about.sampled = sampler.latest
            sampler.start()
        except Exception:  # noqa: BLE001 - a server that cannot be measured still runs jobs
            log.warning("Some measurements could not be started", exc_info=True, extra={"event": "measuring.failed"})

    async def _open_queue(self) -> None:
        if self._services.cluster is not None:
            self._services.cluster.start()
        if self._services.files.homeward is not None:
            self._services.files.homeward.start()
        try:
            recovered = await self._recovered()
        except StoreUnavailable as error:
            stand_down(self._services, _unusable(error))
            self._background.append(asyncio.get_running_loop().create_task(self._open_later()))
            return
        await self._serve(recovered)

    async def _open_later(self) -> None:
        """Try again until the store can be used, and take the queue back: a lock ends, a disk is mounted or cleared."""
        services = self._services
        try:
            recovered = await self._recovered_at_last()
            if not stand_up(services):
                await asyncio.to_thread(services.store.close)
                return
            await self._serve(recovered)
        except Exception:  # noqa: BLE001 - a task's exception is seen by nobody, and ComfyUI must have a queue
            log.exception("The queue cannot be opened", extra={"event": "reopen.failed"})
            stand_down(services, "Expeditor could not take the queue back; the log says why")
            return
        log.warning("The store can be used: the queue is Expeditor's again", extra={"event": "queue.back"})

    async def _recovered_at_last(self) -> Recovered:
        while True:
            await asyncio.sleep(REOPEN_S)
            try:
                return await self._recovered()
            except StoreUnavailable as error:
                stand_down(self._services, _unusable(error))  # logged only if it is another sentence

    async def _recovered(self) -> Recovered:
        services = self._services
        try:
            await asyncio.to_thread(services.store.open)
            if services.company.membership is not None:
                await services.company.membership.join()  # before anything of this name's is taken back
            seen = await asyncio.to_thread(services.evidence.seen)
            rule = RecoveryRule(RecoveryMode(services.settings.recovery), seen)
            return await asyncio.to_thread(
                services.machine.dispatcher.recover, rule, services.identity.origin_of_new_jobs
            )
        except StoreUnavailable:
            # What is half open would keep the lock, and a damaged file has to be opened anew to be found so.
            await asyncio.to_thread(services.store.close)
            raise

    async def _serve(self, recovered: Recovered) -> None:
        """Put what waits into ComfyUI's list and let the worker claim."""
        services = self._services
        if services.settings.store != "memory":
            await asyncio.to_thread(services.evidence.record)
        services.depth.restore(recovered.waiting, recovered.elsewhere)
        services.flow.restore((await services.summary()).paused)
        queue = our_queue(services.server)
        if queue is None:
            return
        history = await self._history()
        queue.restore_history(history)
        items = await asyncio.to_thread(_readable, services, recovered)
        jobs = [job for job, _ in recovered.waiting]
        services.parked.waits.restore((*jobs, *recovered.elsewhere))
        queue.restore(items, {job.id for job in jobs if job.status is JobStatus.WAITING})
        await asyncio.to_thread(services.mailbox.sweep_pictures)
        self._background.append(asyncio.get_running_loop().create_task(services.page.keep()))
        numbers = (*(item[0] for item in items), *(entry["prompt"][0] for entry in history.values()))
        services.server.number = max(services.server.number, number_after(numbers))
        queue.open_claims()
        loop, membership = asyncio.get_running_loop(), services.company.membership
        self._background.append(loop.create_task(services.webhooks.run()))
        if membership is not None:
            self._background.append(loop.create_task(membership.watch()))
        if services.board.is_on("observer"):
            services.machine.watchdog.start()  # without signs of life every run would look stuck
        if items or recovered.failed:
            log.info(
                "Recovered jobs that wait: %d, of which %d ran when the server stopped",
                len(items),
                recovered.requeued,
                extra={"event": "store.recovered"},
            )

    async def _history(self) -> dict[str, JsonObject]:
        """What ComfyUI's history shows of the jobs that ended last, oldest first."""
        services = self._services
        wanted = min(services.settings.history_restored, history_bound())
        if not wanted:
            return {}
        here = services.identity.origin_of_new_jobs
        try:
            finished = await services.awaiter.settled(services.store.finished(wanted, here))
        except ExpeditorError as error:
            log.warning("ComfyUI's history could not be restored: %s", error, extra={"event": "history.unread"})
            return {}
        entries = {one.job.id: restored_entry(one.job, one.payload, one.history_json) for one in finished}
        return {job_id: entry for job_id, entry in entries.items() if entry is not None}

    def _offer_metrics(self, app: web.Application) -> None:
        taken = any(getattr(route.resource, "canonical", "") == "/metrics" for route in app.router.routes())
        if not taken:
            app.router.add_get("/metrics", boundary(self._metrics_routes.exposition))


def _unusable(error: StoreUnavailable) -> str:
    return f"the store cannot be used, which is tried again: {error.message}"


def number_after(numbers: Iterable[float]) -> int:
    """Where ComfyUI goes on counting: its page drops history rows whose number is not above those it has seen.

    A number that only a client can have chosen, beyond what JavaScript counts exactly, does not count.
    """
    return int(max((size for number in numbers if (size := abs(number)) < 2**52), default=-1.0)) + 1


def _readable(services: Services, recovered: Recovered) -> list[NativeItem]:
    """The queue tuples of recovered jobs; a job whose payload is damaged fails, and only that one."""
    items: list[NativeItem] = []
    here = services.identity.origin_of_new_jobs
    for job, payload in recovered.waiting:
        if not is_home(job, here):
            continue  # listed where it was submitted
        try:
            items.append(native_item(job, payload))
        except (ValueError, RecursionError):
            message = "What the job was to run cannot be read from the database. Submit it again."
            services.machine.dispatcher.give_up(job.id, Cause.NODE_ERROR, message)
    return items


def _gpu_reader() -> Any:
    try:
        return nvml_reader()
    except Exception as error:  # noqa: BLE001 - drivers fail in every way, and a gauge must not cost the queue
        log.info("GPU utilisation is not sampled: %s", error, extra={"event": "nvml.absent"})
        return None
