"""Graphs that differ from one that passed in plain values alone, all of them settled by the declarations: known at a glance.

Owns what such graphs have in common (their *likeness*) and the memory of those that passed. A likeness stands for every node with its
id, its class as it is declared now, the names of its inputs and where its links come from; of plain values it only says that each is
one that ComfyUI takes by the declaration alone. A node that judges its inputs itself, or that may have more inputs than it declares,
has none, and neither has its graph: those are judged anew each time. Pure; not thread-safe: used on the loop.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from ..jobs.definitions import NodeDefinition
from .inputs import InputStage
from .links import is_link

Prompt = dict[str, dict[str, Any]]
V = TypeVar("V")
CAPACITY = 1024
"""How many likenesses are remembered; each costs about a hundred bytes."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """``key`` is equal for graphs that are alike. ``whole``: integers that ComfyUI makes floats of, as (inputs, name)."""

    key: bytes
    whole: tuple[tuple[dict[str, Any], str], ...] = ()

    def settle(self) -> None:
        """Make of the graph's plain values what ComfyUI's validation makes of them."""
        for inputs, name in self.whole:
            inputs[name] = float(inputs[name])


def likeness_of(
    sent: Prompt, filled: Prompt, definition_of: Callable[[str], NodeDefinition | None], stage: InputStage
) -> Likeness | None:
    """The likeness of a graph of sound shape, ``filled`` with defaults; None if it must be judged anew whatever is known."""
    parts: list[object] = []
    whole: list[tuple[dict[str, Any], str]] = []
    for node_id, node in filled.items():
        definition = definition_of(node["class_type"])
        plain = None if definition is None else stage.plain(definition)
        if definition is None or plain is None:
            return None
        inputs = cast("dict[str, Any]", node["inputs"])
        names: list[object] = []
        for name, value in inputs.items():
            if type(value) is list:
                if not is_link(cast("object", value)):
                    return None
                names.append((name, *cast("list[Any]", value)))
                continue
            names.append(name)
            judged = plain.get(name)
            if judged is None:
                continue  # not declared: neither we nor ComfyUI look at it
            if not judged.accepts(value):
                return None
            if type(value) is not judged.kept_type:
                if judged.kept_type is not float:
                    return None
                whole.append((inputs, name))
        # A default that is filled in is not the same as one that was sent: an undeclared name beside it may be a slip.
        given = () if node is sent[node_id] else tuple(sent[node_id]["inputs"])
        parts.append((node_id, definition.fingerprint, names, given))
    text = repr(parts).encode("utf-8", "surrogatepass")
    return Likeness(hashlib.blake2b(text, digest_size=32).digest(), tuple(whole))


class Remembered(Generic[V]):
    """What is known by key; the one that was asked for longest ago is forgotten first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Hold at most ``capacity``."""
        self._capacity = capacity
        self._known: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable) -> V | None:
        """What was put under ``key``, or None."""
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def put(self, key: Hashable, value: V) -> None:
        """Remember it."""
        self._known[key] = value
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
