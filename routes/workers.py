"""``/expeditor/workers``: the instances that share the queue, and their pause, drain and resume. Parse, one service call, render."""

from __future__ import annotations

from aiohttp import web

from ..intake.workers import WorkerService, WorkersView, WorkerView
from ..jobs.instances import Device, Instance, InstanceState
from ..jobs.model import JsonObject
from ..jobs.times import rfc3339


class WorkerRoutes:
    """The handlers; errors are raised and rendered by the boundary."""

    def __init__(self, workers: WorkerService) -> None:
        """Ask ``workers``."""
        self._workers = workers

    async def list(self, _request: web.Request) -> web.Response:
        """``GET /expeditor/workers`` → ``{"here", "workers": [...]}``; alone: this instance."""
        return web.json_response(workers_json(await self._workers.list()))

    async def one(self, request: web.Request) -> web.Response:
        """``GET /expeditor/workers/{name}``: one of them, with what it can run."""
        return web.json_response(worker_json(await self._workers.one(request.match_info["name"])))

    async def pause(self, request: web.Request) -> web.Response:
        """``POST /expeditor/workers/{name}/pause``: it accepts and claims nothing; survives its restart."""
        return await self._ask(request, InstanceState.PAUSED)

    async def drain(self, request: web.Request) -> web.Response:
        """``POST /expeditor/workers/{name}/drain``: it refuses, finishes what runs, claims nothing; ended by its restart."""
        return await self._ask(request, InstanceState.DRAINING)

    async def resume(self, request: web.Request) -> web.Response:
        """``POST /expeditor/workers/{name}/resume``: it is active again."""
        return await self._ask(request, InstanceState.ACTIVE)

    async def pause_all(self, _request: web.Request) -> web.Response:
        """``POST /expeditor/workers/pause``: every living instance."""
        return web.json_response(workers_json(await self._workers.ask_all(InstanceState.PAUSED)))

    async def drain_all(self, _request: web.Request) -> web.Response:
        """``POST /expeditor/workers/drain``: every living instance."""
        return web.json_response(workers_json(await self._workers.ask_all(InstanceState.DRAINING)))

    async def resume_all(self, _request: web.Request) -> web.Response:
        """``POST /expeditor/workers/resume``: every living instance."""
        return web.json_response(workers_json(await self._workers.ask_all(InstanceState.ACTIVE)))

    async def _ask(self, request: web.Request, state: InstanceState) -> web.Response:
        return web.json_response(workers_json(await self._workers.ask(request.match_info["name"], state)))


def workers_json(view: WorkersView) -> JsonObject:
    """The instances; ``wished`` only in answers to a wish, which each obeys a moment later."""
    told: JsonObject = {"here": view.here, "workers": [_instance(each) for each in view.instances]}
    return told if view.wished is None else {**told, "wished": view.wished.value}


def worker_json(view: WorkerView) -> JsonObject:
    """One instance with its node classes and the model files on its disk; null where it has not told them."""
    can = view.capabilities
    return {
        **_instance(view.instance),
        "node_classes": None if can is None else sorted(can.node_classes),
        "models_on_disk": None if can is None else sorted(can.models),
    }


def _instance(each: Instance) -> JsonObject:
    return {
        "name": each.name,
        "state": each.state.value,
        "url": each.url,
        "version": each.version,
        "comfyui_version": each.comfyui_version,
        "started_at": rfc3339(each.started_at_s),
        "seen_at": rfc3339(each.seen_at_s),
        "roles": [role.value for role in each.roles],
        "pools": list(each.pools),
        "running": list(each.running),
        "models": list(each.resident),
        "devices": [_device(device) for device in each.devices],
        "busy_ratio": None if each.busy_ratio is None else round(each.busy_ratio, 4),
    }


def _device(device: Device) -> JsonObject:
    return {
        "name": device.name,
        "vram_total_bytes": device.vram_total_bytes,
        "vram_free_bytes": device.vram_free_bytes,
    }
