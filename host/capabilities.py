"""What the machine has: memory of its devices and how busy they are, sampled in the background.

A driver query can stall, so nothing here is ever asked while a request waits: one thread samples every few seconds,
everyone else reads the last sample. Not owned: the gauges (``telemetry.metrics`` fits ``DeviceGauges``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Protocol

from .nvml import CudaDevice, DeviceUse, Nvml, NvmlUnavailable, load_library

_log = logging.getLogger("expeditor.host")
INTERVAL_S = 5.0


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Memory of one device as ComfyUI counts it: ``torch_bytes`` is what torch has reserved (on a CPU: all of it)."""

    device: str
    total_bytes: int
    free_bytes: int
    torch_bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What the last round saw; empty before the first round and for what could not be read."""

    memory: tuple[DeviceMemory, ...] = ()
    use: tuple[DeviceUse, ...] = ()


class DeviceGauges(Protocol):
    """Where samples are shown."""

    def vram(self, device: str, kind: str, amount_bytes: float) -> None:
        """``kind`` is ``total``, ``free`` or ``torch``."""
        ...

    def gpu_utilization(self, device: str, ratio: float) -> None:
        """``ratio`` is 0 to 1."""
        ...


class CapabilitySampler:
    """Samples on a daemon thread of its own, from ``start`` until ``stop`` or the end of the process. Never raises."""

    def __init__(
        self,
        gauges: DeviceGauges,
        read_memory: Callable[[], Sequence[DeviceMemory]],
        read_use: Callable[[], Sequence[DeviceUse]] | None = None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        """``read_memory``: ``comfy_memory`` in a server. ``read_use``: ``Nvml.read``, or None without a GPU to ask."""
        self._gauges = gauges
        self._read_memory = read_memory
        self._read_use = read_use
        self._interval_s = interval_s
        self._sample = Sample()
        self._failing: set[str] = set()
        self._stopped = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to sample; a second call changes nothing."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="expeditor-capabilities", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the thread; waits ``timeout_s`` at most, since a driver may be stalled."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def latest(self) -> Sample:
        """The last sample; no I/O."""
        return self._sample

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._sample = Sample(
                memory=self._attempt("device memory", self._round_of_memory),
                use=self._attempt("GPU utilisation", self._round_of_use),
            )
            self._stopped.wait(self._interval_s)

    def _round_of_memory(self) -> tuple[DeviceMemory, ...]:
        seen = tuple(self._read_memory())
        for memory in seen:
            self._gauges.vram(memory.device, "total", memory.total_bytes)
            self._gauges.vram(memory.device, "free", memory.free_bytes)
            self._gauges.vram(memory.device, "torch", memory.torch_bytes)
        return seen

    def _round_of_use(self) -> tuple[DeviceUse, ...]:
        seen = tuple(self._read_use()) if self._read_use is not None else ()
        for use in seen:
            self._gauges.gpu_utilization(use.device, use.ratio)
        return seen

    def _attempt(self, what: str, round_: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
        """The round's readings, or none; a failure is told once until it works again."""
        try:
            seen = round_()
        except Exception as error:  # noqa: BLE001 - drivers fail in every way, and a sampler that dies shows old numbers
            if what not in self._failing:
                _log.warning("The %s cannot be read: %s", what, error)
            self._failing.add(what)
            return ()
        self._failing.discard(what)
        return seen


def comfy_memory() -> tuple[DeviceMemory, ...]:
    """The devices that ComfyUI computes on, as it counts their memory; system memory when that is the CPU. May block in a driver."""
    from comfy import model_management

    every = getattr(model_management, "get_all_torch_devices", None)
    devices: list[Any] = list(every()) if every is not None else []
    return tuple(_memory_of(model_management, device) for device in devices or [model_management.get_torch_device()])


def nvml_reader(devices: Sequence[CudaDevice] | None = None) -> Callable[[], Sequence[DeviceUse]] | None:
    """Reads how busy the CUDA devices are; None when ComfyUI does not compute on one. Raises ``NvmlUnavailable``."""
    found = tuple(cuda_devices() if devices is None else devices)
    return Nvml(load_library(), found).read if found else None


def cuda_devices() -> tuple[CudaDevice, ...]:
    """The NVIDIA devices that ComfyUI computes on, by torch's number; none on a CPU or on other makers' devices."""
    import torch
    from comfy import model_management

    device = model_management.get_torch_device()
    if getattr(device, "type", "") != "cuda" or torch.version.hip is not None:
        return ()
    index = device.index or 0
    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    return (CudaDevice(index, None if uuid is None else str(uuid)),)


def _memory_of(model_management: Any, device: Any) -> DeviceMemory:
    total, reserved = model_management.get_total_memory(device, torch_total_too=True)
    free = model_management.get_free_memory(device)
    return DeviceMemory(str(device), int(total), int(free), int(reserved))


__all__ = [
    "CapabilitySampler",
    "CudaDevice",
    "DeviceGauges",
    "DeviceMemory",
    "DeviceUse",
    "NvmlUnavailable",
    "Sample",
    "comfy_memory",
    "cuda_devices",
    "nvml_reader",
]
