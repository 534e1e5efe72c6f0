"""Takes the pictures of the templates: ``python docs/example_pictures.py http://127.0.0.1:8188 [name ...]``.

Opens each of ``example_workflows/*.json`` in the page of a running server, runs it, and photographs the canvas as soon as there is
something to see: the end, or the question of a node that asks (which is then answered). Needs playwright, Pillow and Chromium. The
picture of ``style_transfer`` is made by ``style_pictures.py``.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).resolve().parent.parent / "example_workflows"
NOT_HERE = {"style_transfer"}
# What a node that asks is answered with.
ANSWERS = {"WaitForMessage": "a castle by the sea", "ApproveImage": "approve", "PickImages": "0,2"}
READY = "window.app?.extensionManager?.command?.commands?.some((c) => c.id === 'Expeditor.RunWithPriority') && window.app.rootGraph"
WINDOW = {"width": 1600, "height": 1000}
# Without the page's bars.
CANVAS = {"x": 60.0, "y": 90.0, "width": 1500.0, "height": 850.0}
# Shows what stands right of the group that draws the picture, or everything.
LOOK_AT = """(left) => {
  const canvas = window.app.canvas, nodes = window.app.rootGraph.nodes.filter((node) => node.pos[0] > left)
  const edge = (of, side) => Math[side](...nodes.map(of))
  const x = edge((n) => n.pos[0], "min") - 30, y = edge((n) => n.pos[1], "min") - 70
  const wide = edge((n) => n.pos[0] + n.size[0], "max") + 30 - x, high = edge((n) => n.pos[1] + n.size[1], "max") + 30 - y
  canvas.ds.scale = Math.min(1500 / wide, 850 / high, 1.3)
  canvas.ds.offset[0] = 60 / canvas.ds.scale - x
  canvas.ds.offset[1] = 90 / canvas.ds.scale - y
  canvas.setDirty(true, true)
}"""
SHOWN, QUALITY, DEADLINE_MS = 900, 78, 240_000


def photograph(page: Page, name: str) -> None:
    """The canvas as it is now, cut to what is drawn on it."""
    page.wait_for_timeout(1500)
    shot = Image.open(io.BytesIO(page.screenshot(clip=CANVAS))).convert("RGB")
    scale = SHOWN / shot.width
    small = shot.resize((SHOWN, round(shot.height * scale)), Image.Resampling.LANCZOS)
    small.save(FOLDER / f"{name}.jpg", quality=QUALITY, optimize=True)
    sys.stdout.write(f"{name}\n")


def take(page: Page, base: str, name: str) -> None:
    """Open, run, photograph, answer."""
    workflow: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    page.goto(base, wait_until="domcontentloaded")
    page.wait_for_function(READY)
    page.evaluate("(graph) => window.app.loadGraphData(graph)", workflow)
    page.evaluate("window.app.api.addEventListener('execution_success', () => { window.ranToItsEnd = true })")
    asking = next((node for node in workflow["nodes"] if node["type"] in ANSWERS), None)
    page.evaluate("window.app.queuePrompt(0, 1)")
    if asking is not None:
        while not page.request.get(f"{base}/expeditor/messages/pending").json()["pending"]:
            page.wait_for_timeout(200)
    else:
        page.wait_for_function("window.ranToItsEnd", timeout=DEADLINE_MS)
    page.evaluate("window.app.extensionManager.setting.set('Comfy.Minimap.Visible', false)")
    page.evaluate(LOOK_AT, workflow["groups"][0]["bounding"][2] if workflow["groups"] else 0)
    photograph(page, name)
    if asking is not None:
        fields = {"node_id": str(asking["id"]), "message": ANSWERS[asking["type"]]}
        answer = page.request.post(f"{base}/expeditor/messages", form=fields)
        assert answer.ok, answer.text()
        page.wait_for_function("window.ranToItsEnd", timeout=DEADLINE_MS)


def main() -> None:
    """All, or those that are named."""
    base, *names = sys.argv[1:]
    names = names or sorted(path.stem for path in FOLDER.glob("*.json") if path.stem not in NOT_HERE)
    chromium = os.environ.get("EXPEDITOR_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=["--no-sandbox"])
        page = browser.new_context(viewport=WINDOW).new_page()  # pyright: ignore[reportArgumentType] - plain numbers
        page.add_init_script("localStorage.setItem('vueNodesBannerDismissed', 'true')")
        for name in names:
            take(page, base.rstrip("/"), name)
        browser.close()


if __name__ == "__main__":
    main()
