"""Writes the templates of ComfyUI's browser: one workflow for each node, ``example_workflows/*.json``.

``python docs/generate_examples.py`` needs nothing. Their pictures are taken of the page (``docs/example_pictures.py``). All of them draw
their own picture with core nodes, so they need no files and no models.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "example_workflows"
TYPES = {"image": "IMAGE", "mask": "MASK", "text": "STRING", "number": "INT", "truth": "BOOLEAN", "any": "*"}


@dataclass
class Sheet:
    """One workflow in the making, in the format that the page saves."""

    name: str
    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        kind: str,
        at: tuple[int, int],
        values: list[Any],
        inputs: dict[str, tuple[str, tuple[int, int]]] | None = None,
        outputs: str = "",
        size: tuple[int, int] = (270, 130),
        title: str | None = None,
    ) -> int:
        """A node; ``inputs`` are type and (node, slot) by name, ``outputs`` name:type pairs. Its number."""
        number = len(self.nodes) + 1
        named = [pair.split(":") for pair in outputs.split()]
        node = {
            "id": number, "type": kind, "pos": list(at), "size": list(size), "flags": {}, "order": number - 1, "mode": 0,
            "inputs": [],
            "outputs": [{"name": name, "type": TYPES[type_], "links": []} for name, type_ in named],
            "properties": {"Node name for S&R": kind}, "widgets_values": values,
        }  # fmt: skip
        if title:
            node["title"] = title
        self.nodes.append(node)
        for slot, (name, (type_, source)) in enumerate((inputs or {}).items()):
            self._join(node, slot, name, TYPES[type_], source)
        return number

    def _join(self, node: dict[str, Any], slot: int, name: str, type_: str, source: tuple[int, int]) -> None:
        link = len(self.links) + 1
        start = self.nodes[source[0] - 1]["outputs"][source[1]]
        start["links"].append(link)
        node["inputs"].append({"name": name, "type": type_, "link": link})
        self.links.append([link, source[0], source[1], node["id"], slot, start["type"]])

    def note(self, at: tuple[int, int], text: str, size: tuple[int, int] = (330, 190)) -> None:
        """A page of explanation on the canvas."""
        self.add("MarkdownNote", at, [text], size=size)

    def scene(self) -> int:
        """A moon over a field, drawn by core nodes; the number of the node whose first output it is."""
        sky = self.add("EmptyImage", (40, 80), [768, 512, 1, 3105720], outputs="IMAGE:image", title="Sky")
        field_ = self.add("EmptyImage", (40, 260), [768, 200, 1, 6057770], outputs="IMAGE:image", title="Field")
        edge = self.add("SolidMask", (40, 440), [1.0, 768, 200], outputs="MASK:mask", size=(270, 110))
        soft = self.add("FeatherMask", (40, 600), [0, 60, 0, 0], {"mask": ("mask", (edge, 0))}, "MASK:mask")
        land = self._over((340, 80), [0, 330, False], sky, field_, soft)
        moon = self.add("EmptyImage", (340, 300), [310, 310, 1, 16177226], outputs="IMAGE:image", title="Moon")
        disc = self.add("SolidMask", (340, 480), [1.0, 310, 310], outputs="MASK:mask", size=(270, 110))
        glow = self.add("FeatherMask", (340, 640), [150, 150, 150, 150], {"mask": ("mask", (disc, 0))}, "MASK:mask")
        whole = self._over((640, 80), [420, 0, False], land, moon, glow)
        self.groups.append(
            {"id": 1, "title": "A moon over a field, drawn by core nodes", "bounding": [20, 0, 900, 790],
             "color": "#3f789e", "font_size": 24, "flags": {}}
        )  # fmt: skip
        return whole

    def _over(self, at: tuple[int, int], values: list[Any], below: int, above: int, mask: int) -> int:
        parts = {"destination": ("image", (below, 0)), "source": ("image", (above, 0)), "mask": ("mask", (mask, 0))}
        return self.add("ImageCompositeMasked", at, values, parts, "IMAGE:image", size=(260, 150))

    def painted(self, at: tuple[int, int], style: str, image: int, seed: int = 7) -> int:
        """A picture in a style."""
        return self.add(
            "StyleTransferNode",
            at,
            [style, 1.0, seed, 1.0, 1.0],
            {"image": ("image", (image, 0))},
            "IMAGE:image",
            (300, 240),
        )

    def shown(self, at: tuple[int, int], source: tuple[int, int], title: str) -> None:
        """A text or number on the canvas."""
        self.add("PreviewAny", at, [], {"source": ("any", source)}, size=(300, 100), title=title)

    def saved(self, at: tuple[int, int], source: tuple[int, int], prefix: str) -> None:
        """Pictures in the output folder."""
        self.add("SaveImage", at, [prefix], {"images": ("image", source)}, size=(330, 330))

    def json(self) -> str:
        """The file's text."""
        return json.dumps(
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"expeditor/example_workflows/{self.name}")),
                "revision": 0, "last_node_id": len(self.nodes), "last_link_id": len(self.links), "nodes": self.nodes,
                "links": self.links, "groups": self.groups, "config": {},
                "extra": {"ds": {"scale": 0.7, "offset": [110, 120]}}, "version": 0.4,
            },
            indent=1, ensure_ascii=False,
        ) + "\n"  # fmt: skip


def style_transfer() -> Sheet:
    """A painting from nothing."""
    sheet = Sheet("style_transfer")
    painted = sheet.painted((960, 80), "vangogh", sheet.scene())
    sheet.saved((1300, 80), (painted, 0), "expeditor_style")
    sheet.note(
        (960, 380),
        "## A painting from nothing\nNo models, no files: the nodes on the left draw a moon over a field, **Style transfer** paints "
        "it.\n\nTo paint a picture of yours, put *Load Image* in front of **Style transfer**.",
    )
    return sheet


def wait_for_message() -> Sheet:
    """A question in the middle of a workflow."""
    sheet = Sheet("wait_for_message")
    asked = sheet.add("WaitForMessage", (40, 80), ["What shall we paint?", 120.0, "a lighthouse at dusk", "use default"],
                      outputs="message:text", size=(340, 240))  # fmt: skip
    sheet.shown((430, 80), (asked, 0), "Your answer")
    sheet.note(
        (430, 230),
        "## The workflow asks\nPress *Run*: the job waits until you answer in the node, in the panel, or over HTTP:\n\n"
        '```\ncurl -F message="a castle" -F node_id=1 \\\n  http://127.0.0.1:8188/expeditor/messages\n```\n\n'
        "After two minutes the default is passed on.",
        (400, 260),
    )
    return sheet


def approve_image() -> Sheet:
    """A person decides what is saved."""
    sheet = Sheet("approve_image")
    painted = sheet.painted((960, 80), "sketch", sheet.scene())
    asked = sheet.add("ApproveImage", (1290, 80), ["Good enough?", 120.0, "approve", "block", "moon over a field"],
                      {"image": ("image", (painted, 0))}, "image:image text:text approved:truth", (360, 420))  # fmt: skip
    sheet.saved((1690, 80), (asked, 0), "expeditor_approved")
    sheet.shown((1690, 460), (asked, 1), "The text as edited")
    sheet.note((960, 380), "## You decide\nOnly an approved picture is saved. Edit the text on the way if you like.")
    return sheet


def pick_images() -> Sheet:
    """Of three, those that are chosen go on."""
    sheet = Sheet("pick_images")
    whole = sheet.scene()
    styles = ("monet", "comic", "sketch")
    painted = [sheet.painted((960, 80 + 290 * i), style, whole) for i, style in enumerate(styles)]
    pair = {"image1": ("image", (painted[0], 0)), "image2": ("image", (painted[1], 0))}
    two = sheet.add("ImageBatch", (1290, 80), [], pair, "IMAGE:image", (220, 60))
    more = {"image1": ("image", (two, 0)), "image2": ("image", (painted[2], 0))}
    three = sheet.add("ImageBatch", (1290, 190), [], more, "IMAGE:image", (220, 60))
    asked = sheet.add("PickImages", (1540, 80), ["Which ones?", 1, 3, 120.0, "first"],
                      {"images": ("image", (three, 0))}, "images:image indices:text", (360, 420))  # fmt: skip
    sheet.saved((1940, 80), (asked, 0), "expeditor_picked")
    sheet.shown((1940, 460), (asked, 1), "Their places in the batch")
    sheet.note((1290, 300), "## Choose\nThe pictures you choose go on, in the order of your choice.", (230, 160))
    return sheet


def job_info() -> Sheet:
    """What a workflow can know of its job."""
    sheet = Sheet("job_info")
    info = sheet.add(
        "JobInfo", (40, 80), [], outputs="id:text priority:number attempt:number principal:text metadata:text"
    )
    for slot, title in enumerate(("Job id", "Priority", "Attempt", "Principal", "Metadata")):
        sheet.shown((380 + 330 * (slot % 2), 80 + 150 * (slot // 2)), (info, slot), title)
    sheet.note(
        (40, 270),
        "## Which job is this?\nThe id is ComfyUI's prompt id. Metadata is what a program sent along, and what **Set job metadata** "
        "has set.",
        (300, 210),
    )
    return sheet


def set_job_metadata() -> Sheet:
    """A job that says what it has done."""
    sheet = Sheet("set_job_metadata")
    painted = sheet.painted((960, 80), "watercolor", sheet.scene())
    sheet.saved((1300, 80), (painted, 0), "expeditor_tagged")
    tagged = sheet.add("SetJobMetadata", (960, 380), ["stage", "painted"], {"anything": ("any", (painted, 0))},
                       "passed:any", (300, 110))  # fmt: skip
    info = sheet.add("JobInfo", (960, 540), [], {"after": ("any", (tagged, 0))},
                     "id:text priority:number attempt:number principal:text metadata:text", (300, 140))  # fmt: skip
    sheet.shown((1300, 540), (info, 4), "Metadata")
    sheet.note(
        (1300, 680),
        "## Found by what it did\n```\ncurl 'http://127.0.0.1:8188/expeditor/jobs?metadata.stage=painted'\n```",
        (430, 130),
    )
    return sheet


EXAMPLES = {
    "StyleTransferNode": style_transfer,
    "WaitForMessage": wait_for_message,
    "ApproveImage": approve_image,
    "PickImages": pick_images,
    "JobInfo": job_info,
    "SetJobMetadata": set_job_metadata,
}


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for made in EXAMPLES.values():
        sheet = made()
        (FOLDER / f"{sheet.name}.json").write_text(sheet.json(), encoding="utf-8")


if __name__ == "__main__":
    main()
