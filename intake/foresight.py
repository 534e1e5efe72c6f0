"""What core will say about a prompt's inputs, without core's price.

Core validates output by output and reports quadratically, and some of its refusals are bare exception texts. This
works out the same verdict in linear time: which outputs fail, and because of which nodes. Used in front of stock
``/prompt`` only where core's own answer would hurt or say nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..jobs.errors import Fault
from .links import Edge, Links, cycle_fault, cycles, order_of

_HARMFUL_PAIRS = 2_500
_HARMFUL_VISITS = 1_000_000


@dataclass(frozen=True, slots=True)
class Foresight:
    """Core's verdict foreseen: ``faults`` of the nodes it would visit, and how many of its ``outputs`` fail."""

    faults: tuple[Fault, ...]
    outputs: int
    failing_outputs: int
    faulty_nodes: int
    visited_nodes: int
    good_outputs: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Core refuses: it has outputs and none of them is good."""
        return self.outputs > 0 and self.failing_outputs == self.outputs

    @property
    def costly(self) -> bool:
        """Core's report would be so large that it blocks the server."""
        return (
            self.failing_outputs * self.faulty_nodes > _HARMFUL_PAIRS
            or self.failing_outputs * self.visited_nodes > _HARMFUL_VISITS
        )


def foresee(
    prompt: dict[str, dict[str, Any]],
    outputs: list[str],
    links: Links,
    node_faults: Callable[[str], list[Fault]],
    declared: Callable[[str], frozenset[str] | None],
) -> Foresight:
    """Foresee core's verdict. ``declared`` gives the declared input names of a node (None: not known, all count);
    ``node_faults`` its faults; ``outputs`` the output nodes that core would validate."""
    edges = {node_id: _declared_only(own, declared(node_id)) for node_id, own in links.edges.items()}
    visited = _upstream(outputs, edges)
    faults: list[Fault] = []
    for node_id in prompt:
        if node_id in visited:
            faults += [fault for fault in node_faults(node_id) if fault.core_type is not None]
    faulty = {fault.node_id for fault in faults if fault.node_id is not None}
    in_cycle = _cycle_faults(prompt, edges, visited)
    bad = _downstream(faulty | {step for steps, _ in in_cycle for step in steps}, edges, visited)
    return Foresight(
        (*(fault for _, fault in in_cycle), *faults),
        len(outputs),
        sum(1 for output in outputs if output in bad),
        len(faulty),
        len(visited),
        tuple(output for output in outputs if output not in bad),
    )


def hurting_links(
    links: Links, good_outputs: tuple[str, ...], declared: Callable[[str], frozenset[str] | None]
) -> list[Fault]:
    """Dangling links that core does not see but its worker follows: in undeclared inputs of nodes that would run.

    Stock ComfyUI accepts such a prompt and loses its worker thread over it.
    """
    running = _upstream(list(good_outputs), links.edges)
    found: list[Fault] = []
    for fault in links.dangling:
        names = declared(fault.node_id or "")
        if fault.node_id in running and (names is None or fault.input_name not in names):
            found.append(fault)
    return found


def _declared_only(edges: list[Edge], names: frozenset[str] | None) -> list[Edge]:
    return edges if names is None else [edge for edge in edges if edge.name in names]


def _upstream(outputs: list[str], edges: dict[str, list[Edge]]) -> set[str]:
    seen = set(outputs)
    todo = list(outputs)
    while todo:
        for edge in edges.get(todo.pop(), ()):
            if edge.source not in seen:
                seen.add(edge.source)
                todo.append(edge.source)
    return seen


def _downstream(faulty: set[str], edges: dict[str, list[Edge]], visited: set[str]) -> set[str]:
    readers: dict[str, list[str]] = {}
    for node_id in visited:
        for edge in edges.get(node_id, ()):
            readers.setdefault(edge.source, []).append(node_id)
    bad = set(faulty)
    todo = list(faulty)
    while todo:
        for reader in readers.get(todo.pop(), ()):
            if reader not in bad:
                bad.add(reader)
                todo.append(reader)
    return bad


def _cycle_faults(
    prompt: dict[str, dict[str, Any]], edges: dict[str, list[Edge]], visited: set[str]
) -> list[tuple[list[str], Fault]]:
    # Only cycles of declared inputs among visited nodes: core's validation does not see the others.
    _, stuck = order_of(prompt, edges)
    return [([node_id for node_id, _ in steps], cycle_fault(prompt, steps)) for steps in cycles(edges, stuck & visited)]
