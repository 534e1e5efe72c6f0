"""Resident models: files are joined with the models made from them, nothing is kept alive, and nothing odd makes it fail.

ComfyUI's objects are played here; `tests/host/test_affinity.py` has real ones.
"""

from __future__ import annotations

import gc
import logging
import weakref
from types import SimpleNamespace

import pytest

from expeditor.host.residents import Residents

CHECKPOINT = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "xl.safetensors"}}}


class FakeModel:
    """What a patcher holds."""


class FakePatcher:
    """As ComfyUI's ModelPatcher, as far as it is looked at."""

    load_device = "cpu"

    def __init__(self, model=None, size=100):
        self.model = model or FakeModel()
        self.size = size

    def is_clone(self, other):
        return self.model is other.model

    def model_size(self):
        return self.size

    def clone(self):
        return FakePatcher(self.model, self.size)


class FakeHolder:
    """As ComfyUI's CLIP and VAE."""

    def __init__(self, patcher):
        self.patcher = patcher


class FakeLoaded:
    """As ComfyUI's LoadedModel: the patcher by weak reference."""

    def __init__(self, patcher):
        self.ref = weakref.ref(patcher)

    @property
    def model(self):
        return self.ref()


class FakeCaches:
    """An executor whose node cache holds these outputs."""

    def __init__(self, **outputs):
        self.entries = {key.lstrip("n"): SimpleNamespace(outputs=value) for key, value in outputs.items()}
        self.caches = SimpleNamespace(outputs=self)

    def get(self, node_id):
        return self.entries.get(node_id)


class Machine:
    """Residents over a made-up list of loaded models."""

    def __init__(self):
        self.loaded = []
        self.loads = []
        self.residents = Residents(SimpleNamespace(model_loads=self.loads.append), lambda: self.loaded)

    def load(self, *patchers):
        self.loaded[:] = [FakeLoaded(each) for each in patchers]


@pytest.fixture
def machine():
    return Machine()


def test_a_file_is_resident_while_the_model_made_from_it_is_loaded(machine):
    patcher, clip = FakePatcher(size=500), FakePatcher(size=90)
    ran = FakeCaches(n1=[[patcher], [FakeHolder(clip)]])
    machine.residents.ran(ran, CHECKPOINT)
    assert machine.residents.models() == frozenset()
    machine.load(patcher, clip)
    assert machine.residents.models() == {"xl.safetensors"}
    machine.load(clip)  # the small part alone
    assert machine.residents.models() == frozenset()
    machine.load()
    assert machine.residents.models() == frozenset()


def test_a_clone_that_is_loaded_in_place_of_the_original_counts(machine):
    patcher = FakePatcher()
    ran = FakeCaches(n1=[[patcher]])
    machine.residents.ran(ran, CHECKPOINT)
    clone = patcher.clone()
    machine.load(clone)
    assert machine.residents.models() == {"xl.safetensors"}


def test_a_lora_is_resident_with_the_model_that_it_changes(machine):
    base = FakePatcher()
    changed = base.clone()
    prompt = {**CHECKPOINT, "2": {"class_type": "LoraLoader", "inputs": {"lora_name": "ink.safetensors"}}}
    ran = FakeCaches(n1=[[base]], n2=[[changed]])
    machine.residents.ran(ran, prompt)
    machine.load(changed)
    assert machine.residents.models() == {"xl.safetensors", "ink.safetensors"}


def test_models_in_the_pipes_of_other_packs_are_found(machine):
    patcher = FakePatcher()
    ran = FakeCaches(n1=[[{"pipe": (1, "text", [FakeHolder(SimpleNamespace(patcher=patcher))])}]])
    machine.residents.ran(ran, CHECKPOINT)
    machine.load(patcher)
    assert machine.residents.models() == {"xl.safetensors"}


def test_a_model_that_comfyui_does_not_track_is_resident_while_it_lives(machine):
    upscaler, picture = FakeModel(), SimpleNamespace(shape=(1, 2))
    ran = FakeCaches(n1=[[upscaler], [picture]])
    machine.residents.ran(ran, {"1": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "4x.pth"}}})
    assert machine.residents.models() == {"4x.pth"}
    del upscaler
    ran.entries.clear()
    gc.collect()
    assert machine.residents.models() == frozenset()


def test_nothing_is_kept_alive_and_the_dead_are_forgotten(machine):
    patcher = FakePatcher()
    watched = weakref.ref(patcher.model)
    machine.load(patcher)
    machine.residents.ran(FakeCaches(n1=[[patcher]]), CHECKPOINT)
    assert machine.residents.models() == {"xl.safetensors"}
    del patcher
    gc.collect()
    assert watched() is None
    assert machine.residents.models() == frozenset()
    assert machine.residents.count() == 0
    machine.residents.ran(FakeCaches(), {})
    assert machine.residents._files == {}


def test_loads_are_counted_from_run_to_run(machine):
    first, second = FakePatcher(), FakePatcher()
    for loaded in ((), (first,), (first,), (first.clone(), second), (second,), (first,)):
        machine.load(*loaded)
        machine.kept = loaded
        machine.residents.ran(FakeCaches(), {})
    assert machine.loads == [0, 1, 0, 0 + 1, 0, 1]


class Hostile:
    """Fails in its own way whatever is asked of it."""

    def __getattr__(self, name):
        raise RuntimeError("hands off")


async def later():
    return None


@pytest.mark.parametrize(
    ("executor", "prompt"),
    [
        (SimpleNamespace(), CHECKPOINT),
        (SimpleNamespace(caches=SimpleNamespace(outputs=None)), CHECKPOINT),
        (SimpleNamespace(caches=SimpleNamespace(outputs=SimpleNamespace(get=lambda _: later()))), CHECKPOINT),
        (FakeCaches(n1=[[Hostile()]]), CHECKPOINT),
    ],
)
def test_a_comfyui_that_is_built_differently_is_told_once_and_nothing_is_resident(machine, executor, prompt, caplog):
    with caplog.at_level(logging.WARNING, "expeditor.host"):
        for _ in range(3):
            machine.residents.ran(executor, prompt)
    assert machine.residents.models() == frozenset()
    assert len(caplog.records) == 1
    assert "jobs are not ordered by it" in caplog.text


def test_one_odd_node_hides_no_other(machine):
    patcher = FakePatcher()
    prompt = {**CHECKPOINT, "2": {"class_type": "Odd", "inputs": {"file": "odd.ckpt"}}}
    machine.residents.ran(FakeCaches(n1=[[patcher]], n2=[[Hostile()]]), prompt)
    machine.load(patcher)
    assert machine.residents.models() == {"xl.safetensors"}


@pytest.mark.parametrize("prompt", [None, [], {"1": None}, {"1": {"inputs": 5}}])
def test_odd_prompts_teach_nothing(machine, prompt):
    machine.residents.ran(FakeCaches(n1=[[FakePatcher()]]), prompt)
    assert machine.residents.models() == frozenset()


def test_a_list_of_loaded_models_that_cannot_be_read_means_none(caplog):
    def fails():
        raise AttributeError("no such list")

    residents = Residents(SimpleNamespace(model_loads=lambda _: None), fails)
    patcher = FakePatcher()
    with caplog.at_level(logging.WARNING, "expeditor.host"):
        residents.ran(FakeCaches(n1=[[patcher]]), CHECKPOINT)
        assert residents.models() == frozenset()
        assert residents.count() == 0
    assert patcher.model is not None


def test_the_newer_node_cache_is_asked_without_its_providers(machine):
    patcher = FakePatcher()
    caches = FakeCaches(n1=[[patcher]])
    caches.get_local, caches.get = caches.get, lambda _: later()
    machine.residents.ran(caches, CHECKPOINT)
    machine.load(patcher)
    assert machine.residents.models() == {"xl.safetensors"}
