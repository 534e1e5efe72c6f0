"""One prompt and the values that its inputs take: which jobs that makes. Pure.

A sweep is an object, or a list of such objects::

    {"zip": {"3.seed": [1, 2], "6.text": ["a", "b"]}, "product": {"3.cfg": [4.0, 8.0]}}

All of one ``zip`` walk together and are one axis; every input of a ``product`` is an axis of its own. The jobs are the product of
all axes in the order in which they stand; the last one changes fastest. An input is named ``node.input``.

Owns the grammar, what may be swept and the faults, each with the pointer of the place in the request. Whether the values fit their
inputs is ``validation``'s.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from ..jobs.errors import Fault, InputInvalid, LimitExceeded, UnknownNode
from ..jobs.model import JsonObject
from .faults import pointer, refusal, short, shown
from .links import is_link

ROOT = "sweep"
ZIP, PRODUCT = "zip", "product"
MAX_FAULTS = 100

Declared = Callable[[str], "frozenset[str] | None"]
"""The inputs that a class declares; None: it cannot be told."""
Place = tuple[str, str]
"""A node's id and the name of an input."""


@dataclass(frozen=True, slots=True)
class Swept:
    """One swept input: its ``key`` as the client wrote it, and where its values stand in the request."""

    key: str
    where: tuple[str | int, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """Inputs that change together."""

    inputs: tuple[Swept, ...]

    @property
    def length(self) -> int:
        """How many steps it has."""
        return len(self.inputs[0].values)


@dataclass(frozen=True, slots=True)
class Step:
    """The value that one job has in one swept input, and its pointer in the request."""

    key: str
    value: Any
    pointer: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep without faults in its grammar."""

    axes: tuple[Axis, ...]

    @property
    def count(self) -> int:
        """How many jobs it makes."""
        return math.prod(axis.length for axis in self.axes)

    @property
    def keys(self) -> tuple[str, ...]:
        """The swept inputs, in their order."""
        return tuple(each.key for axis in self.axes for each in axis.inputs)

    def steps(self, index: int) -> Iterator[Step]:
        """What the job of this index has in each swept input."""
        places: list[int] = []
        for axis in reversed(self.axes):
            index, place = divmod(index, axis.length)
            places.append(place)
        for axis, place in zip(self.axes, reversed(places), strict=True):
            for each in axis.inputs:
                yield Step(each.key, each.values[place], pointer(*each.where, place))

    def values(self, index: int) -> JsonObject:
        """The same by key."""
        return {step.key: step.value for step in self.steps(index)}


@dataclass(frozen=True, slots=True)
class PromptSweep:
    """A sweep of one prompt: ``places`` says which input each key names."""

    sweep: Sweep
    prompt: dict[str, dict[str, Any]]
    places: dict[str, Place]

    def item(self, index: int) -> dict[str, dict[str, Any]]:
        """The prompt of this index; nodes that are not swept are shared with the prompt."""
        made = dict(self.prompt)
        for step in self.sweep.steps(index):
            node_id, name = self.places[step.key]
            node = made[node_id]
            made[node_id] = {**node, "inputs": {**node["inputs"], name: step.value}}
        return made

    def pointers(self, index: int) -> dict[str, str]:
        """Where the values of this index stand in the request, by where a fault of the prompt would point."""
        return {
            pointer("prompt", node_id, "inputs", name): step.pointer
            for step in self.sweep.steps(index)
            for node_id, name in (self.places[step.key],)
        }


def read_sweep(raw: object) -> Sweep:
    """The sweep in ``raw``. Raises ``InputInvalid`` with every fault of its grammar."""
    faults: list[Fault] = []
    parts = list(enumerate(cast("list[object]", raw))) if isinstance(raw, list) else [(None, raw)]
    axes = [axis for place, part in parts for axis in _axes(part, (ROOT,) if place is None else (ROOT, place), faults)]
    if not axes and not faults:
        faults.append(_fault((ROOT,), "The sweep names no input."))
    faults += _twice(axes)
    if faults:
        raise refusal(faults, MAX_FAULTS)
    return Sweep(tuple(axes))


def aim(sweep: Sweep, prompt: dict[str, dict[str, Any]], declared: Declared) -> PromptSweep:
    """The sweep of ``prompt``, whose shape has been checked. Raises a ``Refused`` for inputs that are not there or hold a link,
    and for values that are links."""
    faults: list[Fault] = []
    places: dict[str, Place] = {}
    for axis in sweep.axes:
        for swept in axis.inputs:
            place = _place(swept, prompt, declared, faults)
            if place is not None:
                places[swept.key] = place
            faults += _linked_values(swept)
    faults += _same_place(sweep, places)
    if faults:
        raise refusal(faults, MAX_FAULTS)
    return PromptSweep(sweep, prompt, places)


def check_count(count: int, most: int, where: str) -> None:
    """Refuse more jobs than one batch may have. Raises ``LimitExceeded``."""
    if count > most:
        text = f"That makes {count} jobs; one batch may have {most} (max_batch_jobs)."
        fault = Fault(where, LimitExceeded.code, text, "Send several batches.")
        raise LimitExceeded(text, details={"count": count, "most": most}, faults=(fault,))


# -- grammar -------------------------------------------------------------------------------------------------------------


def _axes(part: object, where: tuple[str | int, ...], faults: list[Fault]) -> Iterator[Axis]:
    if not isinstance(part, dict):
        faults.append(_fault(where, f"A sweep is an object with zip or product, not {shown(part)}."))
        return
    groups = cast("JsonObject", part)
    unknown = [name for name in groups if name not in (ZIP, PRODUCT)]
    for name in unknown[:MAX_FAULTS]:
        hint = f'Did you mean {{"{PRODUCT}": {{"{short(name)}": [...]}}}}?' if "." in name else "Known: zip, product."
        faults.append(_fault((*where, short(name)), f"A sweep has zip and product, not {short(name)}.", hint))
    if not groups:
        faults.append(_fault(where, "The sweep names no input.", "Give it zip or product."))
    for kind in groups:
        if kind in (ZIP, PRODUCT):
            yield from _of_group(kind, groups[kind], (*where, kind), faults)


def _of_group(kind: str, group: object, where: tuple[str | int, ...], faults: list[Fault]) -> Iterator[Axis]:
    if not isinstance(group, dict) or not group:
        text = (
            f"{kind} is an object of lists by node.input, and names one at least; got {shown(cast('object', group))}."
        )
        faults.append(_fault(where, text))
        return
    found: list[Swept] = []
    for key, values in cast("JsonObject", group).items():
        if not isinstance(values, list) or not values:
            text = f"{short(key)} takes a list of values, one at least; got {shown(cast('object', values))}."
            faults.append(_fault((*where, short(key)), text))
        else:
            found.append(Swept(key, (*where, key), tuple(cast("list[Any]", values))))
    if kind == PRODUCT:
        yield from (Axis((swept,)) for swept in found)
    elif found:
        faults += _unequal(found)
        yield Axis(tuple(found))


def _unequal(zipped: list[Swept]) -> list[Fault]:
    first = zipped[0]
    faults: list[Fault] = []
    for each in zipped[1:]:
        if len(each.values) != len(first.values):
            lengths = f"{short(each.key)} has {len(each.values)} values and {short(first.key)} {len(first.values)}"
            faults.append(_fault(each.where, f"The lists of a zip walk together: {lengths}."))
    return faults


def _twice(axes: list[Axis]) -> list[Fault]:
    seen: set[str] = set()
    faults: list[Fault] = []
    for swept in itertools.chain.from_iterable(axis.inputs for axis in axes):
        if swept.key in seen:
            faults.append(_fault(swept.where, f"{short(swept.key)} is swept twice."))
        seen.add(swept.key)
    return faults


# -- against the prompt --------------------------------------------------------------------------------------------------


def _place(swept: Swept, prompt: dict[str, dict[str, Any]], declared: Declared, faults: list[Fault]) -> Place | None:
    splits = [(swept.key[:at], swept.key[at + 1 :]) for at, sign in enumerate(swept.key) if sign == "."]
    if not splits:
        text = f"{short(swept.key)} names no input: write node.input, such as 3.seed."
        faults.append(_fault(swept.where, text))
        return None
    # Ids and names may have dots of their own: the first way to read it that the prompt knows.
    inside = [(node_id, name) for node_id, name in splits if node_id in prompt]
    place = next(((node_id, name) for node_id, name in inside if name in prompt[node_id]["inputs"]), None)
    place = place or next(iter(inside), None)
    if place is None:
        near = difflib.get_close_matches(short(splits[0][0]), list(prompt)[:1000], n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else None
        text = f"The prompt has no node {short(splits[0][0])}."
        faults.append(Fault(pointer(*swept.where), UnknownNode.code, text, hint=hint))
        return None
    return place if _may_be_swept(swept, place, prompt[place[0]], declared, faults) else None


def _may_be_swept(swept: Swept, place: Place, node: dict[str, Any], declared: Declared, faults: list[Fault]) -> bool:
    name, inputs = place[1], cast("JsonObject", node["inputs"])
    if name in inputs:
        if is_link(inputs[name]):
            text = f"{short(swept.key)} holds a link to node {short(inputs[name][0])}; only plain values can be swept."
            faults.append(_fault(swept.where, text, "Sweep the input of the node that it leads to."))
        return not is_link(inputs[name])
    names = declared(node["class_type"])
    if names is None or name in names:
        return True
    known = sorted({*names, *(each for each in inputs if not is_link(inputs[each]))})
    near = difflib.get_close_matches(short(name), known, n=1, cutoff=0.5)
    hint = f"Did you mean {short(place[0])}.{near[0]}?" if near else f"It has {', '.join(known[:20])}."
    text = f"Node {short(place[0])} ({short(node['class_type'])}) has no input {short(name)}."
    faults.append(_fault(swept.where, text, hint))
    return False


def _linked_values(swept: Swept) -> list[Fault]:
    return [
        _fault((*swept.where, at), f"A sweep sets plain values; {shown(value)} is a link.")
        for at, value in enumerate(swept.values)
        if is_link(value)
    ]


def _same_place(sweep: Sweep, places: dict[str, Place]) -> list[Fault]:
    """Two keys that name one input, as dots can be read in two ways."""
    seen: dict[Place, str] = {}
    faults: list[Fault] = []
    for swept in itertools.chain.from_iterable(axis.inputs for axis in sweep.axes):
        place = places.get(swept.key)
        if place is not None and seen.setdefault(place, swept.key) != swept.key:
            faults.append(_fault(swept.where, f"{short(swept.key)} is the same input as {short(seen[place])}."))
    return faults


def _fault(where: tuple[str | int, ...], message: str, hint: str | None = None) -> Fault:
    return Fault(pointer(*where), InputInvalid.code, message, hint=hint)
