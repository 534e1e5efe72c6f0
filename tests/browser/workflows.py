"""Workflows in the editor's format, built from a few words: only what the browser tests open."""

from __future__ import annotations

from typing import Any


def node(
    number: int, kind: str, values: list[Any], inputs: list[tuple[str, str, int]] = (), outputs: list[str] = ()
) -> dict[str, Any]:
    """One node; `inputs` are (name, type, link), `outputs` the types."""
    return {
        "id": number,
        "type": kind,
        "pos": [40 + 620 * ((number - 1) % 3), 120 + 480 * ((number - 1) // 3)],
        "size": [380, 300],
        "flags": {},
        "order": number - 1,
        "mode": 0,
        "inputs": [{"name": name, "type": type_, "link": link} for name, type_, link in inputs],
        "outputs": [{"name": type_, "type": type_, "links": []} for type_ in outputs],
        "properties": {"Node name for S&R": kind},
        "widgets_values": values,
    }


def workflow(nodes: list[dict[str, Any]], links: list[tuple[int, int, int, int, int, str]]) -> dict[str, Any]:
    """A workflow; `links` are (link, from node, its output, to node, its input, type)."""
    by_id = {each["id"]: each for each in nodes}
    for link, source, output, *_ in links:
        by_id[source]["outputs"][output]["links"].append(link)
    return {
        "last_node_id": max(by_id),
        "last_link_id": max((link[0] for link in links), default=0),
        "nodes": nodes,
        "links": [list(link) for link in links],
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def text_workflow(text: str) -> dict[str, Any]:
    """A text, shown: ends at once."""
    return workflow(
        [
            node(1, "PrimitiveString", [text], outputs=["STRING"]),
            node(2, "PreviewAny", [], [("source", "*", 1)]),
        ],
        [(1, 1, 0, 2, 0, "STRING")],
    )


def waiting_workflow(label: str, timeout_s: float = 120) -> dict[str, Any]:
    """Waits at node 1, shows the message at node 2."""
    return workflow(
        [
            node(1, "WaitForMessage", [label, timeout_s, "", "use default"], outputs=["STRING"]),
            node(2, "PreviewAny", [], [("source", "*", 1)]),
        ],
        [(1, 1, 0, 2, 0, "STRING")],
    )


def twice_waiting_workflow(label: str) -> dict[str, Any]:
    """Node 3 waits twice at once, as it is mapped over a list of two images; node 4 shows both messages."""
    return workflow(
        [
            node(1, "EmptyImage", [16, 16, 2, 0], outputs=["IMAGE"]),
            node(2, "RebatchImages", [1], [("images", "IMAGE", 1)], ["IMAGE"]),
            node(3, "WaitForMessage", [label, 120, "", "use default"], [("after", "*", 2)], ["STRING"]),
            node(4, "PreviewAny", [], [("source", "*", 3)]),
        ],
        [(1, 1, 0, 2, 0, "IMAGE"), (2, 2, 0, 3, 0, "IMAGE"), (3, 3, 0, 4, 0, "STRING")],
    )


def failing_workflow(error: str, times: int, key: str) -> dict[str, Any]:
    """A test node that raises on its first `times` runs under `key`, then succeeds."""
    return workflow([node(1, "ExpeditorTestRaises", [error, "out of reach", times, key])], [])


def gate_workflow(name: str) -> dict[str, Any]:
    """A test node that runs until the file `name` is in ComfyUI's input folder."""
    return workflow([node(1, "ExpeditorTestGate", [name])], [])


def slow_picture_workflow(seconds: float, color: int) -> dict[str, Any]:
    """Node 2 sleeps in a hundred steps with a preview each, and node 3 saves a picture of one colour."""
    return workflow(
        [
            node(1, "EmptyImage", [256, 256, 1, color], outputs=["IMAGE"]),
            node(2, "ExpeditorTestSleepy", [seconds, 100, color, True], outputs=["FLOAT"]),
            node(3, "SaveImage", ["elsewhere"], [("images", "IMAGE", 1)]),
        ],
        [(1, 1, 0, 3, 0, "IMAGE")],
    )
