"""What ComfyUI's executor keeps of finished nodes, taken aside for a parked prompt and put back before it goes on.

Owns the form of the executor's caches, found by their features and not by version: entries by input signature, with caches of the same
form below for nodes that expand. Also what makes the signatures equal again: the values by which nodes say that they changed, which may
equal nothing but themselves. Does not own when (``parking``). All on ComfyUI's worker thread, but for letting go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

SIDE_BOOKS = ("used_generation", "children", "timestamps")
"""What caches of some kinds note beside each entry, by the same key; an entry without them would break these."""
DEEPEST = 8
"""How deep tensors are looked for in what a node gave."""


@dataclass(frozen=True, slots=True)
class KeptCache:
    """The entries of one cache, what it notes beside them, and the caches below it with the objects they were."""

    entries: dict[Any, Any]
    beside: dict[str, dict[Any, Any]] = field(default_factory=dict[str, dict[Any, Any]])
    below: dict[Any, tuple[Any, KeptCache]] = field(default_factory=lambda: {})


@dataclass(frozen=True, slots=True)
class KeptRun:
    """All that is kept of a run. ``changed``: what nodes said of their changes, by node id and class."""

    cache: KeptCache
    changed: Mapping[tuple[str, str], Any]


def kept_of(outputs: Any) -> KeptCache | None:
    """A shallow copy of what ``executor.caches.outputs`` holds for the prompt at hand; None for a cache of another form."""
    entries, below, keys = (getattr(outputs, name, None) for name in ("cache", "subcaches", "cache_key_set"))
    if not isinstance(entries, dict) or not isinstance(below, dict) or keys is None:
        return None
    wanted = {key for key in keys.get_used_keys() if key in entries}
    books: dict[str, dict[Any, Any]] = {
        name: book for name in SIDE_BOOKS if isinstance(book := getattr(outputs, name, None), dict)
    }
    beside = {name: {key: book[key] for key in wanted if key in book} for name, book in books.items()}
    caches = {key: (cache, kept_of(cache)) for key, cache in cast("dict[Any, Any]", below).items()}
    return KeptCache(
        entries={key: entries[key] for key in wanted},
        beside=beside,
        below={key: (cache, kept) for key, (cache, kept) in caches.items() if kept is not None},
    )


def put_back(kept: KeptCache, outputs: Any) -> None:
    """Put the copy into ``executor.caches.outputs`` beside what is there."""
    outputs.cache.update({key: _on_device(entry) for key, entry in kept.entries.items()})
    for name, book in kept.beside.items():
        getattr(outputs, name).update(book)
    if "used_generation" in kept.beside:  # as of now: these entries are wanted again
        outputs.used_generation.update(dict.fromkeys(kept.entries, getattr(outputs, "generation", 0)))
    for key, (cache, below) in kept.below.items():
        there = outputs.subcaches.setdefault(key, cache)
        if there is cache:  # another prompt may have emptied it meanwhile
            there.cache, there.subcaches = dict(there.cache), dict(there.subcaches)
        put_back(below, there)


def size_bytes(kept: KeptCache) -> int:
    """The bytes of all tensors and models in it, each counted once."""
    seen: dict[int, int] = {}
    for entry in _entries(kept):
        for part in _parts(entry):
            _weigh(part, seen)
    return sum(seen.values())


def off_device(kept: KeptCache) -> KeptCache:
    """The same with every tensor in main memory; ``put_back`` brings them where they were."""
    return KeptCache(
        entries={key: _off_device(entry) for key, entry in kept.entries.items()},
        beside=kept.beside,
        below={key: (cache, off_device(below)) for key, (cache, below) in kept.below.items()},
    )


def changed_of(prompt: Any) -> dict[tuple[str, str], Any]:
    """What the nodes of an executed prompt said of their changes: core notes it in the prompt."""
    nodes = cast("dict[str, Any]", prompt) if isinstance(prompt, dict) else {}
    said = {node_id: cast("dict[str, Any]", node) for node_id, node in nodes.items() if isinstance(node, dict)}
    return {
        (key, str(node.get("class_type"))): node["is_changed"] for key, node in said.items() if "is_changed" in node
    }


def say_changed(prompt: Any, changed: Mapping[tuple[str, str], Any]) -> None:
    """Note the same in the prompt that goes on: nodes are not asked anew, and their signatures are the old ones."""
    for (node_id, class_type), said in changed.items():
        node = prompt.get(node_id)
        if isinstance(node, dict) and cast("dict[str, Any]", node).get("class_type") == class_type:
            node["is_changed"] = said


@dataclass(frozen=True, slots=True)
class _Moved:
    """A tensor in main memory that was elsewhere."""

    tensor: Any
    device: Any


def _entries(kept: KeptCache) -> Iterator[Any]:
    yield from kept.entries.values()
    for _, below in kept.below.values():
        yield from _entries(below)


def _parts(value: Any, depth: int = 0) -> Iterator[Any]:
    if depth > DEEPEST:
        return
    if isinstance(value, dict):
        inner = cast("dict[Any, Any]", value).values()
    elif isinstance(value, (list, tuple)):
        inner = cast("list[Any]", value)
    else:
        yield value
        return
    for one in inner:
        yield from _parts(one, depth + 1)


def _weigh(part: Any, seen: dict[int, int]) -> None:
    if isinstance(part, _Moved):
        part = part.tensor
    if _is_tensor(part):
        storage = part.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return
    patcher = getattr(part, "patcher", part)
    size = getattr(patcher, "model_size", None)
    if callable(size) and hasattr(patcher, "model"):
        seen[id(patcher.model)] = int(cast("int", size()))


def _is_tensor(part: Any) -> bool:
    return hasattr(part, "untyped_storage") and hasattr(part, "device")


def _off_device(value: Any) -> Any:
    return _mapped(
        value,
        lambda part: _Moved(part.to("cpu"), part.device) if _is_tensor(part) and part.device.type != "cpu" else part,
    )


def _on_device(value: Any) -> Any:
    return _mapped(value, lambda part: part.tensor.to(part.device) if isinstance(part, _Moved) else part)


def _mapped(value: Any, change: Callable[[Any], Any], depth: int = 0) -> Any:
    """The value with its parts changed; itself where none was, as somebody may know it by identity."""
    if depth > DEEPEST:
        return value
    if type(value) is dict:
        found = cast("dict[Any, Any]", value)
        changed: Any = {key: _mapped(one, change, depth + 1) for key, one in found.items()}
        return found if all(changed[key] is one for key, one in found.items()) else changed
    if isinstance(value, (list, tuple)):
        parts: Any = cast("Any", value)
        items = [_mapped(one, change, depth + 1) for one in parts]
        if all(new is old for new, old in zip(items, parts, strict=True)):
            return parts
        return type(parts)(*items) if hasattr(parts, "_fields") else type(parts)(items)
    return change(value)
