"""Links, cycles and chains, in all inputs of all nodes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expeditor.intake.links import LONGEST_CHAIN, chain_fault, cycle_fault, cycles, is_link, order_of, read_links

OUTPUTS = {"One": ("IMAGE",), "Two": ("IMAGE", "MASK"), "None": ()}


def links_of(prompt: dict[str, Any]) -> Any:
    return read_links(prompt, OUTPUTS.get)


def node(class_type: str = "One", **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


@pytest.mark.parametrize(
    ("value", "link"),
    [
        (["1", 0], True),
        (["1", 0.5], True),
        (["1", False], True),
        (["1", "0"], False),
        (["1", None], False),
        ([1, 0], False),
        (["a", "b"], False),
        (["1"], False),
        (["1", 0, 0], False),
        ("1", False),
        ({"0": "1", "1": 0}, False),
    ],
)
def test_a_link_is_what_comfyui_takes_for_one(value: Any, link: bool) -> None:
    assert is_link(value) is link


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (["2", 0], None),
        (["2", 1], None),
        (["2", -1], None),
        (["2", -2], None),
        (["2", False], None),
        (["2", True], None),
        (["2", 2], "asks for output 2 of a Two, which has 2 outputs"),
        (["2", -3], "asks for output -3"),
        (["2", 0.0], "integer"),
        (["2", float("nan")], "integer"),
        (["2", 10**400], "asks for output"),
        (["9", 0], "not in the prompt"),
        (["3", 0], "which has no outputs"),
        (["4", 7], None),
        ([1, 2], None),
        (["2", "x"], None),
    ],
)
def test_links_must_lead_to_an_output(value: Any, says: str | None) -> None:
    prompt = {"1": node(undeclared=value), "2": node("Two"), "3": node("None"), "4": node("NotKnownHere")}
    dangling = links_of(prompt).dangling
    assert len(dangling) == (0 if says is None else 1)
    if says is not None:
        assert dangling[0].pointer == "/prompt/1/inputs/undeclared"
        assert says in dangling[0].message


def test_pairs_that_only_a_declared_input_takes_for_links_are_noted() -> None:
    prompt = {"1": node(a=[5, 0]), "2": node(a=["1", None]), "3": node(a=[1]), "4": node(a=["1", 0])}
    assert links_of(prompt).odd == {"1", "2"}


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 11), max_size=3), min_size=1, max_size=12))
def test_order_and_cycles_cover_the_graph(targets: list[list[int]]) -> None:
    prompt = {
        str(place): node(**{f"i{n}": [str(target % len(targets)), 0] for n, target in enumerate(own)})
        for place, own in enumerate(targets)
    }
    edges = links_of(prompt).edges
    ordered, stuck = order_of(prompt, edges)
    assert set(ordered) | stuck == set(prompt)
    assert not set(ordered) & stuck
    place = {node_id: n for n, node_id in enumerate(ordered)}
    assert all(place[edge.source] < place[node_id] for node_id in ordered for edge in edges.get(node_id, ()))
    found = cycles(edges, stuck)
    assert bool(found) is bool(stuck)
    for steps in found:
        # Each step's link leads to the next step's node, the last one's to the first.
        assert [edge.source for _, edge in steps] == [*(node_id for node_id, _ in steps[1:]), steps[0][0]]
        assert cycle_fault(prompt, steps).code == "CYCLE"


def test_a_node_without_links_among_its_edges_is_free() -> None:
    prompt = {"1": node(), "2": node(a=["1", 0])}
    assert order_of(prompt, {**links_of(prompt).edges, "1": []}) == (["1", "2"], set())


def test_a_long_cycle_is_told_briefly_and_once() -> None:
    count = 500
    prompt = {str(n): node(a=[str((n + 1) % count), 0]) for n in range(count)}
    edges = links_of(prompt).edges
    _, stuck = order_of(prompt, edges)
    (steps,) = cycles(edges, stuck)
    assert len(steps) == count
    assert len(cycle_fault(prompt, steps).message) < 200


@pytest.mark.parametrize(("length", "refused"), [(LONGEST_CHAIN, False), (LONGEST_CHAIN + 1, True)])
def test_chains_longer_than_comfyui_can_walk_are_refused(length: int, refused: bool) -> None:
    prompt = {str(n): node(**({"a": [str(n - 1), 0]} if n else {})) for n in range(length)}
    prompt["free"] = node()
    edges = links_of(prompt).edges
    ordered, stuck = order_of(prompt, edges)
    assert (chain_fault(ordered, stuck, edges) is not None) is refused


def test_many_nodes_side_by_side_are_no_chain() -> None:
    prompt = {"0": node(), **{str(n): node(a=["0", 0]) for n in range(1, 4000)}}
    edges = links_of(prompt).edges
    assert chain_fault(*order_of(prompt, edges), edges) is None
