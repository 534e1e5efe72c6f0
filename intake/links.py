"""The links of a prompt: do they lead somewhere, and is the graph one that can be walked?

Owns ComfyUI's rule of what counts as a link, dangling links, cycles and chains too long to walk. Looks at all inputs
of all nodes, declared or not, reachable or not: ComfyUI's worker follows them all. Does not judge types (``inputs``).
Everything is iterative and linear in nodes plus links.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from ..jobs.errors import Fault
from .faults import pointer, short, shown

LONGEST_CHAIN = 1000
"""ComfyUI walks chains recursively; beyond Python's recursion limit it loses the worker thread."""

OutputTypes = Callable[[str], "tuple[str, ...] | None"]
"""The output types of a class, or None where they are not known: then indexes into it are core's business."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A sound link: input ``name`` of the node that holds it reads output ``index`` of node ``source``."""

    name: str
    source: str
    index: int


@dataclass(frozen=True, slots=True)
class Links:
    """The links of a prompt: sound ``edges`` by holding node, ``dangling`` ones as faults, and the nodes with a pair
    that core would take for a link if the input is declared (``odd``: ``[5, 0]``, ``["1", null]``)."""

    edges: dict[str, list[Edge]]
    dangling: tuple[Fault, ...]
    odd: frozenset[str]


def is_link(value: object) -> bool:
    """ComfyUI's rule: a list of exactly a string and a number (a boolean or a fraction counts)."""
    if type(value) is not list:
        return False
    pair = cast("list[object]", value)
    return len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], (int, float))


def read_links(prompt: dict[str, dict[str, Any]], output_types: OutputTypes) -> Links:
    """All links of ``prompt``, whose shape has been checked."""
    edges: dict[str, list[Edge]] = {}
    dangling: list[Fault] = []
    odd: set[str] = set()
    counts: dict[str, int | None] = {}
    for node_id, node in prompt.items():
        inputs = cast("dict[str, Any]", node["inputs"])
        for name, value in inputs.items():
            if type(value) is not list:
                continue
            pair = cast("list[Any]", value)
            if not is_link(pair):
                if len(pair) == 2:
                    odd.add(node_id)
                continue
            source, index = pair
            why = _why_dangling(prompt, source, index, counts, output_types)
            if why is None:
                edges.setdefault(node_id, []).append(Edge(name, source, int(index)))
            else:
                dangling.append(link_fault(node_id, node, name, why, pair))
    return Links(edges, tuple(dangling), frozenset(odd))


def link_fault(node_id: str, node: dict[str, Any], name: str, why: str, value: object) -> Fault:
    """The fault of the link ``value`` in input ``name``."""
    return Fault(
        pointer("prompt", node_id, "inputs", name),
        "LINK_INVALID",
        f"Input {short(name)} of node {short(node_id)}: the link {shown(value)} {why}.",
        node_id=node_id,
        class_type=node["class_type"],
        input_name=name,
        core_type="bad_linked_input",
        core_details=f"{short(name)}: {shown(value)} {why}",
    )


def _why_dangling(
    prompt: dict[str, dict[str, Any]],
    source: str,
    index: float,
    counts: dict[str, int | None],
    output_types: OutputTypes,
) -> str | None:
    target = prompt.get(source)
    if target is None:
        return "leads to a node that is not in the prompt"
    if not isinstance(index, int):
        return "must have an integer as output index"
    class_type = target["class_type"]
    if class_type not in counts:
        types = output_types(class_type)
        counts[class_type] = None if types is None else len(types)
    count = counts[class_type]
    # Python counts from the end too, and so does core: -1 is the last output.
    if count is None or -count <= index < count:
        return None
    return f"asks for output {short(index)} of a {short(class_type)}, which has {_outputs(count)}"


def _outputs(count: int) -> str:
    return "no outputs" if count == 0 else "1 output" if count == 1 else f"{count} outputs"


def order_of(prompt: dict[str, Any], edges: dict[str, list[Edge]]) -> tuple[list[str], set[str]]:
    """The nodes in an order in which each follows its sources, and those that have none because they are in a cycle or
    read from one."""
    waiting = {node_id: len(own) for node_id, own in edges.items() if own}
    readers: dict[str, list[str]] = {}
    for node_id, own in edges.items():
        for edge in own:
            readers.setdefault(edge.source, []).append(node_id)
    ordered = [node_id for node_id in prompt if node_id not in waiting]
    for node_id in ordered:  # grows while it is walked
        for reader in readers.get(node_id, ()):
            waiting[reader] -= 1
            if waiting[reader] == 0:
                ordered.append(reader)
    return ordered, {node_id for node_id, left in waiting.items() if left}


def cycles(edges: dict[str, list[Edge]], stuck: set[str]) -> list[list[tuple[str, Edge]]]:
    """Cycles among ``stuck`` nodes (see ``order_of``), each as its steps ``(node, edge to the next)``. Every stuck node
    is in one of them or reads from one; cycles that share nodes are told once."""
    found: list[list[tuple[str, Edge]]] = []
    seen: set[str] = set()
    for start in stuck:
        path: list[tuple[str, Edge]] = []
        place: dict[str, int] = {}
        node_id = start
        while node_id not in seen:
            seen.add(node_id)
            place[node_id] = len(path)
            # A stuck node has a stuck source, or it would have been ordered.
            edge = next(edge for edge in edges[node_id] if edge.source in stuck)
            path.append((node_id, edge))
            node_id = edge.source
        if node_id in place:
            found.append(path[place[node_id] :])
    return found


def cycle_fault(prompt: dict[str, dict[str, Any]], steps: list[tuple[str, Edge]]) -> Fault:
    """The fault of one cycle, at its first link."""
    node_id, edge = steps[0]
    names = [short(step[0]) for step in steps]
    shown_names = names if len(names) <= 12 else [*names[:11], "…", names[-1]]
    path = " → ".join([*shown_names, short(node_id)])
    return Fault(
        pointer("prompt", node_id, "inputs", edge.name),
        "CYCLE",
        f"The links form a cycle: {path}.",
        node_id=node_id,
        class_type=prompt[node_id]["class_type"],
        input_name=edge.name,
        core_type="dependency_cycle",
        core_details=path,
    )


def chain_fault(ordered: list[str], stuck: set[str], edges: dict[str, list[Edge]]) -> Fault | None:
    """The fault of a graph whose longest chain ComfyUI could not walk. Free for graphs of fewer nodes than that."""
    if len(ordered) + len(stuck) <= LONGEST_CHAIN:
        return None
    lengths: dict[str, int] = {}
    longest = 0
    for node_id in ordered:
        length = 1 + max((lengths[edge.source] for edge in edges.get(node_id, ())), default=0)
        lengths[node_id] = length
        longest = max(longest, length)
    if longest + len(stuck) <= LONGEST_CHAIN:
        return None
    text = f"The links form a chain of {longest + len(stuck)} nodes; ComfyUI can walk {LONGEST_CHAIN}."
    return Fault("/prompt", "LIMIT_EXCEEDED", text)
