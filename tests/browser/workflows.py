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


COLOURS = (0xFF0000, 0x00FF00, 0x0000FF)


def _three_pictures() -> tuple[list[dict[str, Any]], list[tuple[int, int, int, int, int, str]]]:
    """Nodes 1 to 5: a red, a green and a blue picture as one batch, which comes out of node 5."""
    nodes = [node(n, "EmptyImage", [96, 64, 1, color], outputs=["IMAGE"]) for n, color in enumerate(COLOURS, 1)]
    nodes.append(node(4, "ImageBatch", [], [("image1", "IMAGE", 1), ("image2", "IMAGE", 2)], ["IMAGE"]))
    nodes.append(node(5, "ImageBatch", [], [("image1", "IMAGE", 3), ("image2", "IMAGE", 4)], ["IMAGE"]))
    links = [(1, 1, 0, 4, 0), (2, 2, 0, 4, 1), (3, 4, 0, 5, 0), (4, 3, 0, 5, 1)]
    for each in nodes[:5]:
        each["size"] = [220, 110]
        each["pos"] = [20, 40 + 150 * (each["id"] - 1)]
    return nodes, [(*link, "IMAGE") for link in links]


def picking_workflow(label: str, least: int = 1, most: int = 2, timeout_s: float = 120) -> dict[str, Any]:
    """Node 6 lets choose of a red, a green and a blue picture, node 7 shows the indices."""
    nodes, links = _three_pictures()
    asks = node(
        6, "PickImages", [label, least, most, timeout_s, "first"], [("images", "IMAGE", 5)], ["IMAGE", "STRING"]
    )
    shows = node(7, "PreviewAny", [], [("source", "*", 6)])
    asks["pos"], shows["pos"] = [300, 40], [760, 40]
    return workflow([*nodes, asks, shows], [*links, (5, 5, 0, 6, 0, "IMAGE"), (6, 6, 1, 7, 0, "STRING")])


def approving_workflow(label: str, text: str, timeout_s: float = 120) -> dict[str, Any]:
    """Node 6 asks about a batch of three, node 7 shows the text and node 8 the verdict."""
    nodes, links = _three_pictures()
    values = [label, timeout_s, "reject", "block", text]
    asks = node(6, "ApproveImage", values, [("image", "IMAGE", 5)], ["IMAGE", "STRING", "BOOLEAN"])
    text_shown = node(7, "PreviewAny", [], [("source", "*", 6)])
    verdict = node(8, "PreviewAny", [], [("source", "*", 7)])
    asks["pos"], text_shown["pos"], verdict["pos"] = [300, 40], [760, 40], [760, 400]
    more = [(5, 5, 0, 6, 0, "IMAGE"), (6, 6, 1, 7, 0, "STRING"), (7, 6, 2, 8, 0, "BOOLEAN")]
    return workflow([*nodes, asks, text_shown, verdict], [*links, *more])


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
