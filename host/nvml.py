"""How busy the GPUs are, asked of NVIDIA's management library (the extra ``gpu``). Only for the background sampler: a driver may stall.

Not owned: memory, which ComfyUI knows better (``capabilities``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any


class NvmlUnavailable(RuntimeError):
    """GPU utilisation cannot be read; the message says in one sentence what is missing."""


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """A device as torch numbers it. ``uuid`` (torch's spelling, without ``GPU-``) is None where torch does not tell it."""

    index: int
    uuid: str | None


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """``ratio``: the share of the last moments in which the GPU ran something, 0 to 1. ``device`` is named like ``cuda:0``."""

    device: str
    ratio: float


def load_library(module: str = "pynvml") -> Any:
    """NVIDIA's bindings, initialised. Raises ``NvmlUnavailable`` when they are not installed or find no driver."""
    try:
        library = import_module(module)
    except ImportError as error:
        raise NvmlUnavailable(
            "GPU utilisation needs the extra `gpu`: install it with pip install 'expeditor[gpu]'."
        ) from error
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        raise NvmlUnavailable(
            f"GPU utilisation cannot be read although the extra `gpu` is installed: {error}."
        ) from error
    return library


class Nvml:
    """Reads the utilisation of the devices that this process uses. May block in the driver."""

    def __init__(self, library: Any, devices: Sequence[CudaDevice]) -> None:
        """Find ``devices`` by their UUID: NVIDIA's numbers and torch's differ. Raises ``NvmlUnavailable`` if one is not there."""
        self._library = library
        try:
            self._handles = tuple((f"cuda:{device.index}", self._find(device)) for device in devices)
        except library.NVMLError as error:
            raise NvmlUnavailable(f"GPU utilisation cannot be read for one of the devices: {error}.") from error

    def read(self) -> tuple[DeviceUse, ...]:
        """The utilisation now. Raises the library's own error when the driver does not answer."""
        return tuple(DeviceUse(name, self._busy_percent(handle) / 100) for name, handle in self._handles)

    def _find(self, device: CudaDevice) -> Any:
        if device.uuid is None:
            return self._library.nvmlDeviceGetHandleByIndex(device.index)
        return self._library.nvmlDeviceGetHandleByUUID(f"GPU-{device.uuid}")

    def _busy_percent(self, handle: Any) -> float:
        return float(self._library.nvmlDeviceGetUtilizationRates(handle).gpu)
