"""Which model files are in memory now, learned from what runs leave behind.

ComfyUI knows which models it has loaded, but not the files that they came from. After a run the outputs of its loading
nodes are still in the executor's cache: they join a file's name with the model objects made from it. These are
remembered by weak reference alone, so no model lives longer than ComfyUI wants it to; the list of loaded models then says
which files are resident. On a ComfyUI that is built differently nothing is resident and affinity rests.

Not owned: which files a node names (``jobs.models_named``) and what is done with the answer (``jobs.affinity``). Used by
ComfyUI's worker thread, but for ``count`` and ``models``; never raises.
"""

from __future__ import annotations

import inspect
import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from ..jobs.models_named import models_of

log = logging.getLogger("expeditor.host")

NESTING = 5
"""How deep lists and dictionaries are looked into; a node's outputs are two deep by themselves."""

HOLDING = 3
"""How far a model is looked for behind the objects that hold it."""

WIDTH = 64
"""How many things are looked at in each list."""

_HOLDERS = ("patcher", "control_model_wrapped", "model")


class ModelLoads(Protocol):
    """Where loads are counted."""

    def model_loads(self, count: int) -> None:
        """So many models are loaded that were not when last looked at, after the run before."""
        ...


@dataclass(frozen=True, slots=True)
class _Model:
    """A model object. ``tracked``: ComfyUI loads and unloads it; any other is resident as long as it lives."""

    ref: weakref.ref[Any]
    size_bytes: int
    tracked: bool


@dataclass(slots=True)
class _Loaded:
    """The loaded models when last looked at: weak, so that a new object at an old address is not taken for the old one."""

    refs: dict[int, weakref.ref[Any]] = field(default_factory=lambda: {})

    def replace(self, models: Iterable[Any]) -> int:
        """Remember these; how many of them were not there before."""
        before = {key for key, ref in self.refs.items() if ref() is not None}
        self.refs = {id(model): weakref.ref(model) for model in models}
        return len(self.refs.keys() - before)


class Residents:
    """The model files in memory. Fits ``dispatch.ports.Resident``."""

    def __init__(self, loads: ModelLoads, loaded_models: Callable[[], Iterable[Any]] | None = None) -> None:
        """``loaded_models``: ComfyUI's list (``comfy_loaded``), each with a ``model`` that is a patcher."""
        self._loads = loads
        self._loaded_models = loaded_models or comfy_loaded
        self._files: dict[str, tuple[_Model, ...]] = {}
        self._last = _Loaded()
        self._told: set[str] = set()

    def models(self) -> frozenset[str]:
        """The files most of whose weights belong to models that are loaded now."""
        try:
            return self._resident() if self._files else frozenset()
        except Exception as error:  # noqa: BLE001 - another ComfyUI may differ in any way; without affinity all still runs
            self._tell("what is in memory", error)
            return frozenset()

    def ran(self, executor: Any, prompt: Any) -> None:
        """A run has ended, well or not: learn which models its nodes made from which files."""
        try:
            self._forget_the_dead()
            if isinstance(prompt, dict):
                self._learn(executor.caches.outputs, cast("dict[str, Any]", prompt))
            self._loads.model_loads(self._last.replace(self._loaded()))
        except Exception as error:  # noqa: BLE001 - see ``models``
            self._tell("which models a run has loaded", error)

    def count(self) -> int:
        """How many models are loaded now; from any thread."""
        try:
            return sum(1 for _ in self._loaded())
        except Exception as error:  # noqa: BLE001 - see ``models``
            self._tell("how many models are loaded", error)
            return 0

    def _learn(self, cache: Any, prompt: Mapping[str, Any]) -> None:
        """For each file that the prompt's nodes name: the models found in what those nodes put out."""
        made: dict[str, dict[int, _Model]] = {}
        for node_id, node in prompt.items():
            names = models_of(node)
            outputs = _cached_outputs(cache, node_id) if names else None
            if outputs is None:
                continue
            try:
                found = {id(model.ref()): model for model in _models_in(outputs)}
            except Exception as error:  # noqa: BLE001 - other packs' objects may fail in any way when looked at
                self._tell(f"what a node of class {node.get('class_type')} has loaded", error)
                continue
            for name in names:
                made.setdefault(name, {}).update(found)
        self._files.update({name: tuple(models.values()) for name, models in made.items() if models})

    def _resident(self) -> frozenset[str]:
        loaded = {id(model) for model in self._loaded()}
        return frozenset(name for name, models in list(self._files.items()) if _most(models, loaded))

    def _loaded(self) -> Iterator[Any]:
        for entry in list(self._loaded_models()):
            model = getattr(entry.model, "model", None)
            if model is not None:
                yield model

    def _forget_the_dead(self) -> None:
        dead = [name for name, models in self._files.items() if all(model.ref() is None for model in models)]
        for name in dead:
            del self._files[name]

    def _tell(self, what: str, error: Exception) -> None:
        if what not in self._told:
            self._told.add(what)
            log.warning(
                "It cannot be seen %s, so jobs are not ordered by it: %s: %s",
                what,
                type(error).__name__,
                error,
                extra={"event": "residents.unknown"},
            )


def comfy_loaded() -> Iterable[Any]:
    """ComfyUI's own list of loaded models."""
    from comfy import model_management

    return cast("Iterable[Any]", model_management.current_loaded_models)


def _most(models: tuple[_Model, ...], loaded: set[int]) -> bool:
    sizes = [(one.size_bytes, _is_in_memory(one, loaded)) for one in models]
    return 2 * sum(size for size, there in sizes if there) > sum(size for size, _ in sizes)


def _is_in_memory(one: _Model, loaded: set[int]) -> bool:
    model = one.ref()
    return model is not None and (not one.tracked or id(model) in loaded)


def _cached_outputs(cache: Any, node_id: str) -> Any:
    entry = getattr(cache, "get_local", cache.get)(node_id)
    if inspect.iscoroutine(entry):
        entry.close()
        raise TypeError("the node cache answers later")
    return getattr(entry, "outputs", None)


def _models_in(outputs: Any) -> list[_Model]:
    """The models that ComfyUI loads and unloads; if there are none, the objects that live as long as they are cached."""
    patchers = list(_patchers(outputs, HOLDING))
    if patchers:
        return [_Model(weakref.ref(each.model), max(1, _size_bytes(each)), tracked=True) for each in patchers]
    return [_Model(ref, 1, tracked=False) for ref in map(_weak, _things(outputs, NESTING)) if ref is not None]


def _patchers(value: Any, depth: int) -> Iterator[Any]:
    if depth < 0:
        return
    for thing in _things(value, NESTING):
        if _is_patcher(thing):
            yield thing
            continue
        for name in _HOLDERS:
            held = getattr(thing, name, None)
            if held is not None and held is not thing:
                yield from (_patchers(held, depth - 1) if not _is_patcher(held) else (held,))


def _things(value: Any, depth: int) -> Iterator[Any]:
    """The objects in lists and dictionaries, however nested up to ``depth``."""
    if isinstance(value, dict):
        value = list(cast("dict[Any, Any]", value).values())
    if isinstance(value, (list, tuple)):
        if depth > 0:
            for each in cast("list[Any]", value)[:WIDTH]:
                yield from _things(each, depth - 1)
    elif not isinstance(value, (str, bytes, int, float, type(None))):
        yield value


def _is_patcher(thing: Any) -> bool:
    return callable(getattr(thing, "is_clone", None)) and hasattr(thing, "load_device") and hasattr(thing, "model")


def _size_bytes(patcher: Any) -> int:
    size = patcher.model_size() if callable(getattr(patcher, "model_size", None)) else 0
    return int(size)


def _weak(thing: Any) -> weakref.ref[Any] | None:
    # Tensors (they have a shape) are what a node makes with a model, not a model.
    try:
        return None if hasattr(thing, "shape") else weakref.ref(thing)
    except TypeError:
        return None
