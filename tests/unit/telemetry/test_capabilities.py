"""The background sampler and the GPU reader, on made-up readings: what a driver may do to them, and what they say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from expeditor.host.capabilities import CapabilitySampler, CudaDevice, DeviceMemory, DeviceUse
from expeditor.host.nvml import Nvml, NvmlUnavailable, load_library
from expeditor.telemetry.metrics import Metrics
from tests.support.waiting import wait_until
from tests.unit.telemetry.made import value

CARD = DeviceMemory("cuda:0", total_bytes=24_000, free_bytes=20_000, torch_bytes=3_000)


class Machine:
    """A sampler on real metrics whose readings a test turns on and off."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.rounds = 0
        self.memory_error: Exception | None = None
        self.sampler = CapabilitySampler(
            Metrics(self.registry, clock=lambda: 0.0), self.memory, self.use, interval_s=0.005
        )

    def memory(self) -> list[DeviceMemory]:
        self.rounds += 1
        if self.memory_error is not None:
            raise self.memory_error
        return [CARD]

    def use(self) -> list[DeviceUse]:
        return [DeviceUse("cuda:0", 0.25)]

    def another_two_rounds(self) -> None:
        seen = self.rounds
        wait_until(lambda: self.rounds >= seen + 2)


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    yield machine
    machine.sampler.stop()


def samplers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "expeditor-capabilities"]


def test_nothing_is_sampled_before_start(machine: Machine):
    assert machine.rounds == 0
    assert machine.sampler.latest().memory == ()
    assert samplers() == []


def test_samples_reach_the_gauges_and_stop_stops(machine: Machine):
    machine.sampler.start()
    machine.sampler.start()
    machine.another_two_rounds()
    assert [thread.daemon for thread in samplers()] == [True]
    assert {
        kind: value(machine.registry, "vram_bytes", device="cuda:0", kind=kind) for kind in ("total", "free", "torch")
    } == {
        "total": 24_000,
        "free": 20_000,
        "torch": 3_000,
    }
    assert value(machine.registry, "gpu_utilization_ratio", device="cuda:0") == 0.25
    assert machine.sampler.latest().memory == (CARD,)
    machine.sampler.stop()
    assert samplers() == []


def test_a_failing_driver_is_told_once_and_does_not_end_the_sampling(
    machine: Machine, caplog: pytest.LogCaptureFixture
):
    machine.memory_error = RuntimeError("driver lost")
    machine.sampler.start()
    machine.another_two_rounds()
    assert machine.sampler.latest().memory == ()
    assert machine.sampler.latest().use == (DeviceUse("cuda:0", 0.25),)
    machine.memory_error = None
    machine.another_two_rounds()
    assert machine.sampler.latest().memory == (CARD,)
    assert [line.message for line in caplog.records] == ["The device memory cannot be read: driver lost"]


class FakeLibrary:
    """NVIDIA's bindings as far as they are used; knows one card."""

    class NVMLError(Exception):
        """The library's own error."""

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802 - the library's name
        if uuid != "GPU-aa-bb":
            raise self.NVMLError("Not Found")
        return "card"

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:  # noqa: N802 - the library's name
        assert handle == "card"
        return SimpleNamespace(gpu=42, memory=7)


def test_utilisation_is_a_ratio_under_torchs_name():
    assert Nvml(FakeLibrary(), [CudaDevice(3, "aa-bb")]).read() == (DeviceUse("cuda:3", 0.42),)


def test_a_device_that_the_library_does_not_know_is_said():
    with pytest.raises(NvmlUnavailable, match="Not Found"):
        Nvml(FakeLibrary(), [CudaDevice(0, "cc-dd")])


def test_a_missing_extra_is_named_in_one_sentence():
    with pytest.raises(NvmlUnavailable) as caught:
        load_library("a_module_that_nobody_has")
    assert "extra `gpu`" in str(caught.value)
    assert str(caught.value).count(". ") == 0


def test_the_real_library_opens_or_refuses_in_our_words():
    """Nothing but ``NvmlUnavailable`` comes out of it, with a driver and without one."""
    pytest.importorskip("pynvml")
    refusal = ""
    try:
        load_library()
    except NvmlUnavailable as error:
        refusal = str(error)
    assert not refusal or "the extra `gpu` is installed" in refusal
